/**
 * A WebSocket client that does as little as one can: it walks the frames of what arrived and hands each payload on. So a
 * bench with thousands of them measures the server and not its clients. Source: RFC 6455. It trusts its server.
 */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

const BINARY = 0x82
const CLOSE = 8
const PING = 9
const PONG = 0x8a
const MASKED = 0x80

export class LightSocket {
  readonly opened: Promise<void>
  readonly closed: Promise<void>
  readonly #socket: Socket
  readonly #take: (payload: Uint8Array) => void
  #rest: Uint8Array | null = null

  /** @param take gets a view of the payload that is good for this call alone */
  constructor(url: string, take: (payload: Uint8Array) => void) {
    const { hostname, port, host } = new URL(url)
    this.#take = take
    this.#socket = connect(Number(port), hostname)
    this.#socket.setNoDelay(true)
    const headers = [
      'GET / HTTP/1.1',
      `Host: ${host}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`
    ]
    this.closed = new Promise(done => this.#socket.once('close', () => done()))
    this.opened = new Promise((opened, failed) => {
      this.#socket.on('error', failed)
      this.#socket.once('close', () => failed(new Error('the server closed the socket')))
      this.#socket.once('connect', () => this.#socket.write(`${headers.join('\r\n')}\r\n\r\n`))
      let head = Buffer.alloc(0)
      const greet = (chunk: Buffer) => {
        head = Buffer.concat([head, chunk])
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        this.#socket.off('data', greet)
        if (!head.toString('latin1').startsWith('HTTP/1.1 101')) return failed(new Error(head.toString('latin1')))
        this.#socket.on('data', bytes => this.#walk(bytes))
        opened()
        if (head.length > end + 4) this.#walk(head.subarray(end + 4))
      }
      this.#socket.on('data', greet)
    })
  }

  send(payload: Uint8Array): void {
    this.#socket.write(framed(BINARY, payload))
  }

  /** Holds writes back until `act` is over. */
  together(act: () => void): void {
    this.#socket.cork()
    act()
    this.#socket.uncork()
  }

  /** Takes nothing more from the server until `resume`. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  async close(): Promise<void> {
    this.#socket.destroy()
    await this.closed
  }

  #walk(chunk: Uint8Array): void {
    const bytes = this.#rest ? Buffer.concat([this.#rest, chunk]) : chunk
    let at = 0
    for (;;) {
      const frame = frameAt(bytes, at)
      if (!frame) break
      const payload = new Uint8Array(bytes.buffer, bytes.byteOffset + frame.start, frame.end - frame.start)
      at = frame.end
      if (frame.opcode === PING) this.#socket.write(framed(PONG, payload))
      else if (frame.opcode === CLOSE) this.#socket.end()
      else this.#take(payload)
    }
    this.#rest = at < bytes.length ? bytes.subarray(at) : null
  }
}

/** The whole frame that begins there, if it is here. */
function frameAt(bytes: Uint8Array, at: number): { opcode: number; start: number; end: number } | null {
  if (bytes.length < at + 2) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const short = view.getUint8(at + 1)
  const start = at + (short < 126 ? 2 : short === 126 ? 4 : 10)
  if (bytes.length < start) return null
  const length = short < 126 ? short : short === 126 ? view.getUint16(at + 2) : Number(view.getBigUint64(at + 2))
  return bytes.length < start + length ? null : { opcode: view.getUint8(at) & 15, start, end: start + length }
}

/** Masked with zeros, which is no mask and still one. */
function framed(first: number, payload: Uint8Array): Uint8Array {
  const { length } = payload
  const lengthBytes = length < 126 ? 0 : length < 0x1_0000 ? 2 : 8
  const frame = Buffer.alloc(2 + lengthBytes + 4 + length)
  frame[0] = first
  if (lengthBytes === 0) frame[1] = MASKED | length
  else if (lengthBytes === 2) {
    frame[1] = MASKED | 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = MASKED | 127
    frame.writeBigUInt64BE(BigInt(length), 2)
  }
  frame.set(payload, 2 + lengthBytes + 4)
  return frame
}
