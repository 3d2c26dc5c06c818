/**
 * What stands in for a share that can't be opened here, or that is gone from here: it says why, by its status and by the
 * error that each of its verbs rejects with. What is known of it without its replica it still says.
 */
import { LendError, type LogId } from '@lend/engine'
import type * as Y from 'yjs'
import { Emitter } from '../emitter.ts'
import type { EndReason, Status } from '../log/status.ts'
import type { HistoryEvent, Invite, Item, LentShare, Member, Missing, Owner, Share, ShareEvents } from './types.ts'

abstract class AbsentShare extends Emitter<ShareEvents> {
  readonly id: LogId
  readonly status: Status
  /** Its title was in the replica. */
  readonly title = ''
  /** Likewise. */
  readonly items: readonly Item[] = []
  readonly unsynced = 0
  readonly #why: LendError

  protected constructor(id: LogId, status: Status, why: LendError) {
    super()
    this.id = id
    this.status = status
    this.#why = why
  }

  get doc(): Y.Doc {
    throw this.#why
  }

  open(): Promise<Y.Doc> {
    return this.rejects()
  }

  synced(): Promise<void> {
    return this.rejects()
  }

  async close(): Promise<void> {}

  rekeyed(): void {}

  lock(): void {}

  async abandon(): Promise<void> {}

  protected rejects(): Promise<never> {
    return Promise.reject(this.#why)
  }
}

/** A share of mine whose replica does not open. */
export class AbsentOwnedShare extends AbsentShare implements Share {
  readonly members: readonly Member[] = []
  readonly invites: readonly Invite[] = []
  readonly missing: readonly Missing[] = []
  readonly leaseMs: number | null

  constructor(id: LogId, leaseMs: number | null, error: LendError) {
    super(id, { state: 'failed', error }, error)
    this.leaseMs = leaseMs
  }

  noted(): void {}

  rename(): Promise<void> {
    return this.rejects()
  }

  select(): Promise<void> {
    return this.rejects()
  }

  unselect(): Promise<void> {
    return this.rejects()
  }

  invite(): Promise<Invite> {
    return this.rejects()
  }

  remove(): Promise<{ voided: readonly Invite[] }> {
    return this.rejects()
  }

  limit(): Promise<void> {
    return this.rejects()
  }

  stop(): Promise<void> {
    return this.rejects()
  }

  history(): Promise<readonly HistoryEvent[]> {
    return this.rejects()
  }
}

/** A share that is lent to me, whose replica does not open or is gone. */
export class AbsentLentShare extends AbsentShare implements LentShare {
  readonly owner: Owner
  readonly since: Date
  readonly leaseEnds = null

  constructor(id: LogId, joined: { owner: Owner; sinceMs: number }, why: LendError | EndReason) {
    const isEnd = typeof why === 'string'
    const status: Status = isEnd ? { state: 'ended', reason: why } : { state: 'failed', error: why }
    super(id, status, isEnd ? new LendError('ENDED', 'this share has ended') : why)
    this.owner = joined.owner
    this.since = new Date(joined.sinceMs)
  }

  leave(): Promise<void> {
    return this.rejects()
  }
}
