/**
 * A share that is lent to me. Implements `LentShare` of types.ts.
 *
 *   open ⇄ locked      a bare refusal, a lease that ran out, an `until` that passed; contact unlocks
 *   any → ended        an entry that the owner signed, or an act of this account; then the replica is wiped
 */
import {
  hex,
  LendError,
  openName,
  type ReceiptReason,
  Refusal,
  SHARE_DOCUMENT,
  type ShareList,
  same,
  standingOf
} from '@lend/engine'
import type * as Y from 'yjs'
import { asLendError } from '../disk/disk-error.ts'
import type { ReplicaDocument } from '../log/document.ts'
import { renewed } from '../log/lease.ts'
import type { Replica } from '../log/replica.ts'
import type { EndReason } from '../log/status.ts'
import { refusedIntent } from '../log/wishes.ts'
import { readManifest, sameItems } from './manifest.ts'
import { idOf, notShared, OpenShare, type OpenShareOptions } from './open-share.ts'
import type { Ended, Item, ItemId, LentShare, Owner } from './types.ts'

/** What ended a share, and by which entry. */
export interface End {
  readonly reason: Extract<ReceiptReason, EndReason>
  readonly accessHead: Uint8Array
}

export interface LentDesk {
  /** What the account's list says of the membership, until the share's own is here. */
  readonly joined: { readonly owner: Owner; readonly sinceMs: number }
  /** Wipes the replica, after the share has let go of it. */
  ended(share: LentShareOpen, end: End): Promise<void>
  leave(share: LentShareOpen): Promise<void>
}

const CHECK_MS_MAX = 60 * 60 * 1000
const TELL_AGAIN_MS = 10_000
const KEEP_TIME_MS = 60 * 1000

export class LentShareOpen extends OpenShare implements LentShare {
  readonly #desk: LentDesk
  readonly #unhear: () => void
  #ended: EndReason | null = null
  #lockedSince: Date | null = null
  #refused = false
  #isLocked = false
  #stopTimer: (() => void) | null = null
  readonly #due: OpenShareOptions['due']
  /** Its account's devices and keys are being written into the list. */
  #isTelling = false
  #stopTelling: (() => void) | null = null
  #keptMs = 0
  #items: readonly Item[] = []
  /** Of which the app has heard. */
  #shown: { readonly title: string; readonly items: readonly Item[] } | null = null
  /** What is on its way while we close is still kept, and starts no timer any more. */
  #closing = false

  private constructor(o: OpenShareOptions, replica: Replica, document: ReplicaDocument, desk: LentDesk) {
    super(o, replica, document)
    this.#desk = desk
    this.#due = o.due
    this.#unhear = o.connection.hear(timeMs => {
      if (this.sync.link.state === 'live') this.heard(timeMs)
    })
  }

  static async open(o: OpenShareOptions, desk: LentDesk): Promise<LentShareOpen> {
    let share: LentShareOpen | null = null
    const { replica, document } = await OpenShare.parts(o, {
      edited: () => {},
      refused: error => share?.refused(error),
      moved: document => {
        if (share && same(document, SHARE_DOCUMENT)) share.#view()
      },
      dropped: document => share?.emit('unselected', document)
    })
    share = new LentShareOpen(o, replica, document, desk)
    share.#checkLock()
    try {
      await share.load()
    } catch (error) {
      await share.abandon()
      throw error
    }
    share.begin()
    return share
  }

  override get doc(): Y.Doc {
    this.#assertReadable()
    return super.doc
  }

  get items(): readonly Item[] {
    const isReadable = !this.#ended && !this.#lockedSince && !this.isClosed
    const { replica } = this
    const listed = isReadable ? this.shareDocument.within(readManifest).filter(({ id }) => !replica.isDropped(id)) : []
    this.#items = sameItems(this.#items, listed)
    return this.#items
  }

  async open(item: Item | ItemId): Promise<Y.Doc> {
    this.#assertReadable()
    this.assertUsable()
    const id = idOf(item)
    if (!this.items.some(other => same(other.id, id))) throw notShared()
    const doc = await this.replica.hold(id)
    if (!this.replica.isDropped(id)) return doc
    doc.destroy()
    throw notShared()
  }

  get owner(): Owner {
    const { list } = this.replica
    const key = this.replica.epochKey(1)
    const name = list && key && openName(this.replica.suite, this.id, key, list.ownerSealedName)
    return list && name ? { account: list.owner, name } : this.#desk.joined.owner
  }

  get since(): Date {
    return new Date(this.#membership?.joinedMs ?? this.#desk.joined.sinceMs)
  }

  get until(): Date | undefined {
    const untilMs = this.#membership?.untilMs ?? null
    return untilMs === null ? undefined : new Date(untilMs)
  }

  get leaseEnds(): Date | null {
    const endsMs = this.#leaseEndsMs
    return endsMs === null ? null : new Date(endsMs)
  }

  leave(): Promise<void> {
    return this.#desk.leave(this)
  }

  /** Lets go of the replica: nothing of it is read or written any more. */
  async letGo(reason: EndReason, tell: (ended: Ended) => void): Promise<Ended> {
    const ended: Ended = { share: this, reason, at: new Date(this.replica.world.now()), wiped: false }
    this.#ended = reason
    this.#unhear()
    this.#stopTimer?.()
    this.#stopTelling?.()
    this.sync.halt()
    this.changed()
    this.emit('ended', ended)
    tell(ended)
    await this.halt()
    return ended
  }

  wiped(ended: Ended): Ended {
    const done = { ...ended, wiped: true }
    this.emit('ended', done)
    return done
  }

  override lock(error: LendError): void {
    this.#isLocked = true
    this.#checkLock()
    super.lock(error)
  }

  override abandon(): Promise<void> {
    this.#closing = true
    this.#unhear()
    this.#stopTimer?.()
    this.#stopTelling?.()
    return super.abandon()
  }

  override async close(): Promise<void> {
    this.#closing = true
    this.#unhear()
    this.#stopTimer?.()
    await this.replica.commit({ durable: false }).catch(() => {})
    await super.close()
  }

  /** @throws LendError ENDED, LOCKED */
  #assertReadable(): void {
    if (this.#ended) throw new LendError('ENDED', 'this share has ended')
    // Timers stand still while a machine sleeps; its clock does not.
    if (!this.#lockedSince && this.replica.world.now() >= this.#endMs) this.#checkLock()
    if (this.#lockedSince) {
      throw new LendError('LOCKED', 'this share is locked until its relay is reached', { retry: 'later' })
    }
  }

  /** Tells of another title or other items. */
  #view(): void {
    const shown = { title: this.title, items: this.items }
    if (shown.title === this.#shown?.title && shown.items === this.#shown.items) return
    this.#shown = shown
    this.emit('change', undefined)
  }

  // --- what sync says ---

  async listSettled(list: ShareList): Promise<void> {
    if (this.isPutOutAsClone(list)) return
    const end = this.#verdict(list)
    if (end && !this.#ended) {
      this.sync.halt()
      void this.#desk.ended(this, end)
      return
    }
    this.#checkLock()
    this.emit('change', undefined)
  }

  async listRetold(): Promise<void> {}

  async receipts(): Promise<void> {}

  /** The relay's word, with its time, while it serves this share. */
  heard(timeMs: number): void {
    const clock = renewed(this.replica.state, this.replica.world.now(), timeMs)
    this.#refused = false
    this.replica.set(clock)
    this.#keepTime(clock.highestMs)
    this.#checkLock()
  }

  override changed(): void {
    const { link } = this.sync
    // A bare refusal, an error or silence only lock; deleting needs the owner's signature.
    if (link.state === 'refused' && link.refusal.code === 'NO_ACCESS' && !this.#refused) {
      this.#refused = true
      this.#checkLock()
    }
    super.changed()
    this.#tellAccount()
  }

  protected get waits(): boolean {
    return false
  }

  protected override get standing() {
    return { ...super.standing, ended: this.#ended, lockedSince: this.#lockedSince }
  }

  get #membership() {
    return this.replica.list?.members.get(hex(this.account)) ?? null
  }

  get #leaseEndsMs(): number | null {
    const leaseMs = this.replica.list?.leaseMs ?? null
    return leaseMs === null ? null : this.replica.state.heardMs + leaseMs
  }

  /** When lease or membership runs out, whichever is first; infinite when neither does. */
  get #endMs(): number {
    return Math.min(...[this.#leaseEndsMs, this.#membership?.untilMs ?? null].filter(ms => ms !== null))
  }

  /** What the list says of this account, once all of it is folded. Absence alone ends nothing. */
  #verdict(list: ShareList): End | null {
    const standing = standingOf(list, this.device.id)
    if (standing.is !== 'former' || !this.replica.endCounts) return null
    const former = list.former.get(hex(this.account))
    if (former) {
      const reason = former.reason === 'left' ? 'left' : former.reason === 'expired' ? 'expired' : 'removed'
      return { reason, accessHead: former.ended }
    }
    if (list.stopped) return { reason: 'stopped', accessHead: list.stopped }
    return { reason: 'device-removed', accessHead: standing.ended }
  }

  /** The list is behind this account's library: it is told of the devices and the keys that came since. */
  #tellAccount(): void {
    const { list } = this.replica
    if (this.#isTelling || this.#closing || this.#ended || this.sync.link.state !== 'live') return
    if (!list?.members.has(hex(this.account)) || !this.#due(list)) return
    this.#isTelling = true
    this.sync.write(this.#due).then(
      () => {
        this.#isTelling = false
      },
      error => {
        if (error instanceof LendError && error.code === 'CLOSED') return
        this.refused(refusedIntent(error))
        const waitMs = (error instanceof Refusal && error.retryAfterMs) || TELL_AGAIN_MS
        this.#stopTelling = this.replica.world.timer(waitMs, () => {
          this.#isTelling = false
          this.#tellAccount()
        })
      }
    )
  }

  /** Writes the lease's clock down now and then, so that neither a crash nor a clock that is set back changes it by much. */
  #keepTime(nowMs: number): void {
    if (this.#ended || this.#closing || nowMs - this.#keptMs < KEEP_TIME_MS) return
    this.#keptMs = nowMs
    this.replica.commit({ durable: false }).catch(error => this.failed(asLendError(error)))
  }

  /** Locks or unlocks by what is known now. Time is the highest ever seen, so that a clock set back gains nothing. */
  #checkLock(): void {
    this.#stopTimer?.()
    const { replica } = this
    const nowMs = Math.max(replica.state.highestMs, replica.world.now())
    if (nowMs > replica.state.highestMs) {
      replica.set({ highestMs: nowMs })
      this.#keepTime(nowMs)
    }
    const endMs = this.#endMs
    const locked = this.#isLocked || this.#refused || nowMs >= endMs
    if (locked && !this.#lockedSince) {
      this.#lockedSince = new Date(nowMs)
      // A clock that is set back gains nothing by a new start either.
      void replica.commit({ durable: true }).catch(() => {})
    }
    if (!locked) this.#lockedSince = null
    if (!this.#ended && !this.#closing) {
      const waitMs = Math.max(1, Math.min(locked ? CHECK_MS_MAX : endMs - nowMs, CHECK_MS_MAX))
      this.#stopTimer = replica.world.timer(waitMs, () => this.#checkLock())
    }
    super.changed()
  }
}
