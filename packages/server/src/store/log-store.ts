/**
 * The port between a relay and the place where it keeps logs. Adapters: level-store.ts; each one proves itself on
 * tests/contracts/log-store.ts. A store knows bytes and seqs; what an entry means is the engine's affair.
 */
import type { LogId } from '@lend/engine'

/** The relay's number for a record in its log: 1 or more, rising, not always dense. 0 stands before the first. */
export type Seq = number

/** One record as the relay keeps it. */
export interface Stored {
  readonly seq: Seq
  /** Relay time, whole milliseconds since 1970. */
  readonly timeMs: number
  /** 32 bytes: over the entry ids up to this one. */
  readonly runningHash: Uint8Array
  readonly bytes: Uint8Array
}

export interface LogStore {
  /**
   * Adds records behind the head: all or nothing, and durable once it resolves.
   * @param entries their seqs are the caller's, rising, above `expected`; none must change until this settles
   * @param expected the head that the caller has seen; 0 for a log that never was
   * @returns the new head
   * @throws Conflict when the head is another; StoreCorrupt; StoreError
   */
  append(log: LogId, entries: readonly Stored[], expected: Seq): Promise<Seq>
  /**
   * Yields the records above `after` in order, in bounded memory. With `follow`, waits for what is appended later, until
   * the signal aborts or the log is dropped. A read from 0 also checks that nothing is missing, and can only tell at the
   * end of what was there when it began: what it yields is sound, what it has not yielded may be lost until then.
   * @throws StoreCorrupt; StoreError
   */
  read(log: LogId, after: Seq, follow?: AbortSignal): AsyncIterable<Stored>
  /** Deletes single records; the head stays. Seqs that the log does not hold are passed over. Not all or nothing. */
  forget(log: LogId, seqs: Iterable<Seq>): Promise<void>
  /** Deletes the log, also a corrupt one. The next append begins it anew, with another incarnation. */
  drop(log: LogId): Promise<void>
  /** A log that never was, or was dropped, has the incarnation '' and the seq 0. */
  head(log: LogId): Promise<{ incarnation: string; seq: Seq }>
  /** Resolves when all that was asked before is settled. Reads that still run end with STORE_CLOSED. */
  close(): Promise<void>
}

/** Another append was first. Read on from where you were, check again, and append after `head`. */
export class Conflict extends Error {
  readonly code = 'CONFLICT'
  readonly head: Seq

  constructor(head: Seq, expected: Seq) {
    super(`append after seq ${expected}, but the head is ${head}: read on and try again`)
    this.name = 'Conflict'
    this.head = head
  }
}

/** The records of this one log are damaged or missing; other logs are not touched. Only `drop` mends it. */
export class StoreCorrupt extends Error {
  readonly code = 'STORE_CORRUPT'
  readonly log: LogId

  constructor(log: LogId, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'StoreCorrupt'
    this.log = log
  }
}

/**
 * The store as a whole cannot be used.
 *
 * - ALREADY_OPEN: another process, or another store in this one, has it open
 * - STORE_UNREADABLE: it could not be opened; the cause says why
 * - STORE_FAILED: a write failed. What it held may or may not be on disk, so end the process and open the store again
 * - STORE_CLOSED: `close` was called
 */
export class StoreError extends Error {
  readonly code: 'ALREADY_OPEN' | 'STORE_UNREADABLE' | 'STORE_FAILED' | 'STORE_CLOSED'

  constructor(code: StoreError['code'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'StoreError'
    this.code = code
  }
}
