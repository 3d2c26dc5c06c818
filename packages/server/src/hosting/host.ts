/**
 * What every hosted log needs of the relay around it: the store, the clock, the keys and the bounds, passed in, so that a
 * simulator can pass others.
 */
import {
  type AccessHistory,
  type AccountId,
  type DeviceId,
  type Dice,
  type Frame,
  hex,
  type Nonces,
  type Refusal,
  type Suite
} from '@lend/engine'
import type { Logger } from 'pino'
import type { RelayLimits } from '../config.ts'
import type { Metrics } from '../metrics.ts'
import type { SharedFrame } from '../peer.ts'
import type { LogStore } from '../store/log-store.ts'
import type { Creations } from './creations.ts'
import type { InUse } from './in-use.ts'
import type { Slots } from './slots.ts'
import type { Turns } from './turns.ts'

export interface Host {
  readonly suite: Suite
  readonly store: LogStore
  readonly dice: Dice
  readonly limits: RelayLimits
  readonly logger: Logger
  readonly metrics: Metrics
  /** The relay's own secret over its heads. */
  readonly headKey: Uint8Array
  /** Reads of the store at once, over all logs and readers. */
  readonly slots: Slots
  /** Logs that are folded at once: they don't wait for readers. */
  readonly folds: Slots
  /** The event loop, which all logs share. */
  readonly turns: Turns
  readonly creations: Creations
  readonly inUse: InUse
  /** Relay time in ms; never goes back. */
  now(): number
  /** The store as a whole can't be used any more: the process must end. */
  fatal(error: Error): void
  /** An account's own log, without entries when this relay does not have it. @throws Refusal STORE_CORRUPT */
  libraryOf(account: AccountId): Promise<AccessHistory>
}

/** An open session as a log sees it. */
export interface Requester {
  readonly device: DeviceId
  readonly nonces: Nonces
  /** Whose connections count together, see network.ts. */
  readonly network: string
  readonly isOpen: boolean
  /** So much waits in its buffer that nothing should be read for it. */
  readonly isBlocked: boolean
  /** The logs that it follows. */
  readonly followed: Set<Followed>
  send(frame: Frame): void
  sendShared(frame: SharedFrame): void
  close(refusal: Refusal): void
  /** A bug of ours came up while serving it: closes this connection and no other. */
  fail(error: unknown): void
  /** That many bytes of its requests are dealt with. */
  settle(bytes: number): void
}

/** A log that a session follows. */
export interface Followed {
  drained(requester: Requester): void
  leave(requester: Requester): void
}

/** A bug's name and place for a log line: never a stack, which may quote what it choked on. */
export function incident(host: Pick<Host, 'dice' | 'logger'>, error: unknown, where: string): string {
  const id = hex(host.dice(4))
  host.logger.error({ incident: id, error: error instanceof Error ? error.name : typeof error, where }, 'a bug')
  return id
}
