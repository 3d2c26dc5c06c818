/**
 * The writing side of a log: edits become entries, entries go to the relay, access statements before data.
 *
 *   captured → kept → sent → acknowledged      of an edit, see also outbox.ts
 *                     sent → kept              refused, or the connection was lost
 *
 * It writes only while the link is live, and says what a refusal asks of the reading side; it never asks by itself.
 */
import {
  type AccessList,
  type DeviceKeys,
  type DocumentId,
  difference,
  type Entry,
  type EntryId,
  type Frame,
  LendError,
  limits,
  type Refusal,
  type Statement,
  same
} from '@lend/engine'
import type { Doc } from 'yjs'
import type { Stop } from '../world.ts'
import { AccessAuthor } from './author.ts'
import { Compaction } from './compaction.ts'
import { FlushTimer } from './flush-timer.ts'
import { Outbox } from './outbox.ts'
import { cloned } from './reading.ts'
import { KEYS, NO_INCARNATION, put } from './records.ts'
import type { Replica } from './replica.ts'

/** What must happen on the reading side before the refused entry can go again. */
export type Remedy = 'none' | 'follow' | 'read-anew'

export interface PublisherOptions<L extends AccessList> {
  readonly replica: Replica<L>
  readonly device: DeviceKeys
  readonly writable: boolean
  /** The log is read up to its head. */
  readonly isLive: () => boolean
  /** Data waits while an access statement is wanted. */
  readonly holdsData: () => boolean
  /** False when there is no connection. */
  readonly send: (frame: Frame) => boolean
  /** Runs it after what is under way. */
  readonly enqueue: (run: () => Promise<void>) => void
  /** What is unsaved or unsent has changed. */
  readonly changed: () => void
  readonly refused: (error: LendError) => void
  readonly failed: (error: LendError) => void
}

/** The first edit leaves at once; those within this time of the last entry merge. */
const MERGE_MS = 50
/** Edits wait no longer than this for the acknowledgement of the entry before them. */
const MERGE_MS_MAX = 250
const RETRY_MS = 10_000
/** Documents that are in memory together while all of them are published anew. */
const REPUBLISHED_AT_ONCE = 64

export class Publisher<L extends AccessList> {
  readonly #o: PublisherOptions<L>
  readonly #replica: Replica<L>
  readonly #outbox: Outbox
  readonly #author: AccessAuthor<L>
  readonly #compaction: Compaction
  readonly #flushTimer: FlushTimer
  /** The relay asked for a pause. */
  #pause: Stop | null = null
  /** Edits that are taken from their documents and not durable yet. */
  #saving = 0
  /** The epoch has changed, and the entry that says so is still to come. */
  #waitsForAccess = false
  /** The relay has been told that nothing of this device is missing. */
  #isReady = false
  #pumping = false
  #pumpAgain = false
  #closed = false

  constructor(o: PublisherOptions<L>) {
    this.#o = o
    this.#replica = o.replica
    this.#compaction = new Compaction(o.replica)
    this.#flushTimer = new FlushTimer(o.replica.world, () => o.enqueue(() => this.flush()))
    this.#outbox = new Outbox(o.replica, o.device)
    this.#author = new AccessAuthor({
      suite: o.replica.suite,
      world: o.replica.world,
      log: o.replica.log,
      device: o.device,
      list: () => o.replica.list,
      has: id => o.replica.history.has(id),
      send: entry => o.isLive() && this.#append([entry.bytes])
    })
  }

  /** Edits that are not durable here yet. */
  get unsaved(): number {
    let sum = this.#saving
    for (const document of this.#replica.edited) sum += document.unsaved
    return sum
  }

  /** Entries that the relay has not acknowledged; while the log is read anew nobody can tell how many it lacks. */
  get unsent(): number {
    return this.#outbox.size + (this.#o.writable && this.#replica.state.republish ? 1 : 0)
  }

  /** What waits from before. When another device wrote here, this one takes its place, see `renew`. */
  async load(): Promise<void> {
    const { device, writable } = this.#o
    await this.#outbox.load()
    if (!writable) return
    const author = await this.#replica.store.get(KEYS.author)
    if (author ? !same(author, device.id) : this.#outbox.isForeign) {
      this.renew(device)
      await this.#replica.commit({ durable: true })
    } else if (!author) this.#replica.change(put(KEYS.author, device.id))
  }

  /**
   * This device is another one from now on, whose counters begin anew: the log is read from its start, and what the
   * documents have and it lacks is published by this one. On disk with the replica's next commit.
   */
  renew(device: DeviceKeys): void {
    const replica = this.#replica
    this.#author.renew(device)
    this.#outbox.renew(device)
    if (!this.#o.writable) return
    replica.change(put(KEYS.author, device.id))
    // Without a list nothing is at the relay, and nothing was to be sent there yet.
    if (replica.list) replica.set({ cursor: null, republish: true })
  }

  /** Writes one access statement; see AccessAuthor.propose. */
  write(decide: (list: L) => Statement | null): Promise<unknown> {
    return this.#author.propose(decide)
  }

  /** @param error what those are told who wait for a statement */
  close(error: LendError): void {
    this.#closed = true
    this.#flushTimer.stop()
    this.#pause?.()
    this.#author.close(error)
  }

  // --- from the app: edits ---

  /** Called at each local edit. */
  edited(): void {
    if (this.#closed) return
    // Told at once when all was saved before; who asks for `synced` right after an edit waits for that edit.
    const isFirst = this.#replica.edited.size === 1 && this.unsaved === 1
    if (!this.#flushTimer.isSet || isFirst) this.#o.changed()
    if (!this.#flushTimer.isSet) this.#flushSoon()
  }

  /** Makes entries of what was captured, saves them, and sends what can be sent. */
  async flush(): Promise<void> {
    const { list, state } = this.#replica
    this.#flushTimer.flushed()
    let added = false
    const edited = [...this.#replica.edited]
    this.#replica.edited.clear()
    for (const document of edited) {
      const edits = document.unsaved
      const update = document.takeCaptured()
      if (!update) continue
      this.#saving += edits
      // Of a stopped share nothing is published any more; it stays its owner's own document. And while the log is read
      // anew the edit is kept: it is published with all else that the log lacks.
      if (!list || isStopped(list) || state.republish) this.#replica.change(...document.keep(update))
      else this.#outbox.add(document, update, list)
      added = true
    }
    if (added) {
      await this.#replica.commit({ durable: true })
      this.#saving = 0
      this.#o.changed()
      await this.pump()
    }
    for (const document of edited) document.assertSound()
  }

  /** Takes a document out of the log for ever; resolves when that is durable here. */
  async drop(id: DocumentId): Promise<void> {
    const { list } = this.#replica
    if (!list || isStopped(list)) return
    await this.#replica.ledger(id)
    this.#outbox.addDrop(id, list)
    await this.#replica.drop(id, { isDue: true })
    this.#o.changed()
    await this.pump()
  }

  /** True while something of this document, or its drop, is not acknowledged. */
  isOnItsWay(id: DocumentId): boolean {
    return this.#outbox.of(id).length > 0 || (this.#replica.opened(id)?.unsaved ?? 0) > 0
  }

  #flushSoon(): void {
    this.#flushTimer.set(this.#o.isLive() && this.#outbox.inFlight > 0 ? MERGE_MS_MAX : MERGE_MS)
  }

  // --- from the reading side ---

  /** A new connection: what was said on the one before is forgotten. */
  opened(): void {
    this.#isReady = false
  }

  lost(): void {
    this.#outbox.lost()
    this.#author.lost()
    this.#waitsForAccess = false
    this.#pause?.()
    this.#pause = null
  }

  /** The log is read from its start: what is on its way will be published from the documents instead. */
  restarted(): void {
    this.#isReady = false
    this.#outbox.clear()
  }

  /** The list has grown. */
  grew(): void {
    this.#waitsForAccess = false
  }

  /** Entries that stand in the log now, this device's own or others'. */
  async applied(entries: readonly Entry[]): Promise<void> {
    if (!this.#o.writable) return
    const { size } = this.#outbox
    for (const entry of entries) {
      if (entry.kind === 'drop') this.#outbox.forget(entry.document)
      // What came behind a drop, which the relay has lost, is only to be dropped again.
      else if (!this.#replica.isDropped(entry.document)) await this.#compaction.grew(entry)
    }
    if (this.#outbox.size !== size) this.#o.changed()
  }

  /**
   * Publishes what the documents have and the log lacks, as this device's next entries: of all documents, each opened for
   * that. Cut off in between, the log is read anew once more, and what was not sent yet is made again.
   * @param inLog what the log has of a document
   */
  async republish(inLog: (document: DocumentId) => Doc): Promise<void> {
    const replica = this.#replica
    const { list } = replica
    if (!list) return
    for (const [i, id] of (await replica.documents()).entries()) {
      const document = await replica.document(id)
      const captured = document.takeCaptured()
      replica.edited.delete(document)
      if (captured) replica.change(...document.keep(captured))
      const missing = document.within(doc => difference(doc, inLog(id)))
      if (missing) this.#outbox.add(document, missing, list)
      if (i % REPUBLISHED_AT_ONCE > 0) continue
      await replica.commit({ durable: false })
      replica.rest()
    }
  }

  /** The link is live, or the list has grown while it is. */
  async advance(): Promise<void> {
    this.#author.advance()
    await this.pump()
  }

  // --- to the relay ---

  /** Sends what can be sent now. Access first: what is written after a removal must not go out before it. */
  async pump(): Promise<void> {
    if (this.#pumping) {
      this.#pumpAgain = true
      return
    }
    this.#pumping = true
    try {
      do {
        this.#pumpAgain = false
        await this.#pumpOnce()
      } while (this.#pumpAgain)
    } finally {
      this.#pumping = false
    }
  }

  async #pumpOnce(): Promise<void> {
    const { list } = this.#replica
    if (!list || !this.#maySend(list)) return
    for (const id of this.#outbox.toSeal(list)) await this.#replica.document(id)
    if (!this.#maySend(list)) return
    const items = await this.#commit(() => this.#outbox.take(list, id => this.#replica.opened(id)))
    for (let i = 0; i < items.length; ) {
      const part: Uint8Array[] = []
      for (let bytes = 0; i < items.length && (part.length === 0 || bytes < limits.FRAME_BYTES_WANTED); i++) {
        const item = items[i]
        if (!item) break
        part.push(item.entry.bytes)
        bytes += item.entry.bytes.length
        item.sent = true
        item.inFlight = true
      }
      this.#append(part)
    }
    if (this.#outbox.size > 0) return
    const due = await this.#compaction.next()
    if (due) {
      await this.#commit(() => this.#outbox.addSnapshot(due, list))
      this.#pumpAgain = true
      return
    }
    if (this.#isReady || this.unsaved > 0) return
    const { cursor } = this.#replica.state
    if (!cursor) return
    this.#isReady = this.#o.send({ type: 'ready', log: this.#replica.log, incarnation: cursor.incarnation })
  }

  /** Data may go out now. */
  #maySend(list: AccessList): boolean {
    if (!this.#o.isLive() || this.#author.busy || list.rotationDue || this.#waitsForAccess) return false
    return this.#o.writable && !this.#pause && !this.#o.holdsData()
  }

  /** Edits that are taken from the documents meanwhile are called saved once the commit is durable. */
  async #commit<T>(take: () => T): Promise<T> {
    const before = this.unsaved
    const taken = take()
    this.#saving += before - this.unsaved
    await this.#replica.commit({ durable: true })
    this.#saving = 0
    return taken
  }

  #append(entries: readonly Uint8Array[]): boolean {
    const incarnation = this.#replica.state.cursor?.incarnation ?? NO_INCARNATION
    return this.#o.send({ type: 'append', log: this.#replica.log, incarnation, entries })
  }

  // --- what the relay says of what was sent ---

  /** @returns whether entries of this device were among them */
  async acked(ids: readonly EntryId[]): Promise<boolean> {
    const items = ids.flatMap(id => this.#outbox.acked(id) ?? [])
    if (items.length === 0) return false
    await this.applied(items.map(item => item.entry))
    for (const { entry } of items) if (entry.kind === 'drop') await this.#settleDrop(entry.document)
    await this.#replica.commit({ durable: false })
    this.#o.changed()
    await this.pump()
    // Nothing is on its way any more: the edits that wait for that wait no longer than any others.
    if (this.#flushTimer.isSet && this.#outbox.inFlight === 0) this.#flushSoon()
    return true
  }

  /**
   * @param topCtr the highest ctr of this device that the log has in the entry's document
   * @returns what is to be done about it; null when the entry is none that waits here
   */
  async refused(id: EntryId, refusal: Refusal, topCtr: number): Promise<Remedy | null> {
    if (this.#author.refused(id, refusal)) return 'none'
    const item = this.#outbox.find(id)
    if (!item) return null
    item.inFlight = false
    switch (refusal.code) {
      case 'EPOCH_STALE':
      case 'EPOCH_UNKNOWN':
        item.stale = true
        this.#waitsForAccess = item.entry.epoch === this.#replica.list?.epoch && !this.#replica.list?.rotationDue
        break
      case 'COVER_AHEAD':
      case 'COVER_BEHIND':
      case 'COVER_MISMATCH':
        item.stale = true
        break
      case 'CTR_GAP':
        if (!this.#outbox.has(item.entry.document, topCtr + 1)) return 'read-anew'
        break
      case 'CTR_REUSED':
        throw cloned()
      case 'RELAY_BEHIND':
      case 'INCARNATION':
        return 'follow'
      case 'COVERED':
      case 'STOPPED':
        this.#outbox.acked(item.entry.id)
        break
      case 'DOCUMENT_DROPPED':
        this.#outbox.forget(item.entry.document)
        if (item.entry.kind === 'drop') await this.#settleDrop(item.entry.document)
        break
      case 'RATE_LIMITED':
      case 'LIMIT_STORAGE':
      case 'STORE_CORRUPT':
        this.#o.refused(new LendError(refusal.code, refusal.message, { retry: 'later' }))
        this.#pauseFor(refusal.retryAfterMs ?? RETRY_MS)
        return 'none'
      default:
        if (refusal.retry === 'later') {
          this.#pauseFor(refusal.retryAfterMs ?? RETRY_MS)
          return 'none'
        }
        this.#o.failed(new LendError('BAD_UPDATE', `the relay refused an edit: ${refusal.message}`, { cause: refusal }))
        return 'none'
    }
    await this.#replica.commit({ durable: false })
    this.#o.changed()
    await this.pump()
    return 'none'
  }

  /** The log has nothing of this document any more. */
  async #settleDrop(document: DocumentId): Promise<void> {
    await this.#replica.drop(document, { isDue: false })
  }

  #pauseFor(ms: number): void {
    this.#pause ??= this.#replica.world.timer(ms, () => {
      this.#pause = null
      this.#o.enqueue(() => this.pump())
    })
  }
}

/** After the stop a log takes nothing any more. */
function isStopped(list: AccessList): boolean {
  return list.kind === 'share' && list.stopped !== null
}
