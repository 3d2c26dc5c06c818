/**
 * The reading side of a log, on one connection after the other: asks its relay for the log, offers what the relay lost of
 * the access list, reads up to the head and from then on what comes.
 * The states are those of link.ts.
 *
 * Order of effects: keep, then send, then tell. Not here: what this device writes (publisher.ts).
 */
import {
  type AccessList,
  decodeHead,
  type Entries,
  type Entry,
  type EntryId,
  type Following,
  type Frame,
  type Incarnation,
  type LendError,
  type Refusal,
  refuse,
  same
} from '@lend/engine'
import type { Stop } from '../world.ts'
import { Backoff } from './backoff.ts'
import { advanced, beginReading, type LinkState } from './link.ts'
import { offeringTo } from './offering.ts'
import { cloned, type Reading } from './reading.ts'
import { NO_ENTRY, NO_INCARNATION } from './records.ts'
import type { Replica } from './replica.ts'

/** What a contact tells, in the order in which it happens. */
export interface ContactListener<L extends AccessList> {
  changed(): void
  /** See SyncListener. */
  listSettled(list: L): Promise<void>
  listRetold(before: L, now: L): Promise<void>
  listLost(): Promise<void>
  refused(error: LendError): void
  heard(timeMs: number): void
  /** The log is read from its start: what was on its way is nowhere, until it is found missing. */
  restarted(): void
  /** Data entries have been applied. */
  applied(entries: readonly Entry[]): Promise<void>
  /** The list has grown. */
  grew(): void
  /** Everything up to the head is here; what follows is kept together with that. */
  arrived(): Promise<void>
  /** The link is live, or the list has grown while it is. */
  ready(): Promise<void>
}

/** What the relay said when it was asked last. */
interface Told {
  readonly standing: Following['standing']
  readonly incarnation: Incarnation
  /** The newest access entry that the relay had itself. */
  readonly accessHead: EntryId
  /** How far the log was read. */
  upTo: number
}

const RETRY_MS = 10_000
const LOST_RETRY_MS = 1000
const AGAIN_MS = { firstMs: 250, maxMs: 30_000 }

export class Contact<L extends AccessList> {
  readonly #replica: Replica<L>
  readonly #reading: Reading
  readonly #writable: boolean
  readonly #accountProof: () => readonly Uint8Array[]
  readonly #send: (frame: Frame) => boolean
  readonly #enqueue: (run: () => Promise<void>) => void
  readonly #listener: ContactListener<L>
  readonly #again: Backoff
  #link: LinkState = { state: 'down' }
  #told: Told | null = null
  /** The access entry up to which the list must be folded before it counts. */
  #awaited: EntryId | null = null
  /** The last entry that was offered and is not answered. */
  #offered: EntryId | null = null
  /** The gaps for which the log was read again: the same ones are not read for twice. */
  #gaps = ''
  #timer: Stop | null = null
  #halted = false

  /**
   * @param o.accountProof the library's entries if the log's list may not have this device yet; else none
   * @param o.send false when there is no connection
   * @param o.enqueue runs it after what is under way
   */
  constructor(o: {
    replica: Replica<L>
    reading: Reading
    writable: boolean
    accountProof: () => readonly Uint8Array[]
    send: (frame: Frame) => boolean
    enqueue: (run: () => Promise<void>) => void
    listener: ContactListener<L>
  }) {
    this.#replica = o.replica
    this.#reading = o.reading
    this.#writable = o.writable
    this.#accountProof = o.accountProof
    this.#send = o.send
    this.#enqueue = o.enqueue
    this.#listener = o.listener
    this.#again = new Backoff(o.replica.world, AGAIN_MS)
  }

  get link(): LinkState {
    return this.#link
  }

  /** Nothing is read any more. */
  halt(): void {
    this.#halted = true
    this.#timer?.()
    this.#link = { state: 'down' }
  }

  // --- asking ---

  /** The handshake is done. */
  async opened(): Promise<void> {
    this.#timer?.()
    this.#again.reset()
    const { cursor, republish } = this.#replica.state
    if (!this.#writable || cursor || republish) return this.#follow()
    // A share that its relay has never shown us: its `create` may not be there yet.
    const first = this.#replica.history.records[0]
    // Our own share and nothing of it here: the replica was lost, and our own entries in the log are news to us.
    if (!first) return this.readAnew()
    this.#become({ state: 'asked' })
    const { log } = this.#replica
    this.#send({ type: 'append', log, incarnation: NO_INCARNATION, entries: [first.entry.bytes] })
  }

  lost(): void {
    this.#timer?.()
    this.#awaited = null
    this.#offered = null
    this.#told = null
    this.#become({ state: 'down' })
  }

  /** This device has left the relay, and comes back when something has changed here. */
  parted(): void {
    this.lost()
    this.#become({ state: 'waiting' })
  }

  /** What we know of the log is not what the relay has: asks again. */
  followAgain(): void {
    // All that was sent together is refused alike: asking once is enough.
    if (this.#link.state !== 'asked') this.#followLater(this.#again.next())
  }

  /** Something got through: the next question needs no long wait. */
  progressed(): void {
    this.#again.reset()
  }

  /** The log at the relay lacks what it once acknowledged: it is read from its start. */
  async readAnew(): Promise<void> {
    this.#restart()
    await this.#replica.commit({ durable: true })
    this.#follow()
  }

  #follow(): void {
    this.#timer?.()
    const { cursor, head } = this.#replica.state
    this.#become({ state: 'asked' })
    this.#send({
      type: 'follow',
      log: this.#replica.log,
      cursor,
      head,
      invite: null,
      accountProof: this.#accountProof()
    })
  }

  #followLater(ms: number): void {
    this.#become({ state: 'asked' })
    this.#wait(ms)
  }

  #wait(ms: number): void {
    this.#timer?.()
    this.#timer = this.#replica.world.timer(ms, () => this.#enqueue(async () => this.#follow()))
  }

  #refuse(refusal: Refusal, retryMs: number): void {
    this.#become({ state: 'refused', refusal })
    this.#wait(retryMs)
  }

  #restart(): void {
    this.#replica.restart()
    this.#replica.set({ republish: this.#writable })
    if (this.#writable) this.#reading.collect()
    this.#listener.restarted()
  }

  // --- what the relay answers ---

  async following(frame: Following): Promise<void> {
    const replica = this.#replica
    const { cursor, republish } = replica.state
    const { standing, incarnation } = frame
    const head = decodeHead(frame.head)
    // Without a cursor, yet with a list: a list that was being told anew when this device was stopped.
    const begun = cursor === null && replica.history.records.length > 0
    const anew = cursor ? !same(cursor.incarnation, incarnation) : begun || republish
    this.#offered = this.#offer(head.accessHead, incarnation, anew)
    if (anew) {
      this.#restart()
      await replica.commit({ durable: true })
    }
    // Told anew, the list counts once the relay has what we know better: cut off before that, we must still know it.
    this.#awaited = (anew && this.#offered) || head.accessHead
    this.#told = { standing, incarnation, accessHead: head.accessHead, upTo: 0 }
    if (standing === 'member' || standing === 'owner') this.#listener.heard(head.timeMs)
    if (standing === 'waiting') return this.#become({ state: 'waiting' })
    this.#become(beginReading(frame, head.seq))
    if (frame.entriesTotal === 0 || (cursor && !anew && cursor.seq >= head.seq)) {
      this.#told.upTo = head.seq
      await this.#settle()
      await this.#look()
    }
  }

  /** @param ids the entries that the relay has taken */
  async acked(ids: readonly EntryId[]): Promise<void> {
    const has = (id: EntryId | undefined) => id !== undefined && ids.some(other => same(other, id))
    const created = has(this.#replica.history.records[0]?.entry.id)
    const offered = this.#offered
    if (offered && ids.length === 0) return this.#offerRefused()
    if (offered && has(offered)) {
      this.#offered = null
      // Whom the relay had not served it did not keep as a follower; with these entries it may.
      if (this.#told?.standing === 'former' || this.#link.state === 'refused') return this.followAgain()
    }
    if (created && this.#link.state === 'asked') this.#follow()
  }

  /** The log as a whole was refused, or its `create`. */
  async refused(refusal: Refusal): Promise<void> {
    // An offer or a `ready` that came too late: the log's newer life is on its way to us.
    if (refusal.code === 'INCARNATION') return this.#offerRefused()
    const { cursor, republish } = this.#replica.state
    const isLost = this.#writable && refusal.code === 'NO_ACCESS' && (cursor !== null || republish)
    // Our own share, and the relay does not know it: it lost it, or never had it. What we hold of the list brings it there.
    if (isLost && this.#link.state !== 'refused') {
      await this.#listener.listLost()
      this.#offered = this.#offer(NO_ENTRY, NO_INCARNATION, true)
    }
    this.#refuse(refusal, isLost ? LOST_RETRY_MS : (refusal.retryAfterMs ?? RETRY_MS))
  }

  async entries(frame: Entries): Promise<void> {
    if (this.#link.state === 'down') return
    const replica = this.#replica
    const { entries, broken } = this.#reading.decode(frame.entries)
    const access = this.#reading.access(entries)
    for (const error of [...broken, ...access.refused]) this.#listener.refused(error)
    if (access.folded) this.#listener.grew()
    if (access.folded || this.#awaited) await this.#settle()
    if (this.#halted) return
    const data = await this.#reading.data(entries)
    for (const error of data.refused) this.#listener.refused(error)
    if (data.cloned) throw cloned()
    await this.#listener.applied(data.applied)
    const { cursor, republish } = replica.state
    const isNews = !cursor || frame.upTo > cursor.seq || !same(cursor.incarnation, frame.incarnation)
    // While the log is read anew its cursor counts only once all that it lacks is on its way.
    if (isNews && !republish && !replica.isRetold && frame.upTo > 0)
      replica.set({ cursor: { incarnation: frame.incarnation, seq: frame.upTo } })
    this.seeHead(frame.head)
    await replica.commit({ durable: false })
    if (this.#link.state === 'reading') this.#become(advanced(this.#link, frame.entries))
    if (this.#told) this.#told.upTo = frame.upTo
    if (this.#link.state === 'reading') await this.#look()
    else if (access.folded) await this.#listener.ready()
    if (access.folded) this.#listener.changed()
  }

  /** Keeps the relay's word on how far the log goes: shown again, it tells what was lost. */
  seeHead(bytes: Uint8Array): void {
    const known = this.#replica.state.head
    const head = decodeHead(bytes)
    const before = known && decodeHead(known)
    if (!before || !same(before.incarnation, head.incarnation) || head.seq >= before.seq) {
      this.#replica.set({ head: bytes.slice() })
    }
    const isServed = this.#told?.standing === 'member' || this.#told?.standing === 'owner'
    if (isServed && (this.#link.state === 'live' || this.#link.state === 'reading')) this.#listener.heard(head.timeMs)
  }

  // --- the list ---

  /** @returns the last entry that was offered, null for none */
  #offer(accessHead: EntryId, incarnation: Incarnation, isLost: boolean): EntryId | null {
    const { log, history } = this.#replica
    const offering = offeringTo(accessHead, history, isLost)
    for (const entries of offering?.parts ?? []) this.#send({ type: 'offer', log, incarnation, entries })
    return offering?.last ?? null
  }

  /** The relay keeps to its own list, which an owner's device has settled before us: it counts as it is. */
  async #offerRefused(): Promise<void> {
    this.#offered = null
    if (!this.#told || this.#link.state !== 'reading') return
    this.#awaited = this.#told.accessHead
    await this.#settle()
    await this.#look()
  }

  /** When the list of this contact is all here it counts. */
  async #settle(): Promise<void> {
    const replica = this.#replica
    if (this.#awaited && !replica.has(this.#awaited) && !same(this.#awaited, NO_ENTRY)) return
    this.#awaited = null
    const before = replica.settleAccess()
    if (before && replica.list) await this.#listener.listRetold(before, replica.list)
    if (replica.list) await this.#listener.listSettled(replica.list)
  }

  // --- how far it is read ---

  /** Whether all that the relay promised is here, and the list counts. */
  async #look(): Promise<void> {
    if (this.#halted || this.#link.state !== 'reading' || this.#awaited || !this.#told) return
    // What it says would have ended this share by now, if it were so. A relay's word alone only locks.
    if (this.#told.standing === 'former') return this.#refuse(notFormer(), RETRY_MS)
    if (this.#told.upTo >= this.#link.target) await this.#arrived(this.#told)
  }

  /** Everything up to the head is here. */
  async #arrived({ upTo: seq, incarnation }: Told): Promise<void> {
    const replica = this.#replica
    const { gaps } = replica
    if (gaps !== '' && gaps !== this.#gaps && !replica.state.republish) {
      // Once: what is still missing then is withheld, or was put aside here.
      this.#gaps = gaps
      replica.set({ cursor: null })
      return this.#followLater(this.#again.next())
    }
    if (replica.state.republish) {
      if (this.#writable) await this.#listener.arrived()
      this.#reading.endCollecting()
    }
    if (!replica.isRetold) replica.set({ cursor: { incarnation, seq }, republish: false })
    await replica.commit({ durable: this.#writable })
    this.#become({ state: 'live' })
    await this.#listener.ready()
  }

  #become(link: LinkState): void {
    this.#link = link
    this.#listener.changed()
  }
}

function notFormer(): Refusal {
  return refuse('NO_ACCESS', 'the relay says that this membership has ended and shows no entry that ended it')
}
