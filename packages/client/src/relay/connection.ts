/**
 * One connection to one relay, for all logs there; it comes back by itself.
 *
 *   resting → dialing → open → waiting → dialing …      (any → closed)
 *
 * Waits grow with full jitter; a relay that says it restarts gets a wider spread, so that its clients don't all come at once.
 */
import {
  ClientSession,
  type DeviceKeys,
  encodeFrame,
  type Frame,
  hex,
  type LogId,
  limits,
  type Nonces,
  type Suite
} from '@lend/engine'
import type { Socket, Stop, World } from '../world.ts'
import { Inbox } from './inbox.ts'
import { type Trouble, troubleOf } from './trouble.ts'

/** What a log on this connection hears. */
export interface Line {
  /** The handshake is done: ask for the log. */
  opened(nonces: Nonces): void
  /** A frame about this log. @returns resolves when it is done with, for who does not handle it at once */
  frame(frame: Frame): Promise<void> | undefined
  closed(): void
}

export type ConnectionState = 'offline' | 'connecting' | 'open'

type State =
  | { readonly state: 'resting' }
  | {
      readonly state: 'dialing' | 'open'
      readonly socket: Socket
      readonly session: ClientSession
      readonly inbox: Inbox
      nonces: Nonces | null
    }
  | { readonly state: 'waiting'; readonly stop: Stop }
  | { readonly state: 'closed' }

const WAIT_MS_FIRST = 250
const WAIT_MS_MAX = 30_000
const WAIT_MS_AFTER_RESTART = 5_000
/** In which something must come after a ping, once the network has taken it. */
const PONG_MS_MAX = 15_000
/** A ping waits behind what was sent before it: on the slowest line that is used, so long. */
const BYTES_PER_SECOND_MIN = 16 * 1024

export class RelayConnection {
  readonly url: string
  readonly #world: World
  readonly #suite: Suite
  #device: DeviceKeys
  readonly #lines = new Map<string, Line>()
  readonly #watchers = new Set<(state: ConnectionState) => void>()
  readonly #hearers = new Set<(timeMs: number) => void>()
  #relayKey: Uint8Array | null
  #state: State = { state: 'resting' }
  #failures = 0
  /** Bytes that were sent since the relay said something: what may still be on its way, as far as one can know. */
  #unanswered = 0
  #stopPing: Stop | null = null
  #trouble: Trouble | null = null

  constructor(o: { url: string; relayKey: Uint8Array | null; world: World; suite: Suite; device: DeviceKeys }) {
    this.url = o.url
    this.#relayKey = o.relayKey
    this.#world = o.world
    this.#suite = o.suite
    this.#device = o.device
  }

  get state(): ConnectionState {
    switch (this.#state.state) {
      case 'open':
        return 'open'
      case 'dialing':
        return 'connecting'
      default:
        return 'offline'
    }
  }

  /** The relay's key once it has proved it. */
  get relayKey(): Uint8Array | null {
    return this.#relayKey
  }

  /** Takes nothing but this key from now on, if none is pinned yet. */
  pin(relayKey: Uint8Array): void {
    this.#relayKey ??= relayKey
  }

  /** Why the last session ended, if the relay said so, until one opens again. */
  get trouble(): Trouble | null {
    return this.#trouble
  }

  watch(watcher: (state: ConnectionState) => void): Stop {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  /** Hears the relay's time, in milliseconds, each time it says it. */
  hear(hearer: (timeMs: number) => void): Stop {
    this.#hearers.add(hearer)
    return () => this.#hearers.delete(hearer)
  }

  /** Puts a log on this connection, which dials if it must. */
  join(log: LogId, line: Line): Stop {
    const key = hex(log)
    this.#lines.set(key, line)
    const state = this.#state
    if (state.state === 'resting') this.#dial()
    else if (state.state === 'open' && state.nonces) line.opened(state.nonces)
    return () => {
      if (this.#lines.get(key) === line) this.#lines.delete(key)
    }
  }

  /** Dials now, whatever the wait. */
  open(): void {
    if (this.#state.state === 'waiting') this.#state.stop()
    if (this.#state.state === 'waiting' || this.#state.state === 'resting') this.#dial()
  }

  /** This device is another one from now on, and greets its relay anew. */
  renew(device: DeviceKeys): void {
    this.#device = device
    const state = this.#state
    if (state.state !== 'dialing' && state.state !== 'open') return
    this.#drop(state.socket)
    this.open()
  }

  send(frame: Frame): boolean {
    if (this.#state.state !== 'open') return false
    const bytes = encodeFrame(frame)
    this.#unanswered += bytes.length
    this.#state.socket.send(bytes)
    return true
  }

  close(): void {
    const state = this.#state
    if (state.state === 'closed') return
    if (state.state === 'waiting') state.stop()
    this.#become({ state: 'closed' })
    if (state.state === 'dialing' || state.state === 'open') state.socket.close()
  }

  #dial(): void {
    const session = new ClientSession({
      suite: this.#suite,
      device: this.#device,
      relayKey: this.#relayKey,
      dice: this.#world.dice
    })
    const socket: Socket = this.#world.connect(this.url, {
      open: () => this.#run(socket, session, session.start()),
      message: bytes => {
        this.#unanswered = socket.bufferedBytes
        this.#run(socket, session, session.receive(bytes), bytes.length)
      },
      close: () => this.#lost(socket)
    })
    const inbox = new Inbox(socket, {
      resumed: () => {
        if (this.#state.state === 'open' && this.#state.socket === socket) this.#ping(socket)
      },
      overflowed: () => this.#drop(socket)
    })
    this.#become({ state: 'dialing', socket, session, inbox, nonces: null })
  }

  /** @param bytes of the frame that brought them */
  #run(socket: Socket, session: ClientSession, effects: ReturnType<ClientSession['receive']>, bytes = 0): void {
    for (const effect of effects) {
      const state = this.#state
      if ((state.state !== 'dialing' && state.state !== 'open') || state.session !== session) return
      switch (effect.do) {
        case 'send':
          socket.send(effect.frame)
          break
        case 'open':
          this.#failures = 0
          this.#trouble = null
          this.#relayKey = effect.nonces.relayKey
          this.#heard(effect.timeMs)
          this.#become({ state: 'open', socket, session, inbox: state.inbox, nonces: effect.nonces })
          this.#ping(socket)
          for (const line of [...this.#lines.values()]) line.opened(effect.nonces)
          break
        case 'deliver': {
          const handled = this.#deliver(effect.frame)
          if (handled) state.inbox.hold(bytes, handled)
          break
        }
        case 'close':
          this.#trouble = troubleOf(effect.refusal, effect.keyChanged)
          socket.close()
          break
      }
    }
  }

  #heard(timeMs: number): void {
    for (const hearer of [...this.#hearers]) hearer(timeMs)
  }

  #deliver(frame: Frame): Promise<void> | undefined {
    if (frame.type === 'pong') this.#heard(frame.timeMs)
    return 'log' in frame && frame.log ? this.#lines.get(hex(frame.log))?.frame(frame) : undefined
  }

  /** A connection that died without a word is noticed: a ping is sent, and nothing comes. */
  #ping(socket: Socket): void {
    this.#stopPing?.()
    this.#stopPing = this.#world.timer(limits.PING_MS, () => {
      const { receivedBytes, bufferedBytes } = socket
      const before = Math.max(bufferedBytes, this.#unanswered)
      this.send({ type: 'ping' })
      const waitMs = PONG_MS_MAX + (1000 * before) / BYTES_PER_SECOND_MIN
      this.#stopPing = this.#world.timer(waitMs, () => {
        const isPaused = this.#state.state === 'open' && this.#state.inbox.isPaused
        if (isPaused || socket.receivedBytes > receivedBytes) this.#ping(socket)
        else this.#drop(socket)
      })
    })
  }

  #drop(socket: Socket): void {
    socket.close()
    this.#lost(socket)
  }

  #lost(socket: Socket): void {
    const state = this.#state
    if ((state.state !== 'dialing' && state.state !== 'open') || state.socket !== socket) return
    const widest = Math.min(WAIT_MS_MAX, WAIT_MS_FIRST * 2 ** this.#failures++)
    const restarting = this.#trouble?.refusal.code === 'RELAY_CLOSING'
    const asked = this.#trouble?.refusal.retryAfterMs ?? 0
    const waitMs = asked + this.#world.jitter() * (restarting ? Math.max(widest, WAIT_MS_AFTER_RESTART) : widest)
    const stop = this.#world.timer(waitMs, () => {
      if (this.#state.state === 'waiting') this.#dial()
    })
    this.#become({ state: 'waiting', stop })
    if (state.state === 'open') for (const line of [...this.#lines.values()]) line.closed()
  }

  #become(state: State): void {
    if (this.#state.state === 'closed') return
    this.#state = state
    if (state.state !== 'open') {
      this.#stopPing?.()
      this.#stopPing = null
    }
    for (const watcher of [...this.#watchers]) watcher(this.state)
  }
}
