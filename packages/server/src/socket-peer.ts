/**
 * One WebSocket as the other end of a connection: writes ready-made frames beside those that ws sends, one write for each
 * turn of the event loop, and knows what is on its way in both directions. Not here: who may connect (socket.ts), and
 * what is too slow (connection.ts).
 */
import type { Socket } from 'node:net'
import { limits, type RefusalCode } from '@lend/engine'
import type { WebSocket } from 'ws'
import type { Peer, SharedFrame } from './peer.ts'
import { CHUNK_BYTES, Unfinished } from './unfinished.ts'

/** What a stranger may send in all, and cost: a hello and a prove of the largest size, in up to eight chunks. */
const STRANGER_BYTES_MAX = 2 * (limits.STRANGER_FRAME_BYTES_MAX + 4 * CHUNK_BYTES)
/** A message on the wire, with the chunk in which it began, the headers of its fragments and control frames among them. */
const MESSAGE_BYTES_MAX = limits.FRAME_BYTES_MAX + 128 * 1024
/** Frames that are read of one connection in a row, before others have their turn. */
const TURN_FRAMES_MAX = 256

export class SocketPeer implements Peer {
  readonly network: string
  readonly #webSocket: WebSocket
  readonly #socket: Socket
  readonly #turn: Turn
  readonly #unfinished: Unfinished
  readonly #onHeld: (bytes: number) => void
  #isProved = false
  #isAlive = true
  /** Since something was heard: probes without an answer, and how much had been taken then. */
  #silentProbes = 0
  #takenAtWord = 0
  #takes = true
  #rests = false
  #turnFrames = 0
  #readBytes = 0
  #readChunks = 0
  /** Of frames for this peer alone that it has not taken. */
  #ownBytes = 0
  /** How far both directions were at the last two marks. */
  #marks: readonly [Moved, Moved] = [NOTHING, NOTHING]

  /**
   * @param network see network.ts
   * @param onHeld hears by how many bytes `heldBytes` changes
   * @throws Error when this version of ws keeps the state of its messages elsewhere
   */
  constructor(webSocket: WebSocket, socket: Socket, network: string, turn: Turn, onHeld: (bytes: number) => void) {
    this.#webSocket = webSocket
    this.#socket = socket
    this.network = network
    this.#turn = turn
    this.#unfinished = new Unfinished(webSocket)
    this.#onHeld = onHeld
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  /** Node counts a write when all of it is gone; the handle knows how far it is. */
  get takenBytes(): number {
    const handle: unknown = '_handle' in this.#socket ? this.#socket._handle : null
    if (hasProgress(handle)) return handle.bytesWritten - handle.writeQueueSize
    return this.#socket.bytesWritten - this.#socket.writableLength
  }

  get unfinishedBytes(): number {
    return this.#unfinished.bytes
  }

  /** Memory that it holds by what it has not finished and what it has not taken, without what others hold as well. */
  get heldBytes(): number {
    return this.#unfinished.heldBytes + this.#ownBytes
  }

  /** Seconds that it holds it yet, at its present pace. */
  get heldSeconds(): number {
    const [{ readBytes, takenBytes }] = this.#marks
    const comes = this.#unfinished.heldBytes / (this.#readBytes - readBytes + 1)
    const goes = this.#ownBytes / (this.takenBytes - takenBytes + 1)
    return Math.max(comes, goes)
  }

  get isOpen(): boolean {
    return this.#webSocket.readyState === this.#webSocket.OPEN
  }

  send(frame: Uint8Array): void {
    const bytes = framed(frame)
    if (this.#write(bytes, () => this.#hold(-bytes.length))) this.#hold(bytes.length)
  }

  sendShared(frame: SharedFrame): void {
    this.#write(frame.prepare(framed))
  }

  admit(): void {
    this.#isProved = true
    this.#unfinished.limit(limits.FRAME_BYTES_MAX)
  }

  take(frames: boolean): void {
    this.#takes = frames
    if (frames) this.#isAlive = true
    this.#flow()
  }

  close({ code }: { code: RefusalCode }): void {
    this.take(true)
    if (code === 'STALLED') this.terminate()
    else this.#webSocket.close(code === 'RELAY_CLOSING' ? 1001 : 1008, code)
  }

  /** At once, so that nothing more is held; what was sent is told if the other end can still hear. */
  terminate(): void {
    this.#turn.flush(this.#socket)
    this.#webSocket.terminate()
  }

  /** A control frame, or a whole message. */
  heard(): void {
    this.#isAlive = true
    this.#silentProbes = 0
    this.#takenAtWord = this.takenBytes
    this.#turnFrames++
    this.#unfinished.end()
  }

  /**
   * A chunk has come, and ws has taken what it could of it.
   * @returns whether that is within what this connection may send before a frame is whole, or before it has proved itself
   */
  read(chunkBytes: number): boolean {
    const before = this.#unfinished.heldBytes
    this.#unfinished.grow(chunkBytes)
    this.#onHeld(this.#unfinished.heldBytes - before)
    if (this.#turnFrames > TURN_FRAMES_MAX) this.#rest()
    this.#readBytes += chunkBytes
    this.#readChunks++
    if (this.#isProved) return this.#unfinished.bytes <= MESSAGE_BYTES_MAX
    return this.#readBytes + this.#readChunks * CHUNK_BYTES <= STRANGER_BYTES_MAX
  }

  /** To be called at even intervals: the pace is that since the last call but one. */
  mark(): void {
    this.#marks = [this.#marks[1], { readBytes: this.#readBytes, takenBytes: this.takenBytes }]
  }

  /**
   * Who has not answered the last probe is gone. A pong would wait behind what is on its way, which has a pace to keep
   * instead; and whom we don't listen to can't give any. What the system took of us may be on its way still, megabytes of it.
   * @param bytes that must have arrived between two probes
   */
  probe(bytes: number): void {
    if (!this.isOpen) return
    const mayArriveYet = this.takenBytes - this.#takenAtWord > CHUNK_BYTES + ++this.#silentProbes * bytes
    if (!this.#takes || this.unfinishedBytes > 0 || this.bufferedBytes > 0) this.#isAlive = true
    else if (!this.#isAlive && !mayArriveYet) this.terminate()
    else {
      this.#isAlive = false
      this.#webSocket.ping()
    }
  }

  #rest(): void {
    this.#rests = true
    this.#turnFrames = 0
    this.#flow()
    setImmediate(() => {
      this.#rests = false
      this.#flow()
    })
  }

  #flow(): void {
    // A close waits for its answer.
    const flows = !this.isOpen || (this.#takes && !this.#rests)
    if (flows === !this.#webSocket.isPaused) return
    if (flows) this.#webSocket.resume()
    else this.#webSocket.pause()
  }

  #hold(bytes: number): void {
    this.#ownBytes += bytes
    this.#onHeld(bytes)
  }

  #write(bytes: Uint8Array, onGone?: () => void): boolean {
    if (!this.isOpen || !this.#socket.writable) return false
    this.#turn.cork(this.#socket)
    this.#socket.write(bytes, onGone)
    return true
  }
}

/** Bytes since the start, one number for each direction. */
interface Moved {
  readonly readBytes: number
  readonly takenBytes: number
}

const NOTHING: Moved = { readBytes: 0, takenBytes: 0 }

/** Holds back what is written to sockets until the turn of the event loop is over: one write for each. */
export class Turn {
  readonly #corked = new Set<Socket>()

  cork(socket: Socket): void {
    if (this.#corked.has(socket)) return
    if (this.#corked.size === 0) setImmediate(() => this.#end())
    this.#corked.add(socket)
    socket.cork()
  }

  flush(socket: Socket): void {
    if (this.#corked.delete(socket)) socket.uncork()
  }

  #end(): void {
    for (const socket of this.#corked) this.flush(socket)
  }
}

function hasProgress(handle: unknown): handle is { bytesWritten: number; writeQueueSize: number } {
  if (typeof handle !== 'object' || handle === null) return false
  return ['bytesWritten', 'writeQueueSize'].every(field => typeof Reflect.get(handle, field) === 'number')
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
