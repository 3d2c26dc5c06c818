/**
 * The WebSocket edge: HTTP upgrade, limits before a session exists, signs of life, and the memory that all connections
 * together may hold by what they have not finished or not taken. Not here: one socket (socket-peer.ts) and what frames say
 * (connection.ts). Deflate is off, so frames can be made ready once and written beside those that ws sends, in order.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { limits, Refusal, type RefusalCode, refuse } from '@lend/engine'
import type { Logger } from 'pino'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { type WebSocket, WebSocketServer } from 'ws'
import type { RelayLimits } from './config.ts'
import { forwardedFor, isSameAddress, networkOf } from './network.ts'
import type { Peer, Session } from './peer.ts'
import { SocketPeer, Turn } from './socket-peer.ts'
import { checkReceiver } from './unfinished.ts'

export interface EdgeOptions {
  readonly host: string
  readonly port: number
  readonly origins: readonly string[] | undefined
  readonly proxies: readonly string[]
  readonly limits: RelayLimits
  readonly logger: Logger
  connect(peer: Peer): Session
  tick(): void
}

const TICK_MS = 500
/** A peer that does not answer a close is cut. */
const CLOSE_MS = 2000
const HEADER_BYTES_MAX = 8 * 1024
/** Between two looks at how far everyone has got. */
const MARK_MS = 1000
/** When to try again after being cut for the memory that others need. */
const RETRY_MS = 10_000

export class SocketEdge {
  readonly #options: EdgeOptions
  readonly #http: Server
  readonly #webSockets: WebSocketServer
  readonly #sessions = new Map<SocketPeer, Session>()
  readonly #turn = new Turn()
  readonly #byNetwork = new Map<string, number>()
  readonly #handshakes: RateLimiterMemory
  readonly #timers: NodeJS.Timeout[] = []
  #sockets = 0
  #heldBytes = 0
  #relief: NodeJS.Immediate | null = null

  constructor(options: EdgeOptions) {
    checkReceiver()
    this.#options = options
    const { handshakeMs, handshakesPerMinute } = options.limits
    this.#handshakes = new RateLimiterMemory({ points: handshakesPerMinute, duration: 60 })
    this.#http = createServer({
      headersTimeout: handshakeMs,
      requestTimeout: handshakeMs,
      connectionsCheckingInterval: Math.min(1000, handshakeMs),
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
      // One request for each connection: nobody keeps one by asking again, or by not reading the answers.
      response.writeHead(found ? 200 : 404, { 'content-type': 'text/plain', connection: 'close' })
      response.end(found ? 'ok\n' : 'not found\n')
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
    this.#timers.push(setInterval(() => this.#mark(), MARK_MS))
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
      for (const peer of this.#sessions.keys()) peer.terminate()
      this.#http.closeAllConnections()
    }, CLOSE_MS)
    await closed
    clearTimeout(late)
  }

  #count(socket: Socket): void {
    const network = networkOf(socket.remoteAddress)
    this.#sockets++
    socket.once('close', () => this.#sockets--)
    const { connections, connectionsPerAddress } = this.#options.limits
    // Whose connections a proxy brings is known at the upgrade.
    const ofNetwork = this.#isProxy(socket) ? 0 : this.#countIn(network, socket)
    // Who is over a limit is told so at the upgrade; who does not even ask takes no more.
    if (ofNetwork > 2 * connectionsPerAddress || this.#sockets > 2 * connections) socket.destroy()
  }

  /** @returns how many connections of this network there are now; until the socket is closed it is one of them */
  #countIn(network: string, socket: Socket): number {
    const connections = (this.#byNetwork.get(network) ?? 0) + 1
    this.#byNetwork.set(network, connections)
    socket.once('close', () => {
      const left = (this.#byNetwork.get(network) ?? 1) - 1
      if (left > 0) this.#byNetwork.set(network, left)
      else this.#byNetwork.delete(network)
    })
    return connections
  }

  #isProxy({ remoteAddress }: Socket): boolean {
    return this.#options.proxies.some(proxy => isSameAddress(proxy, remoteAddress))
  }

  /** Whose connection it is that asks, counted. */
  #networkOf(request: IncomingMessage, socket: Socket): string {
    if (!this.#isProxy(socket)) return networkOf(socket.remoteAddress)
    const network = networkOf(forwardedFor(request.headers['x-forwarded-for']) ?? socket.remoteAddress)
    this.#countIn(network, socket)
    return network
  }

  async #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy())
    const { origins, limits: bounds } = this.#options
    const { origin } = request.headers
    if (origins && origin !== undefined && !origins.includes(origin)) {
      return deny(socket, '403 Forbidden', 'FOREIGN_ORIGIN', 'pages of this origin may not connect to this relay')
    }
    const network = this.#networkOf(request, socket)
    if ((this.#byNetwork.get(network) ?? 0) > bounds.connectionsPerAddress) {
      const sentence = `this address has ${bounds.connectionsPerAddress} connections already; close some`
      return deny(socket, '429 Too Many Requests', 'LIMIT_CONNECTIONS', sentence)
    }
    if (this.#sockets > bounds.connections) {
      const sentence = `this relay has ${bounds.connections} connections already; try again later`
      return deny(socket, '503 Service Unavailable', 'LIMIT_CONNECTIONS', sentence)
    }
    try {
      await this.#handshakes.consume(network)
    } catch {
      return deny(socket, '429 Too Many Requests', 'RATE_LIMITED', 'too many handshakes of this address; wait a minute')
    }
    this.#webSockets.handleUpgrade(request, socket, head, webSocket => this.#accept(webSocket, socket, network))
  }

  #accept(webSocket: WebSocket, socket: Socket, network: string): void {
    socket.setNoDelay(true)
    const peer = new SocketPeer(webSocket, socket, network, this.#turn, bytes => this.#hold(peer, bytes))
    const session = this.#options.connect(peer)
    this.#sessions.set(peer, session)
    webSocket.on('message', (data, isBinary) => {
      peer.heard()
      if (isBinary && data instanceof Uint8Array) session.receive(plain(data))
      else session.close(refuse('BAD_FRAME', 'frame: a text; frames are binary'))
    })
    for (const control of ['ping', 'pong'] as const) webSocket.on(control, () => peer.heard())
    // Too long, too many fragments, not a WebSocket: ws closes it with the code that says so.
    webSocket.on('error', error => this.#options.logger.debug({ code: codeOf(error) }, 'a socket failed'))
    webSocket.on('close', () => {
      this.#forget(peer)
      session.closed()
    })
    // After ws, which was here first: what it has taken of the chunk is done with.
    socket.on('data', (chunk: Uint8Array) => {
      if (peer.read(chunk.length)) return
      this.#cut(peer, refuse('FRAME_TOO_BIG', 'frame: more bytes than may come at this point of a session'))
    })
    socket.on('drain', () => session.drained())
  }

  #hold(peer: SocketPeer, bytes: number): void {
    if (!this.#sessions.has(peer)) return
    this.#heldBytes += bytes
    // Not in the turn of who sends or reads: a session must not end under its hands.
    if (this.#heldBytes > this.#options.limits.heldBytes) this.#relief ??= setImmediate(() => this.#relieve())
  }

  #relieve(): void {
    this.#relief = null
    const sentence = 'this relay holds too much for slow connections; connect again later, or on a faster line'
    for (const peer of byHeldSeconds(this.#sessions.keys())) {
      if (this.#heldBytes <= this.#options.limits.heldBytes) return
      this.#cut(peer, new Refusal('RATE_LIMITED', sentence, RETRY_MS))
    }
  }

  #cut(peer: SocketPeer, refusal: Refusal): void {
    const session = this.#sessions.get(peer)
    this.#forget(peer)
    session?.close(refusal)
    peer.terminate()
  }

  #forget(peer: SocketPeer): void {
    if (this.#sessions.delete(peer)) this.#heldBytes -= peer.heldBytes
  }

  #mark(): void {
    for (const peer of this.#sessions.keys()) peer.mark()
  }

  #probe(): void {
    const { pingMs, bytesPerSecondMin } = this.#options.limits
    for (const peer of this.#sessions.keys()) peer.probe((pingMs * bytesPerSecondMin) / 1000)
  }
}

/** Who would hold what they hold for longest, first: the big and slow, not the big or the slow. */
function byHeldSeconds(peers: Iterable<SocketPeer>): SocketPeer[] {
  const seconds = new Map<SocketPeer, number>()
  for (const peer of peers) if (peer.heldBytes > 0) seconds.set(peer, peer.heldSeconds)
  return [...seconds].sort(([, a], [, b]) => b - a).map(([peer]) => peer)
}

function deny(socket: Duplex, status: string, code: RefusalCode, sentence: string): void {
  const body = `${code}: ${sentence}\n`
  const headers = `Content-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n`
  // Who is denied does not keep the connection by not closing its side.
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status}\r\n${headers}\r\n${body}`)
}

/** Without Node's Buffer, whose `slice` does not copy. */
function plain(data: Uint8Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
