/**
 * The WebSocket edge: HTTP upgrade, limits before a session exists, signs of life, and one write for each socket and turn
 * of the event loop. Not here: what frames say (connection.ts). Deflate is off, so frames can be made ready once and
 * written beside those that ws sends, in order.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { limits, type RefusalCode, refuse } from '@lend/engine'
import type { Logger } from 'pino'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import * as ws from 'ws'
import { type WebSocket, WebSocketServer } from 'ws'
import type { RelayLimits } from './config.ts'
import type { Peer, Session, SharedFrame } from './peer.ts'

export interface EdgeOptions {
  readonly host: string
  readonly port: number
  readonly origins: readonly string[] | undefined
  readonly limits: RelayLimits
  readonly logger: Logger
  connect(peer: Peer): Session
  tick(): void
}

const TICK_MS = 500
/** A peer that does not answer a close is cut. */
const CLOSE_MS = 2000
const HEADER_BYTES_MAX = 8 * 1024

export class SocketEdge {
  readonly #options: EdgeOptions
  readonly #http: Server
  readonly #webSockets: WebSocketServer
  readonly #peers = new Set<SocketPeer>()
  readonly #turn = new Turn()
  readonly #byAddress = new Map<string, number>()
  readonly #handshakes: RateLimiterMemory
  readonly #timers: NodeJS.Timeout[] = []

  constructor(options: EdgeOptions) {
    checkPayloadMax()
    this.#options = options
    const { handshakeMs, handshakesPerMinute } = options.limits
    this.#handshakes = new RateLimiterMemory({ points: handshakesPerMinute, duration: 60 })
    this.#http = createServer({
      headersTimeout: handshakeMs,
      requestTimeout: handshakeMs,
      connectionsCheckingInterval: Math.min(1000, handshakeMs),
      keepAliveTimeout: 5000,
      maxHeaderSize: HEADER_BYTES_MAX
    })
    this.#webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      clientTracking: false,
      maxPayload: limits.STRANGER_FRAME_BYTES_MAX,
      maxFragments: limits.FRAGMENTS_MAX,
      ...{ closeTimeout: CLOSE_MS }
    })
    this.#http.on('connection', socket => this.#count(socket))
    this.#http.on('request', (request, response) => {
      const found = request.url === '/health'
      response.writeHead(found ? 200 : 404, { 'content-type': 'text/plain' }).end(found ? 'ok\n' : 'not found\n')
    })
    this.#http.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket as Socket, head))
  }

  /** @returns the address that clients connect to */
  async open(): Promise<string> {
    const { host, port, tick, limits: bounds } = this.#options
    await new Promise<void>((opened, failed) => {
      this.#http.once('error', failed)
      this.#http.listen(port, host, () => {
        this.#http.off('error', failed)
        opened()
      })
    })
    this.#timers.push(setInterval(() => tick(), TICK_MS))
    this.#timers.push(setInterval(() => this.#probe(), bounds.pingMs))
    for (const timer of this.#timers) timer.unref()
    const { address, family, port: bound } = this.#http.address() as AddressInfo
    return `ws://${family === 'IPv6' ? `[${address}]` : address}:${bound}`
  }

  /** Takes nobody in any more. Those who are here are refused by their sessions; resolves when they are gone. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    const closed = new Promise<void>(done => this.#http.close(() => done()))
    this.#http.closeIdleConnections()
    const late = setTimeout(() => {
      for (const peer of this.#peers) peer.terminate()
      this.#http.closeAllConnections()
    }, CLOSE_MS)
    await closed
    clearTimeout(late)
  }

  #count(socket: Socket): void {
    const address = socket.remoteAddress ?? ''
    const connections = (this.#byAddress.get(address) ?? 0) + 1
    this.#byAddress.set(address, connections)
    socket.once('close', () => {
      const left = (this.#byAddress.get(address) ?? 1) - 1
      if (left > 0) this.#byAddress.set(address, left)
      else this.#byAddress.delete(address)
    })
    // Who is over the limit is told so at the upgrade; who does not even ask takes no more.
    if (connections > 2 * this.#options.limits.connectionsPerAddress) socket.destroy()
  }

  async #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy())
    const { origins, limits: bounds } = this.#options
    const { origin } = request.headers
    if (origins && origin !== undefined && !origins.includes(origin)) {
      return deny(socket, '403 Forbidden', 'FOREIGN_ORIGIN', 'pages of this origin may not connect to this relay')
    }
    const address = socket.remoteAddress ?? ''
    if ((this.#byAddress.get(address) ?? 0) > bounds.connectionsPerAddress) {
      const sentence = `this address has ${bounds.connectionsPerAddress} connections already; close some`
      return deny(socket, '429 Too Many Requests', 'LIMIT_CONNECTIONS', sentence)
    }
    try {
      await this.#handshakes.consume(address)
    } catch {
      return deny(socket, '429 Too Many Requests', 'RATE_LIMITED', 'too many handshakes of this address; wait a minute')
    }
    this.#webSockets.handleUpgrade(request, socket, head, webSocket => this.#accept(webSocket, socket))
  }

  #accept(webSocket: WebSocket, socket: Socket): void {
    socket.setNoDelay(true)
    const peer = new SocketPeer(webSocket, socket, this.#turn)
    const session = this.#options.connect(peer)
    this.#peers.add(peer)
    webSocket.on('message', (data, isBinary) => {
      peer.isAlive = true
      if (isBinary && data instanceof Uint8Array) session.receive(plain(data))
      else session.close(refuse('BAD_FRAME', 'frame: a text; frames are binary'))
    })
    webSocket.on('pong', () => {
      peer.isAlive = true
    })
    // Too long, too many fragments, not a WebSocket: ws closes it with the code that says so.
    webSocket.on('error', error => this.#options.logger.debug({ code: codeOf(error) }, 'a socket failed'))
    webSocket.on('close', () => {
      this.#peers.delete(peer)
      session.closed()
    })
    socket.on('drain', () => session.drained())
  }

  #probe(): void {
    for (const peer of this.#peers) peer.probe()
  }
}

class SocketPeer implements Peer {
  isAlive = true
  readonly #webSocket: WebSocket
  readonly #socket: Socket
  readonly #turn: Turn

  constructor(webSocket: WebSocket, socket: Socket, turn: Turn) {
    this.#webSocket = webSocket
    this.#socket = socket
    this.#turn = turn
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  send(frame: Uint8Array): void {
    this.#write(framed(frame))
  }

  sendShared(frame: SharedFrame): void {
    this.#write(frame.prepare(framed))
  }

  admit(): void {
    setPayloadMax(this.#webSocket, limits.FRAME_BYTES_MAX)
  }

  take(frames: boolean): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return
    if (frames) this.#webSocket.resume()
    else this.#webSocket.pause()
  }

  close({ code }: { code: RefusalCode }): void {
    if (this.#webSocket.isPaused) this.#webSocket.resume()
    if (code === 'STALLED') this.terminate()
    else this.#webSocket.close(code === 'RELAY_CLOSING' ? 1001 : 1008, code)
  }

  terminate(): void {
    this.#webSocket.terminate()
  }

  /** Who has given no sign of life since the last probe is gone. Whom we don't listen to can't give any. */
  probe(): void {
    if (this.#webSocket.isPaused || this.#webSocket.readyState !== this.#webSocket.OPEN) return
    if (!this.isAlive) this.terminate()
    else this.#webSocket.ping()
    this.isAlive = false
  }

  #write(bytes: Uint8Array): void {
    if (this.#webSocket.readyState !== this.#webSocket.OPEN || !this.#socket.writable) return
    this.#turn.cork(this.#socket)
    this.#socket.write(bytes)
  }
}

/** Holds back what is written to sockets until the turn of the event loop is over: one write for each. */
class Turn {
  #corked = new Set<Socket>()

  cork(socket: Socket): void {
    if (this.#corked.has(socket)) return
    if (this.#corked.size === 0) setImmediate(() => this.#flush())
    this.#corked.add(socket)
    socket.cork()
  }

  #flush(): void {
    const corked = this.#corked
    this.#corked = new Set()
    for (const socket of corked) socket.uncork()
  }
}

/** One whole binary WebSocket message, unmasked, as a server sends it. Source: RFC 6455, 5.2. */
function framed(payload: Uint8Array): Uint8Array {
  const { length } = payload
  const headerBytes = length < 126 ? 2 : length < 0x1_0000 ? 4 : 10
  const frame = Buffer.allocUnsafe(headerBytes + length)
  frame[0] = 0x82
  if (headerBytes === 2) frame[1] = length
  else if (headerBytes === 4) {
    frame[1] = 126
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = 127
    frame.writeBigUInt64BE(BigInt(length), 2)
  }
  frame.set(payload, headerBytes)
  return frame
}

/**
 * ws takes the largest message as an option of the whole server; a stranger gets less than a device that has proved
 * itself. The bound is in the receiver, which is not in the interface of ws.
 */
function checkPayloadMax(): void {
  const Receiver: unknown = 'Receiver' in ws ? ws.Receiver : null
  const receiver: unknown = typeof Receiver === 'function' ? Reflect.construct(Receiver, [{}]) : null
  if (!hasPayloadMax(receiver))
    throw new Error('this version of ws keeps its payload bound elsewhere: use the pinned one')
}

function setPayloadMax(webSocket: WebSocket, bytes: number): void {
  const receiver: unknown = '_receiver' in webSocket ? webSocket._receiver : null
  if (hasPayloadMax(receiver)) receiver._maxPayload = bytes
}

function hasPayloadMax(receiver: unknown): receiver is { _maxPayload: number } {
  return typeof receiver === 'object' && receiver !== null && '_maxPayload' in receiver
}

function deny(socket: Duplex, status: string, code: RefusalCode, sentence: string): void {
  const body = `${code}: ${sentence}\n`
  const headers = `Content-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n`
  socket.end(`HTTP/1.1 ${status}\r\n${headers}\r\n${body}`)
}

/** Without Node's Buffer, whose `slice` does not copy. */
function plain(data: Uint8Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
