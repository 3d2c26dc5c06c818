/**
 * A log as it is open on this device, share or library: replica, sync, and the status that an app sees. What a log means
 * to this account is in share/ and library/.
 */

import type { DeviceId, DeviceKeys, DocumentId } from '@lend/engine'
import { type AccessList, LendError, type LogId, type Receipt } from '@lend/engine'
import { Emitter } from '../emitter.ts'
import type { ConnectionState, RelayConnection } from '../relay/connection.ts'
import type { Stop } from '../world.ts'
import type { Progress } from './link.ts'
import type { Replica } from './replica.ts'
import { type Standing, type Status, sameStatus, statusOf } from './status.ts'
import { LogSync, type SyncListener } from './sync.ts'

/** @template Ended what is told of the end of a lent share; a log of one's own has none */
export interface LogEvents<Ended> {
  change: undefined
  status: Status
  progress: Progress
  ended: Ended
  refused: LendError
  /** A document is no longer in the share; its Y.Doc has been destroyed. */
  unselected: DocumentId
}

export abstract class OpenLog<L extends AccessList, Ended = never>
  extends Emitter<LogEvents<Ended>>
  implements SyncListener<L>
{
  readonly id: LogId
  protected readonly replica: Replica<L>
  protected readonly sync: LogSync<L>
  protected readonly connection: RelayConnection
  readonly #waiters = new Set<() => void>()
  readonly #unwatch: Stop
  #status: Status = { state: 'offline' }
  #device: DeviceKeys
  #failed: LendError | null = null
  #closed = false

  /** @param o.accountProof shown to a relay whose list may not have this device yet, see Contact */
  protected constructor(o: {
    replica: Replica<L>
    device: DeviceKeys
    writable: boolean
    connection: RelayConnection
    accountProof: () => readonly Uint8Array[]
  }) {
    super()
    const { replica, device, writable, connection, accountProof } = o
    this.id = replica.log
    this.#device = device
    this.replica = replica
    this.connection = connection
    this.sync = new LogSync({ replica, device, writable, accountProof, listener: this })
    this.#unwatch = connection.watch((_state: ConnectionState) => this.changed())
  }

  /** Begins to sync. */
  protected begin(): void {
    this.sync.connect(this.connection)
    this.changed()
  }

  get status(): Status {
    return this.#status
  }

  /** This device, as it writes here. */
  get device(): DeviceKeys {
    return this.#device
  }

  /**
   * This device is another one from now on; resolves when that is durable here.
   * @param keep see LogSync
   */
  async renew(device: DeviceKeys, keep?: () => Promise<void>): Promise<void> {
    this.#device = device
    await this.sync.renew(device, keep)
  }

  /** Asks its relay anew, after `renew`. */
  reconnect(): void {
    this.sync.reconnect()
  }

  /** Nothing is read or sent any more, and every verb rejects with `error`; what is edited is still kept here. */
  lock(error: LendError): void {
    void this.sync.disconnect()
    this.failed(error)
  }

  /** Edits and wishes that are not at the relay, whatever the status shows. */
  get unsynced(): number {
    const { unsaved, unsent } = this.standing
    return unsaved + unsent
  }

  synced(o: { signal?: AbortSignal } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (settle: () => void) => {
        this.#waiters.delete(look)
        o.signal?.removeEventListener('abort', aborted)
        settle()
      }
      const aborted = () => stop(() => reject(o.signal?.reason))
      const look = () => {
        const status = this.#status
        if (this.#closed) stop(() => reject(new LendError('CLOSED', 'the account was closed')))
        else if (status.state === 'failed') stop(() => reject(status.error))
        else if (status.state === 'synced' && !this.waits) stop(resolve)
        else if (status.state === 'ended' && !this.waits) {
          stop(this.outlives ? resolve : () => reject(new LendError('ENDED', 'this share has ended')))
        } else if (status.state === 'locked') {
          stop(() =>
            reject(new LendError('LOCKED', 'this share is locked until its relay is reached', { retry: 'later' }))
          )
        }
      }
      if (o.signal?.aborted) return reject(o.signal.reason)
      this.#waiters.add(look)
      o.signal?.addEventListener('abort', aborted)
      look()
    })
  }

  /** Saves what is captured and closes. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#unwatch()
    await this.sync.close()
    this.#closed = true
    await this.replica.close({ keep: true })
    this.changed()
  }

  /** Closes without another word to disk or relay: the replica is about to be destroyed. */
  protected async halt(): Promise<void> {
    this.#unwatch()
    this.sync.halt()
    await this.replica.close()
  }

  /** True for an owner: a stopped share is still its owner's own document. */
  protected get outlives(): boolean {
    return false
  }

  protected get isClosed(): boolean {
    return this.#closed
  }

  /** @throws LendError CLOSED, or why this share failed */
  protected assertUsable(): void {
    if (this.#closed) throw new LendError('CLOSED', 'the account was closed')
    if (this.#failed) throw this.#failed
  }

  // --- what sync says ---

  changed(): void {
    const status = statusOf(this.standing)
    const before = this.#status
    this.#status = status
    if (!sameStatus(before, status)) {
      this.emit('status', status)
      if (status.state === 'syncing') this.emit('progress', status.progress)
    }
    for (const look of [...this.#waiters]) look()
  }

  refused(error: LendError): void {
    this.emit('refused', error)
  }

  failed(error: LendError): void {
    this.#failed = error
    this.changed()
  }

  async listLost(): Promise<void> {}

  abstract cloned(device: DeviceId): void
  abstract listSettled(list: L): Promise<void>
  abstract listRetold(before: L, now: L): Promise<void>
  abstract receipts(receipts: readonly Receipt[]): Promise<void>
  abstract heard(timeMs: number): void

  /** True while something of the list is still to be written. */
  protected abstract get waits(): boolean

  protected get standing(): Standing {
    const { link } = this.sync
    const { trouble } = this.connection
    const corrupt = link.state === 'refused' && link.refusal.code === 'STORE_CORRUPT'
    return {
      ended: null,
      failed:
        this.#failed ?? (corrupt ? new LendError('STORE_CORRUPT', link.refusal.message, { retry: 'later' }) : null),
      lockedSince: null,
      trouble: trouble?.lasts ? trouble.error : null,
      unsaved: this.sync.unsaved,
      unsent: this.sync.unsent,
      link,
      connection: this.connection.state
    }
  }
}
