/**
 * What goes to readers: a batch that has become durable, pages of a frame's size, and the reader who sees access entries
 * only (one with an invite, or one that is out).
 */
import { type AccessRecord, type EntryId, encodeFrame, limits, type Placed } from '@lend/engine'
import { SharedFrame } from '../peer.ts'
import type { Seq } from '../store/log-store.ts'
import type { FoldedLog } from './folded-log.ts'
import type { Requester } from './host.ts'

/** One reader of a log. */
export interface Reading {
  publish(batch: Batch): void
  /** Its socket takes frames again, or it has just come. */
  drained(): void
  /** The log was folded anew and may have grown. */
  behind(): void
  end(): void
}

/** Entries for one frame; the relay begins a new one where it would get long, so that frames interleave fairly. */
export class Page {
  #entries: Placed[] = []
  #bytes = 0

  get entries(): readonly Placed[] {
    return this.#entries
  }

  fits({ bytes }: Placed): boolean {
    if (this.#entries.length === 0) return true
    return this.#entries.length < limits.FRAME_ENTRIES_MAX && this.#bytes + bytes.length <= limits.FRAME_BYTES_WANTED
  }

  add({ seq, timeMs, bytes }: Placed): void {
    this.#entries.push({ seq, timeMs, bytes })
    this.#bytes += bytes.length
  }

  clear(): void {
    this.#entries = []
    this.#bytes = 0
  }
}

/** What became durable in one write: for all live readers the same frames, made when the first one wants them. */
export class Batch {
  readonly entries: readonly Placed[]
  readonly upTo: Seq
  readonly #folded: FoldedLog
  #frames: SharedFrame[] | null = null

  constructor(folded: FoldedLog, entries: readonly Placed[]) {
    this.entries = entries
    this.upTo = folded.tip.seq
    this.#folded = folded
  }

  frames(): readonly SharedFrame[] {
    this.#frames ??= this.#make()
    return this.#frames
  }

  #make(): SharedFrame[] {
    const frames: SharedFrame[] = []
    const page = new Page()
    const { log, lives } = this.#folded
    const head = this.#folded.head()
    const send = (upTo: Seq) => {
      const { entries } = page
      frames.push(
        new SharedFrame(encodeFrame({ type: 'entries', log, incarnation: lives.current, upTo, head, entries }))
      )
      page.clear()
    }
    for (const entry of this.entries) {
      if (!page.fits(entry)) send(entry.seq - 1)
      page.add(entry)
    }
    if (page.entries.length > 0) send(this.upTo)
    return frames
  }
}

/** Shows the access entries from one place on, up to the one that put the reader out, or for as long as it stays. */
export class AccessReader implements Reading {
  readonly #source: { readonly folded: FoldedLog }
  readonly #requester: Requester
  readonly #from: Seq
  readonly #last: EntryId | null
  readonly #done: () => void
  #next: number

  /**
   * @param from the reader's cursor, which stays where it is: below it there may be what it never sees
   * @param last null to go on with what comes
   * @param done called once `last` was sent
   */
  constructor(
    source: { readonly folded: FoldedLog },
    requester: Requester,
    o: { from: Seq; last: EntryId | null; done: () => void }
  ) {
    this.#source = source
    this.#requester = requester
    this.#from = o.from
    this.#last = o.last
    this.#done = o.done
    this.#next = firstAfter(source.folded.state.access.records, o.from)
  }

  /** What is still to come. */
  totals(): { entries: number; bytes: number } {
    const left = this.#source.folded.state.access.records.slice(this.#next, this.#end())
    return { entries: left.length, bytes: left.reduce((sum, { entry }) => sum + entry.bytes.length, 0) }
  }

  /** The head that its frames carry: nothing of what it is not shown. */
  head(): Uint8Array {
    return this.#source.folded.headAt(this.#end() - 1)
  }

  publish(): void {
    this.drained()
  }

  behind(): void {
    this.drained()
  }

  drained(): void {
    const { folded } = this.#source
    const { records } = folded.state.access
    const end = this.#end()
    const page = new Page()
    while (this.#next < end && !this.#requester.isBlocked) {
      for (; this.#next < end; this.#next++) {
        const record = records[this.#next]
        if (!record) break
        const placed = { seq: record.seq, timeMs: record.timeMs, bytes: record.entry.bytes }
        if (!page.fits(placed)) break
        page.add(placed)
      }
      const { entries } = page
      const head = folded.headAt(this.#next - 1)
      const incarnation = folded.lives.current
      this.#requester.send({ type: 'entries', log: folded.log, incarnation, upTo: this.#from, head, entries })
      page.clear()
    }
    if (this.#last && this.#next >= end) this.#done()
  }

  end(): void {
    this.#next = Number.POSITIVE_INFINITY
  }

  /** The index after the last record that it is shown now: nothing that is not durable yet. */
  #end(): number {
    const { state, tip } = this.#source.folded
    const last = state.access.indexOf(this.#last ?? tip.accessHead)
    return last === null ? 0 : last + 1
  }
}

/** The index of the first record above a seq; their number when there is none. */
export function firstAfter(records: readonly AccessRecord[], seq: Seq): number {
  let low = 0
  let high = records.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((records[middle]?.seq ?? 0) <= seq) low = middle + 1
    else high = middle
  }
  return low
}
