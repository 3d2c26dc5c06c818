/**
 * A share as it is open on this device, mine or lent: replica, sync, `share.doc`, status. What differs between owner and
 * member is in owned-share.ts and lent-share.ts.
 */
import {
  type AccountId,
  type DeviceKeys,
  LendError,
  type LogId,
  type Receipt,
  SHARE_DOCUMENT,
  type ShareList
} from '@lend/engine'
import type * as Y from 'yjs'
import { Emitter } from '../emitter.ts'
import type { ReplicaDocument } from '../log/document.ts'
import { Replica, type ReplicaOptions } from '../log/replica.ts'
import { LogSync, type SyncListener } from '../log/sync.ts'
import type { ConnectionState, RelayConnection } from '../relay/connection.ts'
import type { Stop } from '../world.ts'
import { type Standing, type Status, sameStatus, statusOf } from './status.ts'
import type { ShareEvents } from './types.ts'

/** Flat values of the share itself, in `share.doc`. */
export const SHARE_ROOT = 'lend.share'

export interface OpenShareOptions {
  readonly replica: Omit<ReplicaOptions, 'edited' | 'refused'>
  readonly account: AccountId
  readonly device: DeviceKeys
  readonly connection: RelayConnection
}

export abstract class OpenShare extends Emitter<ShareEvents> implements SyncListener {
  readonly id: LogId
  protected readonly replica: Replica
  protected readonly sync: LogSync
  protected readonly connection: RelayConnection
  protected readonly account: AccountId
  readonly #document: ReplicaDocument
  readonly #waiters = new Set<() => void>()
  readonly #unwatch: Stop
  #status: Status = { state: 'offline' }
  #failed: LendError | null = null
  #closed = false

  protected constructor(o: OpenShareOptions, replica: Replica, document: ReplicaDocument) {
    super()
    this.id = replica.log
    this.replica = replica
    this.connection = o.connection
    this.account = o.account
    this.#document = document
    this.sync = new LogSync({
      replica,
      device: o.device,
      writable: o.replica.writable,
      listener: this
    })
    this.#unwatch = o.connection.watch((_state: ConnectionState) => this.changed())
  }

  /** Opens the replica and `share.doc`; connect it with `start`. */
  protected static async parts(
    o: OpenShareOptions,
    on: { edited: () => void; refused: (error: LendError) => void }
  ): Promise<{ replica: Replica; document: ReplicaDocument }> {
    const replica = await Replica.open({ ...o.replica, edited: on.edited, refused: on.refused })
    try {
      return { replica, document: await replica.document(SHARE_DOCUMENT) }
    } catch (error) {
      await replica.close()
      throw error
    }
  }

  /** Loads what waits and begins to sync. */
  protected async begin(): Promise<void> {
    await this.sync.load()
    this.sync.publish(this.#document)
    this.sync.connect(this.connection)
    this.changed()
  }

  get title(): string {
    const title = this.#document.doc.getMap(SHARE_ROOT).get('title')
    return typeof title === 'string' ? title : ''
  }

  get status(): Status {
    return this.#status
  }

  get doc(): Y.Doc {
    if (this.#closed) throw new LendError('CLOSED', 'the account was closed')
    return this.#document.doc
  }

  /** The document, for those inside. */
  protected get shareDocument(): ReplicaDocument {
    return this.#document
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
    await this.replica.close()
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

  abstract listSettled(list: ShareList): Promise<void>
  abstract listRetold(before: ShareList, now: ShareList): Promise<void>
  abstract receipts(receipts: readonly Receipt[]): Promise<void>
  abstract heard(timeMs: number): void

  /** True while something of the list is still to be written. */
  protected abstract get waits(): boolean

  protected get standing(): Standing {
    const { link } = this.sync
    const corrupt = link.state === 'refused' && link.refusal.code === 'STORE_CORRUPT'
    return {
      ended: null,
      failed:
        this.#failed ?? (corrupt ? new LendError('STORE_CORRUPT', link.refusal.message, { retry: 'later' }) : null),
      lockedSince: null,
      unsaved: this.sync.unsaved,
      unsent: this.sync.unsent,
      link,
      connection: this.connection.state
    }
  }
}
