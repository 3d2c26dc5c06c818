/**
 * A database whose values are sealed under one key, which lives in a file of its own: destroying 32 bytes makes every
 * byte that LevelDB may still hold unreadable. Deleting a record is not that: `renew` moves what is left to a fresh
 * database under a fresh key. Not here: what the records mean.
 */
import { type Dice, LendError, type Suite } from '@lend/engine'
import type { Database, Disk } from '../world.ts'
import { diskError } from './disk-error.ts'
import { databaseName, databasesOf, decodeGeneration, encodeGeneration, type Generation } from './generations.ts'

export interface Change {
  readonly key: string
  /** Null deletes. */
  readonly value: Uint8Array | null
}

/** What keeps records, see SealedStore. */
export interface RecordStore {
  get(key: string): Promise<Uint8Array | null>
  range(prefix: string): AsyncIterable<{ key: string; value: Uint8Array }>
  keys(prefix: string): Promise<string[]>
  write(changes: readonly Change[], o: { durable: boolean }): Promise<void>
  renew(without: string, signal: AbortSignal): Promise<void>
}

/** Where a store is kept. */
export interface StorePlace {
  readonly suite: Suite
  readonly dice: Dice
  readonly disk: Disk
  /** Of the database. */
  readonly name: string
  /** Of its key, which is made when there is none. */
  readonly keyFile: string
}

/** An open database, with its key. */
interface Open extends Generation {
  readonly database: Database
  /** Reads that are under way. */
  readers: number
  /** Called when the last of them ends. */
  unread: () => void
}

const utf8 = new TextEncoder()
/** Bytes of records that move in one batch. */
const BATCH_BYTES = 256 * 1024

export class SealedStore implements RecordStore {
  readonly #place: StorePlace
  #open: Open
  /** It can't be told which database counts at the next start: nothing more may be written. */
  #broken: unknown = null

  private constructor(place: StorePlace, open: Open) {
    this.#place = place
    this.#open = open
  }

  /** @throws LendError of the disk, see world.ts */
  static async open(place: StorePlace): Promise<SealedStore> {
    const { disk, name, keyFile } = place
    let counts = decodeGeneration(await disk.readFile(keyFile))
    if (!counts) {
      // The key is written before its database, and a wipe has its marker: a database without one has lost it.
      for (const other of await databasesOf(disk, name)) {
        if ((await disk.list(other)).length > 0) {
          throw new LendError(
            'STORE_CORRUPT',
            'the key of a database on this device is missing; restore it, or the folder'
          )
        }
      }
      counts = { number: 0, key: place.dice(32) }
      await disk.writeFile(keyFile, encodeGeneration(counts))
    }
    // The move here may have been cut off when only this was left to do.
    if (counts.number > 0) await disk.destroyDatabase(databaseName(name, counts.number - 1))
    const database = await disk.openDatabase(databaseName(name, counts.number))
    return new SealedStore(place, { ...counts, database, readers: 0, unread: () => {} })
  }

  async get(key: string): Promise<Uint8Array | null> {
    const from = this.#open
    return this.#read(from, async () => {
      const sealed = await from.database.get(key)
      return sealed === undefined ? null : this.#unseal(from, key, sealed)
    })
  }

  /** All records whose key begins with `prefix`, in order of their keys. */
  async *range(prefix: string): AsyncIterable<{ key: string; value: Uint8Array }> {
    const from = this.#open
    from.readers++
    try {
      for await (const [key, sealed] of from.database.iterator({ gte: prefix, lt: `${prefix}\uffff` })) {
        yield { key, value: this.#unseal(from, key, sealed) }
      }
    } finally {
      this.#leave(from)
    }
  }

  /** The keys that begin with `prefix`. */
  async keys(prefix: string): Promise<string[]> {
    const from = this.#open
    return this.#read(from, () => from.database.keys({ gte: prefix, lt: `${prefix}\uffff` }).all())
  }

  /** All or nothing. @throws LendError DISK_FULL and others of the disk. @param o.durable survives a power cut too, not only the end of this process */
  async write(changes: readonly Change[], o: { durable: boolean }): Promise<void> {
    if (this.#broken) throw diskError(this.#broken)
    if (changes.length > 0) await this.#write(this.#open, changes, o.durable)
  }

  /**
   * Moves every record but one to a fresh database under a fresh key, then destroys this one: what was deleted from it is
   * on the disk no more. Killed anywhere, the key file says which of the two counts, and the next start removes the other
   * or begins again. Nothing may be written meanwhile.
   * @param without the record that asked for it
   * @throws LendError of the disk; then everything is as it was, or nothing more can be written
   */
  async renew(without: string, signal: AbortSignal): Promise<void> {
    const { disk, name, keyFile, dice } = this.#place
    const old = this.#open
    const number = old.number + 1
    const next = databaseName(name, number)
    await disk.destroyDatabase(next)
    const key = dice(32)
    const fresh: Open = { number, key, database: await disk.openDatabase(next), readers: 0, unread: () => {} }
    try {
      await this.#move(old, fresh, without, signal)
    } catch (error) {
      await fresh.database.close()
      await disk.destroyDatabase(next)
      throw diskError(error)
    }
    try {
      await disk.writeFile(keyFile, encodeGeneration({ number, key }))
    } catch (error) {
      this.#broken = error
      await fresh.database.close()
      throw diskError(error)
    }
    this.#open = fresh
    if (old.readers > 0) {
      await new Promise<void>(resolve => {
        old.unread = resolve
      })
    }
    await old.database.close()
    await disk.destroyDatabase(databaseName(name, old.number))
  }

  async close(): Promise<void> {
    await this.#open.database.close()
  }

  async #move(from: Open, to: Open, without: string, signal: AbortSignal): Promise<void> {
    let part: Change[] = []
    let bytes = 0
    for await (const [key, sealed] of from.database.iterator()) {
      signal.throwIfAborted()
      if (key === without) continue
      const value = this.#unseal(from, key, sealed)
      part.push({ key, value })
      bytes += value.length
      if (bytes < BATCH_BYTES) continue
      await this.#write(to, part, true)
      part = []
      bytes = 0
    }
    if (part.length > 0) await this.#write(to, part, true)
    signal.throwIfAborted()
  }

  async #write({ database, key: sealingKey }: Open, changes: readonly Change[], durable: boolean): Promise<void> {
    const { suite, dice } = this.#place
    const batch = changes.map(({ key, value }) =>
      value === null
        ? { type: 'del' as const, key }
        : { type: 'put' as const, key, value: suite.seal(sealingKey, value, utf8.encode(key), dice) }
    )
    try {
      await database.batch(batch, { sync: durable } as object)
    } catch (error) {
      throw diskError(error)
    }
  }

  async #read<T>(from: Open, run: () => Promise<T>): Promise<T> {
    from.readers++
    try {
      return await run()
    } finally {
      this.#leave(from)
    }
  }

  #leave(from: Open): void {
    if (--from.readers === 0) from.unread()
  }

  #unseal({ key: sealingKey }: Open, key: string, sealed: Uint8Array): Uint8Array {
    const value = this.#place.suite.open(sealingKey, sealed, utf8.encode(key))
    if (!value) throw new LendError('STORE_CORRUPT', 'a record on this device is damaged')
    return value
  }
}
