/**
 * One log folded from its store: what is judged against, what stands durably, and the draft between the two. Not here:
 * who asks and who reads (hosted-log.ts).
 *
 * The fold runs ahead of the store by the draft alone, so after a failed append it is thrown away and folded anew.
 */
import {
  type AccessList,
  decodeEntry,
  type Entry,
  type EntryId,
  emptyLog,
  encodeHead,
  entryId,
  FRAME_NUMBERS,
  foldStored,
  type Head,
  incarnation,
  type LogId,
  type LogState,
  nextRunningHash,
  type Placed,
  Refusal,
  RUNNING_HASH_START,
  SHARE_DOCUMENT,
  type Step,
  same,
  short,
  step
} from '@lend/engine'
import { type LogStore, type Seq, StoreCorrupt, type Stored } from '../store/log-store.ts'
import type { Host } from './host.ts'
import { isMark, Lives } from './lives.ts'
import { keptBytesOf } from './room.ts'
import { SeqIndex } from './seq-index.ts'
import { WORK } from './turns.ts'

const NO_ENTRY = entryId(new Uint8Array(32))
/** Tips whose running hash is kept in memory: 70 KB a log. */
const RECENT_MAX = 1024
/** Records that are folded from the store in one portion. */
const PORTION = 32

/** How far the log stands durably. */
export interface Tip {
  readonly seq: Seq
  readonly runningHash: Uint8Array
  readonly accessHead: EntryId
}

export class FoldedLog {
  readonly log: LogId
  readonly #host: Host
  /** The running hash at each access entry: what a head says to those who see no data. */
  readonly #accessHashes: Uint8Array[] = []
  /** All entries. */
  readonly #index = new SeqIndex()
  /** Those of `share.doc`, which go to a new reader first. */
  readonly #shareDocument = new SeqIndex()
  #state: LogState
  #keptBytes = 0
  #lives = Lives.unborn()
  #tip: Tip = { seq: 0, runningHash: RUNNING_HASH_START, accessHead: NO_ENTRY }
  #draft: Stored[] = []
  /** The running hashes of the latest tips: a record that a snapshot released can't tell its own any more. */
  readonly #recent = new Map<Seq, Uint8Array>([[0, RUNNING_HASH_START]])

  private constructor(host: Host, log: LogId) {
    this.#host = host
    this.log = log
    this.#state = emptyLog(host.suite)
  }

  /** @param lane on whose behalf @throws StoreCorrupt, StoreError */
  static async load(host: Host, log: LogId, lane: object): Promise<FoldedLog> {
    await host.turns.take(WORK.open, lane)
    const folded = new FoldedLog(host, log)
    const { incarnation: first, seq } = await host.store.head(log)
    if (first === '') return folded
    folded.#lives = new Lives(incarnation(new Uint8Array(Buffer.from(first, 'hex'))))
    const released: Seq[] = []
    let records = 0
    for await (const record of host.store.read(log, 0)) {
      if (records++ % PORTION === 0) await host.turns.take(PORTION * WORK.fold, lane)
      // The log that holds another log's receipts: to everyone who names it, it does not exist.
      if (record.bytes[0] === FRAME_NUMBERS.receipts) return new FoldedLog(host, log)
      for (const seq of folded.#foldRecord(record)) released.push(seq)
    }
    folded.#tip = { ...folded.#tip, seq }
    folded.#remember()
    if (released.length > 0) await host.store.forget(log, released)
    return folded
  }

  get state(): LogState {
    return this.#state
  }

  get lives(): Lives {
    return this.#lives
  }

  get tip(): Tip {
    return this.#tip
  }

  get list(): LogState['access']['list'] {
    return this.state.access.list
  }

  /** What access entries and drops take for ever, see room.ts. */
  get keptBytes(): number {
    return this.#keptBytes
  }

  /** Relay time in this log; never goes back. */
  nowMs(): number {
    return Math.max(this.state.timeMs, this.#host.now())
  }

  /** The relay's word on how far the log goes. */
  head(): Uint8Array {
    return this.#encodeHead(this.#tip)
  }

  /** The same as of one access entry, for those who see no data. @param index of its record; −1 for none */
  headAt(index: number): Uint8Array {
    const record = this.state.access.records[index]
    const runningHash = this.#accessHashes[index]
    return this.#encodeHead(
      record && runningHash
        ? { seq: record.seq, runningHash, accessHead: record.entry.id }
        : { seq: 0, runningHash: RUNNING_HASH_START, accessHead: NO_ENTRY }
    )
  }

  /** The same as of the newest access entry that is durable. */
  accessHead(): Uint8Array {
    return this.headAt(this.state.access.indexOf(this.#tip.accessHead) ?? -1)
  }

  /** The running hash at a tip of late; null where only the store can tell. */
  runningHashAt(seq: Seq): Uint8Array | null {
    return this.#recent.get(seq) ?? null
  }

  /** Judges the next entry of the draft. */
  judge(entry: Entry): Step | Refusal {
    return this.#judgeIn(this.#state, entry, () => null)
  }

  /**
   * Judges the create of this log as if it had none yet. A large proof is folded for it once.
   * @param mayBe has the last word on the list of a good one, also when the log has one: then it refuses
   */
  judgeCreate(entry: Entry, mayBe: (list: AccessList) => Refusal | null): Step | Refusal {
    return this.#judgeIn(emptyLog(this.#host.suite), entry, mayBe)
  }

  /** @param state becomes the log's when the entry is taken */
  #judgeIn(state: LogState, entry: Entry, mayBe: (list: AccessList) => Refusal | null): Step | Refusal {
    const place = { seq: this.#nextSeq(), timeMs: this.nowMs() }
    const judged = step(state, entry, place)
    if (judged instanceof Refusal || !judged.taken) return judged
    const refusal = state.access.list && mayBe(state.access.list)
    if (refusal) return refusal
    this.#state = state
    const { runningHash } = state
    this.#put({ ...place, runningHash, bytes: entry.bytes })
    this.#count(entry, place.seq, runningHash, judged.released)
    return judged
  }

  /**
   * Puts an access entry in the draft that was judged when it was first ordered and has been verified again.
   * @returns the seqs that it released
   */
  takeOffered(entry: Entry): readonly Seq[] | Refusal {
    const runningHash = nextRunningHash(this.#host.suite, this.state.runningHash, entry.id)
    const place = { seq: this.#nextSeq(), timeMs: this.nowMs(), runningHash }
    const released = foldStored(this.state, entry, place)
    if (released instanceof Refusal) return released
    this.#put({ ...place, bytes: entry.bytes })
    this.#count(entry, place.seq, runningHash, released)
    return released
  }

  mark(bytes: Uint8Array): void {
    this.#put({ seq: this.#nextSeq(), timeMs: this.nowMs(), runningHash: this.state.runningHash, bytes })
  }

  /**
   * Makes the draft durable.
   * @param lane on whose behalf: what follows is done in a turn that has room for it
   * @returns its entries
   * @throws Conflict, StoreCorrupt, StoreError; then this fold is good for nothing
   */
  async commit(lane: object): Promise<Placed[]> {
    const draft = this.#draft
    const last = draft.at(-1)
    if (!last) return []
    this.#draft = []
    await this.#host.store.append(this.log, draft, this.#tip.seq)
    await this.#host.turns.take(WORK.answer, lane)
    if (this.#tip.seq === 0) {
      const { incarnation: first } = await this.#host.store.head(this.log)
      this.#lives = new Lives(incarnation(new Uint8Array(Buffer.from(first, 'hex'))))
    }
    for (const { bytes } of draft) if (isMark(bytes)) this.#lives.take(bytes)
    this.#tip = { seq: last.seq, runningHash: last.runningHash, accessHead: this.list?.head ?? NO_ENTRY }
    this.#remember()
    return draft.filter(({ bytes }) => !isMark(bytes))
  }

  /** What a reader at `from` has before it. */
  after(from: Seq): { entries: number; bytes: number } {
    return this.#index.after(from)
  }

  /** The next entries of `share.doc` above `from`, so many at most. */
  shareDocumentAfter(from: Seq, max: number): Seq[] {
    return this.#shareDocument.next(from, max)
  }

  #foldRecord(record: Stored): readonly Seq[] {
    this.#tip = { seq: record.seq, runningHash: record.runningHash, accessHead: this.#tip.accessHead }
    if (isMark(record.bytes)) {
      this.#lives.take(record.bytes)
      return []
    }
    const entry = this.#decode(record)
    const folded = foldStored(this.state, entry, record)
    if (folded instanceof Refusal) {
      throw new StoreCorrupt(this.log, `log ${short(this.log)}: record ${record.seq} does not fold: ${folded.code}`)
    }
    this.#count(entry, record.seq, record.runningHash, folded)
    if (entry.kind === 'access') this.#tip = { ...this.#tip, accessHead: entry.id }
    return folded
  }

  /** What is kept of an entry beside the engine's fold. */
  #count(entry: Entry, seq: Seq, runningHash: Uint8Array, released: readonly Seq[]): void {
    this.#index.add(seq, entry.bytes.length)
    if (same(entry.document, SHARE_DOCUMENT)) this.#shareDocument.add(seq, entry.bytes.length)
    this.#index.release(released)
    this.#shareDocument.release(released)
    this.#keptBytes += keptBytesOf(entry)
    if (entry.kind === 'access') this.#accessHashes.push(runningHash)
  }

  #decode(record: Stored): Entry {
    try {
      return decodeEntry(this.#host.suite, record.bytes)
    } catch (error) {
      throw new StoreCorrupt(this.log, `log ${short(this.log)}: record ${record.seq} is no entry`, error)
    }
  }

  #remember(): void {
    this.#recent.set(this.#tip.seq, this.#tip.runningHash)
    const [, oldest] = this.#recent.keys()
    if (this.#recent.size > RECENT_MAX && oldest !== undefined) this.#recent.delete(oldest)
  }

  #nextSeq(): Seq {
    return (this.#draft.at(-1)?.seq ?? this.#tip.seq) + 1
  }

  #put(record: Stored): void {
    this.#draft.push(record)
  }

  #encodeHead(tip: Tip): Uint8Array {
    const head: Head = { log: this.log, incarnation: this.#lives.current, timeMs: this.nowMs(), ...tip }
    return encodeHead(this.#host.suite, head, this.#host.headKey)
  }
}

/**
 * Reads single records: one iterator as long as the next one is near, a new one where the way is long.
 * @param seqs rising; what is not there any more is passed over
 */
export async function* readSeqs(store: LogStore, log: LogId, seqs: readonly Seq[]): AsyncGenerator<Stored> {
  let at = 0
  while (at < seqs.length) {
    const first = seqs[at] ?? 0
    let walked = 0
    for await (const record of store.read(log, first - 1)) {
      while ((seqs[at] ?? Number.POSITIVE_INFINITY) < record.seq) at++
      const wanted = seqs[at]
      if (wanted === undefined) return
      if (wanted === record.seq) {
        at++
        walked = 0
        yield record
      } else if (++walked > WALK_RECORDS_MAX) break
    }
    // The log ended before the next one.
    if ((seqs[at] ?? 0) === first) return
  }
}

/** Reading past a record costs some microseconds, a new iterator some hundred. */
const WALK_RECORDS_MAX = 64
