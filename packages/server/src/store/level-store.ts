/**
 * The log store in one LevelDB directory for all logs of a relay.
 *
 *     key    := log(32) ‖ seq(8)         seq 0 is the log's meta record, so it comes before all others
 *     meta   := version(1) ‖ incarnation(16) ‖ head(8) ‖ records(8) ‖ bytes(8) ‖ digest(16) ‖ checksum(16)
 *     record := version(1) ‖ timeMs(8) ‖ runningHash(32) ‖ bytes(n) ‖ checksum(16)
 *
 * LevelDB drops records silently when a file is damaged, and returns flipped bytes as if they were sound. So
 * a checksum covers the value and its key, for records also the incarnation (a record of the log's former life must not
 * stand in for one of this), and the meta record counts what the log holds. The digest is the XOR of all checksums: a
 * count alone misses one damaged block that held a `forget` and an `append` of records of the same size, which the padding
 * makes common.
 *
 * Writes of all logs go through one queue. While a synced batch is on its way to the disk, the changes that arrive wait,
 * and form the next batch. Nothing is remembered about a log between two batches.
 *
 * LevelDB's compression is off: entries are sealed, so nothing shrinks, and damage to a compressed block more often stops
 * the compaction, and so the writes, of the whole database (7 of 80 flips of one byte against 0 of 80, at 600 bytes a
 * record). A flipped byte in a key can still do it.
 */
import { EventEmitter } from 'node:events'
import type { LogId } from '@lend/engine'
import { Level } from 'level'
import {
  compare,
  count,
  decodeMeta,
  decodeRecord,
  encodeRecord,
  firstOf,
  HASH_BYTES,
  hex,
  INCARNATION_BYTES,
  KEY_BYTES,
  keyOf,
  LOG_BYTES,
  type Meta,
  metaOperation,
  type Operation,
  rangeOf,
  short,
  tallyOf
} from './level-records.ts'
import { Conflict, type LogStore, type Seq, StoreCorrupt, type Stored, StoreError } from './log-store.ts'

/** A batch is held in memory twice, and nobody in it is answered before all of it is durable. */
const GROUP_BYTES_MAX = 16 * 1024 * 1024
/** Changes of a group are made ready and answered in one turn of the event loop: some 10 ms. */
const GROUP_CHANGES_MAX = 256
/** Forgetting reads each record, and every other write waits meanwhile: some 20 ms. */
const FORGET_RECORDS_MAX = 256
/** What one read takes from LevelDB at once, or one record if that is larger. */
const PAGE_BYTES_MAX = 256 * 1024
const PAGE_RECORDS_MAX = 1024

type Database = Level<Uint8Array, Uint8Array>

interface Change {
  readonly log: LogId
  readonly bytes: number
  /** Reads records of its log from the disk, so no change before it in the group may concern that log. */
  readonly reads: boolean
  /** What to write, by the meta record as the changes before left it. Throws to refuse; then nothing is written. */
  stage(meta: () => Promise<Meta | undefined>): Promise<Staged>
  resolve(head: Seq): void
  reject(cause: unknown): void
}

/** The changed records, and the meta record that goes with them: none for a log that is gone. */
interface Staged {
  readonly operations: readonly Operation[]
  readonly meta: Meta | undefined
}

//   open → failed      open → closed
type State = { name: 'open' } | { name: 'failed'; cause: unknown } | { name: 'closed' }

/**
 * Opens the store, and creates it where there is none.
 * @param o.path a directory for this store alone
 * @param o.dice that many random bytes, for incarnations
 * @throws StoreError ALREADY_OPEN, STORE_UNREADABLE
 */
export async function openLevelStore(o: { path: string; dice: (bytes: number) => Uint8Array }): Promise<LevelStore> {
  return new LevelStore(await openDatabase(o.path), o.dice)
}

/** The database under a store, for tests that put a fault into it. */
export async function openDatabase(path: string): Promise<Database> {
  const db: Database = new Level(path, { keyEncoding: 'view', valueEncoding: 'view', compression: false })
  try {
    await db.open()
    return db
  } catch (thrown) {
    const cause = thrown instanceof Error && thrown.cause !== undefined ? thrown.cause : thrown
    if (codeOf(cause) !== 'LEVEL_LOCKED')
      throw new StoreError('STORE_UNREADABLE', `${path}: not a store I can open`, cause)
    throw new StoreError('ALREADY_OPEN', `${path} is already open, here or in another process: close it there`, cause)
  }
}

export class LevelStore implements LogStore {
  readonly #db: Database
  readonly #dice: (bytes: number) => Uint8Array
  /** Rings the followers of a log, by the log id in hexadecimal. */
  readonly #news = new EventEmitter().setMaxListeners(0)
  #state: State = { name: 'open' }
  #waiting: Change[] = []
  #writing: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #syncs = 0

  /** @param db open, with the encoding `view` for keys and values; it is the store's from here on */
  constructor(db: Database, dice: (bytes: number) => Uint8Array) {
    this.#db = db
    this.#dice = dice
  }

  /** Synced batches so far, for the metrics. */
  get syncs(): number {
    return this.#syncs
  }

  async append(log: LogId, entries: readonly Stored[], expected: Seq): Promise<Seq> {
    let bytes = 0
    let last = expected
    for (const entry of entries) {
      if (!Number.isSafeInteger(entry.seq) || entry.seq <= last) throw new RangeError(`seq ${entry.seq} after ${last}`)
      if (entry.runningHash.length !== HASH_BYTES) throw new RangeError(`running hash: want ${HASH_BYTES} bytes`)
      bytes += entry.bytes.length
      last = entry.seq
    }
    return this.#change(log, bytes, false, async found => {
      const meta = await found()
      const head = meta?.head ?? 0
      if (head !== expected) throw new Conflict(head, expected)
      const incarnation = meta?.incarnation ?? this.#dice(INCARNATION_BYTES)
      const tally = tallyOf(meta)
      const operations = entries.map((entry): Operation => {
        const key = keyOf(log, entry.seq)
        const value = encodeRecord(key, incarnation, entry)
        count(tally, value, 1)
        return { type: 'put', key, value }
      })
      return { operations, meta: { ...tally, incarnation, head: last } }
    })
  }

  async *read(log: LogId, after: Seq, follow?: AbortSignal): AsyncGenerator<Stored, void, undefined> {
    const bell = new Bell()
    this.#news.on(hex(log), bell.ring)
    follow?.addEventListener('abort', bell.ring)
    const cursor: Cursor = { seq: after }
    try {
      while (!follow?.aborted) {
        for await (const record of this.#pass(log, cursor)) {
          if (follow?.aborted) return
          yield record
        }
        if (!follow || cursor.dropped) return
        await bell.rung()
      }
    } finally {
      this.#news.off(hex(log), bell.ring)
      follow?.removeEventListener('abort', bell.ring)
    }
  }

  async forget(log: LogId, seqs: Iterable<Seq>): Promise<void> {
    const all = [...new Set(seqs)]
    for (let i = 0; i < all.length; i += FORGET_RECORDS_MAX) {
      const portion = all.slice(i, i + FORGET_RECORDS_MAX)
      await this.#change(log, 0, true, async found => {
        const meta = await found()
        const operations: Operation[] = []
        if (!meta) return { operations, meta }
        const tally = tallyOf(meta)
        for (const seq of portion.filter(seq => seq >= 1 && seq <= meta.head)) {
          const key = keyOf(log, seq)
          const value: Uint8Array | undefined = await this.#db.get(key)
          if (value === undefined) continue
          decodeRecord(log, meta, key, value)
          count(tally, value, -1)
          operations.push({ type: 'del', key })
        }
        return { operations, meta: { ...meta, ...tally } }
      })
    }
  }

  /** Holds the keys of all records at once, 40 bytes each: half a log must never be left. */
  async drop(log: LogId): Promise<void> {
    await this.#change(log, 0, true, async () => {
      const operations: Operation[] = []
      for await (const key of this.#db.keys(rangeOf(log))) operations.push({ type: 'del', key })
      return { operations, meta: undefined }
    })
  }

  async head(log: LogId): Promise<{ incarnation: string; seq: Seq }> {
    this.#refuse()
    try {
      const meta = await this.#metaOf(log, await this.#db.get(keyOf(log, 0)))
      return meta ? { incarnation: hex(meta.incarnation), seq: meta.head } : { incarnation: '', seq: 0 }
    } catch (thrown) {
      this.#refuse()
      throw corruptIf(log, thrown)
    }
  }

  /** All logs in the order of their ids, corrupt ones too. For operators: one seek a log. */
  async *logs(): AsyncGenerator<LogId, void, undefined> {
    this.#refuse()
    const keys = this.#db.keys()
    try {
      for (let key = await keys.next(); key !== undefined; key = await keys.next()) {
        if (key.length !== KEY_BYTES) continue
        const log = Uint8Array.from(key.subarray(0, LOG_BYTES)) as LogId
        yield log
        keys.seek(rangeOf(log).lte)
      }
    } finally {
      await keys.close()
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#state.name === 'open') this.#state = { name: 'closed' }
    await this.#writing
    this.#ringAll()
    await this.#db.close()
  }

  #refuse(): void {
    if (this.#state.name === 'closed') throw new StoreError('STORE_CLOSED', 'the store is closed')
    if (this.#state.name === 'failed') throw failed(this.#state.cause)
  }

  /** The records behind the cursor as they stand now. One iterator sees one state, the meta record included. */
  async *#pass(log: LogId, cursor: Cursor): AsyncGenerator<Stored, void, undefined> {
    this.#refuse()
    const iterator = this.#db.iterator({ ...rangeOf(log), highWaterMarkBytes: PAGE_BYTES_MAX })
    try {
      const meta = firstOf(log, await iterator.next())
      const incarnation = meta && hex(meta.incarnation)
      cursor.dropped = cursor.incarnation !== undefined && cursor.incarnation !== incarnation
      if (!meta || !incarnation || cursor.dropped) return
      cursor.incarnation = incarnation
      const seen = cursor.seq === 0 ? tallyOf() : undefined
      iterator.seek(keyOf(log, cursor.seq + 1))
      const next = () => iterator.nextv(PAGE_RECORDS_MAX)
      for (let page = await next(); page.length > 0; page = await next()) {
        for (const [key, value] of page) {
          const record = decodeRecord(log, meta, key, value)
          if (seen) count(seen, value, 1)
          cursor.seq = record.seq
          yield record
        }
      }
      if (seen) compare(log, meta, seen)
    } catch (thrown) {
      this.#refuse()
      throw corruptIf(log, thrown)
    } finally {
      await iterator.close()
    }
  }

  /** @param value what a `get` found */
  async #metaOf(log: LogId, value: Uint8Array | undefined): Promise<Meta | undefined> {
    if (value !== undefined) return decodeMeta(log, value)
    // There is none; or it is lost; or it was written just now, and one iterator sees it together with the records.
    const iterator = this.#db.iterator({ ...rangeOf(log), limit: 1 })
    try {
      return firstOf(log, await iterator.next())
    } finally {
      await iterator.close()
    }
  }

  async #change(log: LogId, bytes: number, reads: boolean, stage: Change['stage']): Promise<Seq> {
    this.#refuse()
    return new Promise((resolve, reject) => {
      this.#waiting.push({ log, bytes, reads, stage, resolve, reject })
      this.#writing ??= this.#write()
    })
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) await this.#writeGroup(this.#nextGroup())
    this.#writing = undefined
  }

  #nextGroup(): readonly Change[] {
    const logs = new Set<string>()
    let bytes = 0
    let changes = 0
    for (const change of this.#waiting) {
      const name = hex(change.log)
      bytes += change.bytes
      if (changes > 0 && (bytes > GROUP_BYTES_MAX || (change.reads && logs.has(name)))) break
      if (changes >= GROUP_CHANGES_MAX) break
      logs.add(name)
      changes++
    }
    return this.#waiting.splice(0, changes)
  }

  async #writeGroup(group: readonly Change[]): Promise<void> {
    const onDisk = await this.#metasOnDisk(group)
    const metas = new Map<string, Meta | undefined>()
    const changed = new Map<string, LogId>()
    const operations: Operation[] = []
    // Answers wait for the batch, refusals too: a Conflict must not name a head that is not durable.
    const answers: (() => void)[] = []
    for (const change of group) {
      const name = hex(change.log)
      try {
        const staged = await change.stage(async () =>
          metas.has(name) ? metas.get(name) : this.#metaOf(change.log, onDisk.get(name))
        )
        answers.push(() => change.resolve(staged.meta?.head ?? 0))
        if (staged.operations.length === 0) continue
        for (const operation of staged.operations) operations.push(operation)
        metas.set(name, staged.meta)
        changed.set(name, change.log)
      } catch (thrown) {
        answers.push(() => change.reject(corruptIf(change.log, thrown)))
      }
    }
    for (const [name, log] of changed) operations.push(metaOperation(log, metas.get(name)))
    try {
      if (operations.length > 0) await this.#sync(operations)
    } catch (cause) {
      this.#fail(cause, group)
      return
    }
    for (const answer of answers) answer()
    for (const name of changed.keys()) this.#news.emit(name)
  }

  /** In one call, which is three times as fast. It fails as a whole; then each log is looked up, and fails, by itself. */
  async #metasOnDisk(group: readonly Change[]): Promise<Map<string, Uint8Array | undefined>> {
    const logs = [...new Map(group.map(change => [hex(change.log), change.log]))]
    const keys = logs.map(([, log]) => keyOf(log, 0))
    const values: (Uint8Array | undefined)[] = await this.#db.getMany(keys).catch(() => [])
    return new Map(logs.map(([name], i) => [name, values[i]]))
  }

  async #sync(operations: Operation[]): Promise<void> {
    this.#syncs++
    await this.#db.batch(operations, { sync: true })
  }

  #fail(cause: unknown, group: readonly Change[]): void {
    this.#state = { name: 'failed', cause }
    for (const change of [...group, ...this.#waiting.splice(0)]) change.reject(failed(cause))
    this.#ringAll()
  }

  #ringAll(): void {
    for (const name of this.#news.eventNames()) this.#news.emit(name)
  }
}

/** How far a read has come. */
interface Cursor {
  seq: Seq
  incarnation?: string
  dropped?: boolean
}

/** Tells one follower that there is something to look at. A ring that nobody waits for is kept. */
class Bell {
  #rang = false
  #wake = (): void => {}

  readonly ring = (): void => {
    this.#rang = true
    this.#wake()
  }

  async rung(): Promise<void> {
    if (!this.#rang) {
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
    this.#rang = false
  }
}

function failed(cause: unknown): StoreError {
  return new StoreError('STORE_FAILED', 'a write failed, so the store takes no more: end the process', cause)
}

function corruptIf(log: LogId, thrown: unknown): unknown {
  if (codeOf(thrown) !== 'LEVEL_CORRUPTION') return thrown
  return new StoreCorrupt(log, `log ${short(log)}: LevelDB finds its files damaged`, thrown)
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
}
