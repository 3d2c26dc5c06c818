/**
 * An access list with its past: what held at which place of the log. A data entry is judged at its own place, so that a
 * reader who comes years later says the same of it as the relay did.
 */
import { foldLibrary, type Judge } from '../access/library-list.ts'
import { foldShare } from '../access/share-list.ts'
import { type AccessList, writers } from '../access/standing.ts'
import { decodeStatement, type Statement } from '../access/statement.ts'
import { hex } from '../bytes/ids.ts'
import type { Suite } from '../crypto/suite.ts'
import type { Entry } from '../entry/entry.ts'
import { Refusal, refuse } from '../refusal.ts'

/** What held from one access entry to the next. */
interface Period {
  readonly seq: number
  readonly epoch: number
  readonly rotationDue: boolean
  readonly writers: ReadonlySet<string>
}

export interface AccessRecord {
  readonly entry: Entry
  readonly statement: Statement
  readonly seq: number
  readonly timeMs: number
}

export class AccessHistory {
  readonly #suite: Suite
  readonly #records: AccessRecord[] = []
  readonly #indexById = new Map<string, number>()
  readonly #periods: Period[] = []
  #list: AccessList | null = null

  constructor(suite: Suite) {
    this.#suite = suite
  }

  /** Null before `create`. The next entry advances it in place: who wants to keep one, or try entries on it, copies it. */
  get list(): AccessList | null {
    return this.#list
  }

  get records(): readonly AccessRecord[] {
    return this.#records
  }

  has(id: Uint8Array): boolean {
    return this.#indexById.has(hex(id))
  }

  /** The place of an access entry in the list, from 0; null when it is not in it. */
  indexOf(id: Uint8Array): number | null {
    return this.#indexById.get(hex(id)) ?? null
  }

  /** Relay time of an access entry, as a device's admission or end names it; null when it is not in the list. */
  timeOf(id: Uint8Array): number | null {
    return this.#records[this.indexOf(id) ?? -1]?.timeMs ?? null
  }

  /**
   * Folds the next access entry. A refused one leaves everything as it was.
   * @param seq over that of the access entry before
   */
  fold(entry: Entry, seq: number, timeMs: number, judge: Judge): Refusal | null {
    if (this.has(entry.id)) return refuse('ACCESS_CONFLICT', 'entry: it is in the list already')
    let statement: Statement
    try {
      statement = decodeStatement(entry.payload)
    } catch (error) {
      if (error instanceof Refusal) return error
      throw error
    }
    const list = this.#advance(entry, statement, timeMs, judge)
    if (list instanceof Refusal) return list
    this.#list = list
    this.#indexById.set(hex(entry.id), this.#records.length)
    this.#records.push({ entry, statement, seq, timeMs })
    const before = this.#periods.at(-1)?.writers
    const now = writers(list)
    // One set for as long as nobody comes or goes: a long list has few of them.
    const kept = before?.size === now.size && [...now].every(device => before.has(device)) ? before : now
    this.#periods.push({ seq, epoch: list.epoch, rotationDue: list.rotationDue, writers: kept })
    return null
  }

  /** Judges a data entry at its place, all but its ctr, covers and signature. */
  judgeData(entry: Entry, seq: number): Refusal | null {
    const place = this.#placeOf(seq)
    const period = this.#periods[place]
    if (!period) return refuse('NO_LOG', 'entry: its log does not exist here')
    if (!period.writers.has(hex(entry.author)))
      return refuse('NOT_OWNER', 'entry: its author is no device of the owner')
    const known = this.indexOf(entry.accessHead)
    if (known === null) return refuse('RELAY_BEHIND', 'entry: it names an access entry that is not here yet')
    if (known > place) return refuse('HEAD_AFTER', 'entry: it names an access entry that came after it')
    if (entry.epoch < period.epoch) {
      return refuse('EPOCH_STALE', `entry: epoch ${entry.epoch}, the share is in ${period.epoch}`)
    }
    if (entry.epoch > period.epoch) {
      return refuse('EPOCH_UNKNOWN', `entry: epoch ${entry.epoch}, the share is in ${period.epoch}`)
    }
    if (period.rotationDue) return refuse('EPOCH_STALE', 'entry: the owner must start the next epoch first')
    return null
  }

  #advance(entry: Entry, statement: Statement, timeMs: number, judge: Judge): AccessList | Refusal {
    const list = this.#list
    const library = list ? list.kind === 'library' : statement.type === 'create-library'
    return library
      ? foldLibrary(this.#suite, list?.kind === 'library' ? list : null, entry, statement, judge)
      : foldShare(this.#suite, list?.kind === 'share' ? list : null, entry, statement, timeMs, judge)
  }

  /** Index of the last period that began at or before `seq`; −1 for none. */
  #placeOf(seq: number): number {
    let low = 0
    let high = this.#periods.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#periods[middle]?.seq ?? 0) <= seq) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}
