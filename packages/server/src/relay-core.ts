/**
 * A relay without sockets, disk or timers: peers in front, a store behind, time and randomness passed in. Sockets bring
 * peers to it (socket.ts); a simulator brings its own.
 */
import {
  type AccessHistory,
  type AccountId,
  type Dice,
  hex,
  type LogId,
  logId,
  Refusal,
  refuse,
  type Suite
} from '@lend/engine'
import { type Logger, pino } from 'pino'
import { checkLimits, type RelayLimits } from './config.ts'
import { Connection, type Front } from './connection.ts'
import { Creations } from './hosting/creations.ts'
import type { Host } from './hosting/host.ts'
import { HostedLog } from './hosting/hosted-log.ts'
import { InUse } from './hosting/in-use.ts'
import { Slots } from './hosting/slots.ts'
import { Turns } from './hosting/turns.ts'
import { rememberVerified } from './hosting/verified.ts'
import { type Metrics, newMetrics } from './metrics.ts'
import type { Peer, Session } from './peer.ts'
import type { RelayKeys } from './relay-key.ts'
import type { LogStore } from './store/log-store.ts'

export interface CoreOptions {
  readonly suite: Suite
  readonly store: LogStore
  readonly keys: RelayKeys
  readonly clock: () => number
  readonly dice: Dice
  /** Resolves in a later turn of the event loop, when others had theirs. */
  readonly nextTurn: () => Promise<void>
  readonly limits?: Partial<RelayLimits>
  readonly logger?: Logger
  readonly onFatal: (error: Error) => void
}

//   open → closing → closed      open → failed
type State = 'open' | 'closing' | 'closed' | 'failed'

export class RelayCore implements Front {
  readonly host: Host
  readonly keys: RelayKeys
  readonly #metrics: Metrics = newMetrics()
  readonly #connections = new Set<Connection>()
  /** Log hex → the log in use; those that came into use last stand last. */
  readonly #logs = new Map<string, HostedLog>()
  readonly #idle = new Set<HostedLog>()
  #state: State = 'open'

  constructor(o: CoreOptions) {
    this.keys = o.keys
    const limits = checkLimits(o.limits)
    let nowMs = 0
    this.host = {
      suite: rememberVerified(o.suite),
      store: o.store,
      dice: o.dice,
      limits,
      logger: o.logger ?? pino({ level: 'silent' }),
      metrics: this.#metrics,
      headKey: o.keys.headKey,
      slots: new Slots(limits.readsAtOnce),
      folds: new Slots(limits.readsAtOnce),
      turns: new Turns(o.nextTurn),
      creations: new Creations(limits),
      inUse: new InUse(),
      now: () => {
        nowMs = Math.max(nowMs, Math.floor(o.clock()))
        return nowMs
      },
      fatal: error => {
        if (this.#state === 'failed') return
        this.#state = 'failed'
        o.onFatal(error)
      },
      libraryOf: account => this.#libraryOf(account)
    }
  }

  get isClosing(): boolean {
    return this.#state !== 'open'
  }

  metrics(): Metrics {
    return { ...this.#metrics, connections: this.#connections.size, hostedLogs: this.#logs.size }
  }

  /** Takes a peer in; the edge passes on what comes from it. */
  connect(peer: Peer): Session {
    const connection = new Connection(this, peer)
    this.#connections.add(connection)
    if (this.isClosing) connection.close(closing())
    return connection
  }

  /** To be called about once a second. */
  tick(): void {
    const nowMs = this.host.now()
    for (const connection of [...this.#connections]) connection.tick(nowMs)
    for (const log of [...this.#logs.values()]) log.tick(nowMs)
  }

  /** Answers what was asked, then refuses everyone. The store stays open. */
  async close(): Promise<void> {
    if (this.#state === 'open') this.#state = 'closing'
    if (this.#state === 'closing') await Promise.all([...this.#logs.values()].map(log => log.settled()))
    for (const connection of [...this.#connections]) connection.close(closing())
    if (this.#state === 'closing') this.#state = 'closed'
  }

  logOf(id: LogId): HostedLog {
    const key = hex(id)
    const known = this.#logs.get(key)
    if (known) {
      this.#idle.delete(known)
      return known
    }
    const log = new HostedLog(this.host, logId(new Uint8Array(id)), idle => this.#keepIdle(idle))
    this.#logs.set(key, log)
    return log
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection)
  }

  #keepIdle(log: HostedLog): void {
    this.#idle.delete(log)
    this.#idle.add(log)
    for (const oldest of this.#idle) {
      if (this.#idle.size <= this.host.limits.idleLogs) break
      this.#idle.delete(oldest)
      if (oldest.isIdle) this.#logs.delete(hex(oldest.log))
    }
  }

  /** @throws Refusal STORE_CORRUPT: of an account whose library is damaged nobody can say which devices it has */
  async #libraryOf(account: AccountId): Promise<AccessHistory> {
    const log = this.logOf(logId(account))
    const library = await log.peek()
    if (log.isIdle) this.#keepIdle(log)
    if (library) return library.state.access
    throw refuse('STORE_CORRUPT', 'the library of this account is damaged at its relay: ask its operator to restore it')
  }
}

function closing(): Refusal {
  return new Refusal('RELAY_CLOSING', 'the relay is closing; connect again in a moment', 1000)
}
