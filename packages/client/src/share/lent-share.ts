/**
 * A share that is lent to me. Implements `LentShare` of types.ts.
 *
 *   open ⇄ locked      a bare refusal, a lease that ran out, an `until` that passed; contact unlocks
 *   any → ended        an entry that the owner signed, or an act of this account; then the replica is wiped
 */
import { type AccountId, hex, LendError, openName, type ReceiptReason, type ShareList, standingOf } from '@lend/engine'
import type * as Y from 'yjs'
import { asLendError } from '../disk/disk-error.ts'
import type { ReplicaDocument } from '../log/document.ts'
import type { Replica } from '../log/replica.ts'
import { OpenShare, type OpenShareOptions } from './open-share.ts'
import type { EndReason } from './status.ts'
import type { Ended, LentShare } from './types.ts'

/** What ended a share, and by which entry. */
export interface End {
  readonly reason: Extract<ReceiptReason, EndReason>
  readonly accessHead: Uint8Array
}

export interface LentDesk {
  /** Wipes the replica, after the share has let go of it. */
  ended(share: LentShareOpen, end: End): Promise<void>
  leave(share: LentShareOpen): Promise<void>
}

const CHECK_MS_MAX = 60 * 60 * 1000
const KEEP_TIME_MS = 60 * 1000

export class LentShareOpen extends OpenShare implements LentShare {
  readonly #desk: LentDesk
  readonly #device: Uint8Array
  #ended: EndReason | null = null
  #lockedSince: Date | null = null
  #refused = false
  #stopTimer: (() => void) | null = null
  #keptMs = 0
  /** What is on its way while we close is still kept, and starts no timer any more. */
  #closing = false

  private constructor(o: OpenShareOptions, replica: Replica, document: ReplicaDocument, desk: LentDesk) {
    super(o, replica, document)
    this.#desk = desk
    this.#device = o.device.id
  }

  static async open(o: OpenShareOptions, desk: LentDesk): Promise<LentShareOpen> {
    let share: LentShareOpen | null = null
    const { replica, document } = await OpenShare.parts(o, {
      edited: () => {},
      refused: error => share?.refused(error)
    })
    share = new LentShareOpen(o, replica, document, desk)
    share.#checkLock()
    await share.begin()
    return share
  }

  override get doc(): Y.Doc {
    if (this.#ended) throw new LendError('ENDED', 'this share has ended')
    // Timers stand still while a machine sleeps; its clock does not.
    if (!this.#lockedSince && this.replica.world.now() >= this.#endMs) this.#checkLock()
    if (this.#lockedSince) {
      throw new LendError('LOCKED', 'this share is locked until its relay is reached', { retry: 'later' })
    }
    return super.doc
  }

  get owner(): { account: AccountId; name: string } {
    const { list } = this.replica
    if (!list) return { account: this.account, name: '' }
    const key = this.replica.epochKey(1)
    return {
      account: list.owner,
      name: (key && openName(this.replica.suite, this.id, key, list.ownerSealedName)) ?? ''
    }
  }

  get since(): Date {
    return new Date(this.#membership?.joinedMs ?? 0)
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
    this.#stopTimer?.()
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

  override async close(): Promise<void> {
    this.#closing = true
    this.#stopTimer?.()
    await this.replica.commit({ durable: false }).catch(() => {})
    await super.close()
  }

  // --- what sync says ---

  async listSettled(list: ShareList): Promise<void> {
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

  /** The relay's time, while it serves this share. */
  heardFrom(connection: unknown, timeMs: number): void {
    if (connection === this.connection && this.sync.link.state === 'live') this.heard(timeMs)
  }

  heard(timeMs: number): void {
    // The lease runs on the highest time ever seen, so it begins anew there too, whatever the two clocks say.
    const highestMs = Math.max(this.replica.state.highestMs, this.replica.world.now(), timeMs)
    this.#refused = false
    this.replica.set({ heardMs: highestMs, highestMs })
    this.#keepTime(highestMs)
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
    const standing = standingOf(list, this.#device as Parameters<typeof standingOf>[1])
    if (standing.is !== 'former') return null
    const former = list.former.get(hex(this.account))
    if (former) {
      const reason = former.reason === 'left' ? 'left' : former.reason === 'expired' ? 'expired' : 'removed'
      return { reason, accessHead: former.ended }
    }
    if (list.stopped) return { reason: 'stopped', accessHead: list.stopped }
    return { reason: 'device-removed', accessHead: standing.ended }
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
    const locked = this.#refused || nowMs >= endMs
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
