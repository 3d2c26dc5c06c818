/**
 * A database whose values are sealed under one key, which lives in a file of its own: destroying 32 bytes makes every
 * byte that LevelDB may still hold unreadable. Not here: what the records mean.
 */
import { type Dice, LendError, type Suite } from '@lend/engine'
import type { Database, Disk } from '../world.ts'
import { diskError } from './disk-error.ts'

export interface Change {
  readonly key: string
  /** Null deletes. */
  readonly value: Uint8Array | null
}

const utf8 = new TextEncoder()

export class SealedStore {
  readonly #suite: Suite
  readonly #dice: Dice
  readonly #database: Database
  readonly #key: Uint8Array

  private constructor(suite: Suite, dice: Dice, database: Database, key: Uint8Array) {
    this.#suite = suite
    this.#dice = dice
    this.#database = database
    this.#key = key
  }

  /**
   * @param o.name of the database; @param o.keyFile of its key, which is made when there is none
   * @throws LendError of the disk, see world.ts
   */
  static async open(o: { suite: Suite; dice: Dice; disk: Disk; name: string; keyFile: string }): Promise<SealedStore> {
    let key = await o.disk.readFile(o.keyFile)
    if (key?.length !== 32) {
      // The key is written before its database, and a wipe has its marker: a database without one has lost it.
      if ((await o.disk.list(o.name)).length > 0) {
        throw new LendError(
          'STORE_CORRUPT',
          'the key of a database on this device is missing; restore it, or the folder'
        )
      }
      key = o.dice(32)
      await o.disk.writeFile(o.keyFile, key)
    }
    return new SealedStore(o.suite, o.dice, await o.disk.openDatabase(o.name), key)
  }

  async get(key: string): Promise<Uint8Array | null> {
    const sealed = await this.#database.get(key)
    return sealed === undefined ? null : this.#open(key, sealed)
  }

  /** All records whose key begins with `prefix`, in order of their keys. */
  async *range(prefix: string): AsyncIterable<{ key: string; value: Uint8Array }> {
    for await (const [key, sealed] of this.#database.iterator({ gte: prefix, lt: `${prefix}\uffff` })) {
      yield { key, value: this.#open(key, sealed) }
    }
  }

  /** All or nothing. @throws LendError DISK_FULL and others of the disk. @param o.durable survives a power cut too, not only the end of this process */
  async write(changes: readonly Change[], o: { durable: boolean }): Promise<void> {
    if (changes.length === 0) return
    const batch = changes.map(({ key, value }) =>
      value === null
        ? { type: 'del' as const, key }
        : { type: 'put' as const, key, value: this.#suite.seal(this.#key, value, utf8.encode(key), this.#dice) }
    )
    try {
      await this.#database.batch(batch, { sync: o.durable } as object)
    } catch (error) {
      throw diskError(error)
    }
  }

  async close(): Promise<void> {
    await this.#database.close()
  }

  #open(key: string, sealed: Uint8Array): Uint8Array {
    const value = this.#suite.open(this.#key, sealed, utf8.encode(key))
    if (!value) throw new LendError('STORE_CORRUPT', 'a record on this device is damaged')
    return value
  }
}
