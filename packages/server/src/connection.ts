/**
 * One connection: the engine's session in front, the logs that it asks things of behind. Not here: sockets (socket.ts),
 * and what a request means for a log (hosting/).
 *
 *   open → closed
 */
import {
  type DeviceId,
  decodeEntry,
  type Entry,
  encodeFrame,
  type Frame,
  incarnation,
  KINDS,
  type LogId,
  type Nonces,
  Refusal,
  type RelayEffect,
  RelaySession,
  type Request,
  refuse
} from '@lend/engine'
import type { Ask } from './hosting/asking.ts'
import { type Followed, type Host, incident, type Requester } from './hosting/host.ts'
import type { HostedLog } from './hosting/hosted-log.ts'
import { Pace } from './pace.ts'
import type { Peer, Session, SharedFrame } from './peer.ts'
import type { RelayKeys } from './relay-key.ts'

/** What a connection needs of the relay. */
export interface Front {
  readonly host: Host
  readonly keys: RelayKeys
  readonly isClosing: boolean
  logOf(id: LogId): HostedLog
  closed(connection: Connection): void
}

/** What a request holds besides its bytes until it is answered: some 8,000 were measured, for it may bring a log into use. */
const REQUEST_BYTES = 8 * 1024
/** What each further entry of a request holds besides its bytes. */
const ENTRY_BYTES = 2 * 1024

interface Proved {
  readonly device: DeviceId
  readonly nonces: Nonces
}

export class Connection implements Requester, Session {
  readonly followed = new Set<Followed>()
  readonly #front: Front
  readonly #peer: Peer
  readonly #session: RelaySession
  /** Bytes that requests hold which are not dealt with yet. */
  #pendingBytes = 0
  #lastProved: Proved | null = null
  #isOpen = true
  #takes = true
  /** Of the frame that is coming in. */
  readonly #coming: Pace
  /** Of what was sent. */
  readonly #going: Pace

  constructor(front: Front, peer: Peer) {
    this.#front = front
    this.#peer = peer
    const { suite, dice, limits } = front.host
    const { pingMs, stalledMs, bytesPerSecondMin } = limits
    this.#coming = new Pace({ windowMs: pingMs, bytesPerSecondMin })
    this.#going = new Pace({ windowMs: stalledMs, bytesPerSecondMin })
    this.#session = new RelaySession({ suite, keys: front.keys.signing, dice, nowMs: front.host.now() })
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  get isBlocked(): boolean {
    return this.#peer.bufferedBytes > this.#front.host.limits.socketBufferBytes
  }

  get network(): string {
    return this.#peer.network
  }

  get device(): DeviceId {
    return this.#proved.device
  }

  get nonces(): Nonces {
    return this.#proved.nonces
  }

  /** Stays when the session is over: what it asked before may be answered after. */
  get #proved(): Proved {
    const { device, nonces } = this.#session
    if (device && nonces) this.#lastProved = { device, nonces }
    if (!this.#lastProved) throw new Error('a session asks before it is open')
    return this.#lastProved
  }

  receive(bytes: Uint8Array): void {
    if (!this.#isOpen || this.#front.isClosing) return
    // A frame is whole; the next has a window of its own.
    this.#coming.rest()
    try {
      this.#act(this.#session.receive(bytes, this.#front.host.now()), bytes.length)
    } catch (error) {
      if (error instanceof Refusal) this.close(error)
      else this.fail(error)
    }
    this.#flow()
  }

  drained(): void {
    if (!this.#isOpen || this.isBlocked) return
    this.#going.rest()
    try {
      this.#flow()
      for (const log of [...this.followed]) log.drained(this)
    } catch (error) {
      this.fail(error)
    }
  }

  closed(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    for (const log of [...this.followed]) log.leave(this)
    this.#front.closed(this)
  }

  close(refusal: Refusal): void {
    if (!this.#isOpen) return
    this.#front.host.metrics.sessionsRefused++
    this.#act(this.#session.close(refusal), 0)
  }

  fail(error: unknown): void {
    const { host } = this.#front
    host.metrics.incidents++
    const id = incident(host, error, 'connection')
    this.close(refuse('RELAY_CLOSING', `the relay failed at this request (incident ${id}); connect again`))
  }

  send(frame: Frame): void {
    if (!this.#isOpen) return
    this.#peer.send(encodeFrame(frame))
    this.#flow()
  }

  sendShared(frame: SharedFrame): void {
    if (!this.#isOpen) return
    this.#peer.sendShared(frame)
    this.#flow()
  }

  settle(bytes: number): void {
    this.#pendingBytes -= bytes
    this.#flow()
  }

  tick(nowMs: number): void {
    const { handshakeMs, stalledMs, pingMs } = this.#front.host.limits
    const late = this.#session.tick(nowMs, handshakeMs)
    if (late.length > 0) this.#front.host.metrics.sessionsRefused++
    this.#act(late, 0)
    if (!this.#lastProved) return
    const { bufferedBytes, takenBytes, unfinishedBytes } = this.#peer
    if (bufferedBytes === 0) this.#going.rest()
    else if (this.#going.isSlow(takenBytes, nowMs)) {
      this.close(refuse('STALLED', `too little was taken for ${stalledMs} ms; connect again`))
    }
    if (unfinishedBytes === 0 || !this.#takes) this.#coming.rest()
    else if (this.#coming.isSlow(unfinishedBytes, nowMs)) {
      this.close(refuse('STALLED', `too little came of a frame for ${pingMs} ms; connect again`))
    }
  }

  /** Takes no more from who does not take what it gets, or asks faster than the disk can answer. */
  #flow(): void {
    if (!this.#isOpen) return
    const { host } = this.#front
    const isBlocked = this.isBlocked
    const takes = !isBlocked && this.#pendingBytes <= host.limits.socketBufferBytes
    if (takes === this.#takes) return
    this.#takes = takes
    // Its window begins now and not with the next tick.
    if (isBlocked) this.#going.isSlow(this.#peer.takenBytes, host.now())
    this.#peer.take(takes)
  }

  #act(effects: readonly RelayEffect[], bytes: number): void {
    for (const effect of effects) {
      switch (effect.do) {
        case 'send':
          this.#peer.send(effect.frame)
          break
        case 'admit':
          this.#front.host.metrics.sessions++
          this.#lastProved = this.#proved
          this.#peer.admit()
          break
        case 'serve':
          this.#serve(effect.request, bytes)
          break
        case 'close':
          this.closed()
          this.#peer.close(effect.refusal)
          break
      }
    }
  }

  #serve(request: Request, bytes: number): void {
    const log = this.#front.logOf(request.log)
    // All entries of a frame are decoded before one is asked for: bytes that are no entry close the session at once.
    for (const ask of this.#asksOf(request, bytes)) {
      this.#pendingBytes += ask.bytes
      log.ask(ask)
    }
  }

  #asksOf(request: Request, bytes: number): Ask[] {
    const from = { requester: this, bytes: bytes + REQUEST_BYTES }
    switch (request.type) {
      case 'follow':
        return [{ ...from, ask: 'follow', follow: request }]
      case 'unfollow':
        return [{ ...from, ask: 'unfollow' }]
      case 'append': {
        const entries = request.entries.map(entry => this.#decode(entry))
        const first = entries[0]?.id
        if (!first) return []
        return entries.map((entry, i) => {
          const asked = { entry, device: this.device, incarnation: lifeOf(request), first }
          const held = entry.bytes.length + (i === 0 ? REQUEST_BYTES : ENTRY_BYTES)
          return { requester: this, bytes: held, ask: 'append', asked }
        })
      }
      case 'offer': {
        const entries = request.entries.map(entry => this.#decode(entry))
        return [{ ...from, ask: 'offer', entries, incarnation: lifeOf(request) }]
      }
      case 'ready':
        return [{ ...from, ask: 'ready', incarnation: lifeOf(request) }]
      case 'receipts':
        return [{ ...from, ask: 'receipts', receipts: request.receipts }]
      case 'receipts-stored':
        return [{ ...from, ask: 'receipts-stored', devices: request.devices }]
    }
  }

  /** Access entries stay in memory as long as their log: they get bytes of their own, apart from the frame's. */
  #decode(bytes: Uint8Array): Entry {
    return decodeEntry(this.#front.host.suite, bytes[1] === KINDS.access ? bytes.slice() : bytes)
  }
}

function lifeOf(request: { readonly incarnation: Uint8Array }) {
  return incarnation(new Uint8Array(request.incarnation))
}
