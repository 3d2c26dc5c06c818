/**
 * A sealed store that rests: while nobody needs more of it than its head, its database is closed, and the head (the few
 * records that say what it is and how far) is kept by another store, its keeper. So one database opens a hundred of them.
 * The head is sealed under this store's own key too: who destroys that key has destroyed the head.
 *
 *   awake → resting      it was not used for a while, or is closed
 *   resting → awake      something is read that is not in the head, or written that is not `light`
 *
 * Cut off anywhere, the head counts while its keeper has it, else the database. To rest: what is in the database is durable,
 * then the head is. To wake: `light` is durable in the database, then the head goes, and only then is anything written.
 */
import { LendError, Reader, Refusal, same, Writer } from '@lend/engine'
import type { Stop, World } from '../world.ts'
import { diskError } from './disk-error.ts'
import { databaseName, decodeGeneration } from './generations.ts'
import { type Change, type RecordStore, SealedStore, type StorePlace } from './sealed-store.ts'

export interface Rest {
  /** Keeps the head. */
  readonly keeper: SealedStore
  /** What the head is called there. */
  readonly name: string
  /** How the keys of the records in the head begin. */
  readonly head: readonly string[]
  /** The one record that is written without waking; it is in the head. */
  readonly light: string
  readonly timer: World['timer']
}

interface Head {
  /** 16 bytes, also in the database that it belongs to. */
  readonly stamp: Uint8Array
  /** By key, in order within each of `Rest.head`. */
  readonly records: Map<string, Uint8Array>
}

type State =
  | { readonly at: 'awake'; readonly store: SealedStore }
  | {
      readonly at: 'resting'
      /** 32 bytes. */
      readonly key: Uint8Array
      readonly stamp: Uint8Array
      /** Null when whoever reads has read it before. */
      readonly records: ReadonlyMap<string, Uint8Array> | null
      /** Newer than in the database. */
      light: Uint8Array | null
    }
  /** Between the two. */
  | { readonly at: 'turning' }
  | { readonly at: 'closed'; readonly why: unknown }

/** It rests after so long without a use, or twice that. */
export const REST_MS = 12_000
/** A store with a larger head does not rest. */
const HEAD_BYTES_MAX = 1024 * 1024
const RECORDS_MAX = 100_000
const KEY_BYTES_MAX = 1024
const STAMP = 'rested'

const utf8 = new TextEncoder()

export class RestingStore implements RecordStore {
  readonly #place: StorePlace
  readonly #rest: Rest
  #state: State
  /** What writes, wakes or rests, one after the other. */
  #queue: Promise<unknown> = Promise.resolve()
  /** Reads that are under way. */
  #readers = 0
  #isUsed = false
  #stopTimer: Stop | null = null

  private constructor(place: StorePlace, rest: Rest, state: State) {
    this.#place = place
    this.#rest = rest
    this.#state = state
  }

  /** Resting if its keeper has its head, else awake. @throws LendError of the disk, see world.ts */
  static async open(place: StorePlace, rest: Rest): Promise<RestingStore> {
    const state = await recall(place, rest)
    if (state) return new RestingStore(place, rest, state)
    const { keeper, name } = rest
    // One that can't be opened must never be taken for one of what is written from now on.
    if ((await keeper.keys(`rest/${name}`)).length > 0) await keeper.write(forgotten(name), { durable: true })
    const opened = new RestingStore(place, rest, { at: 'awake', store: await SealedStore.open(place) })
    opened.#used()
    return opened
  }

  async get(key: string): Promise<Uint8Array | null> {
    const records = this.#headWith(key)
    if (records) return records.get(key) ?? null
    return this.#read(store => store.get(key))
  }

  async *range(prefix: string): AsyncIterable<{ key: string; value: Uint8Array }> {
    const records = this.#headWith(prefix)
    if (records) {
      for (const [key, value] of records) if (key.startsWith(prefix)) yield { key, value }
      return
    }
    this.#readers++
    try {
      yield* (await this.#awake()).range(prefix)
    } finally {
      this.#readers--
      this.#used()
    }
  }

  keys(prefix: string): Promise<string[]> {
    return this.#read(store => store.keys(prefix))
  }

  async write(changes: readonly Change[], o: { durable: boolean }): Promise<void> {
    if (changes.length === 0) return
    await this.#next(async () => {
      if (await this.#writeLight(changes, o)) return
      await (await this.#wake()).write(changes, o)
      this.#used()
    })
  }

  async renew(without: string, signal: AbortSignal): Promise<void> {
    await this.#next(async () => (await this.#wake()).renew(without, signal))
    this.#used()
  }

  /** @param o.rest false when all of it is about to be destroyed */
  async close(o: { rest: boolean }): Promise<void> {
    await this.#next(async () => {
      // What does not rest is opened with its account the next time.
      if (o.rest) await this.#goToRest().catch(() => {})
      const state = this.#state
      this.#state = { at: 'closed', why: new LendError('CLOSED', 'this share was closed') }
      this.#stopTimer?.()
      if (state.at === 'awake') await state.store.close()
    })
  }

  /** The head, if it answers for all keys that begin so. */
  #headWith(prefix: string): ReadonlyMap<string, Uint8Array> | null {
    if (this.#state.at !== 'resting' || !this.#rest.head.some(beginning => prefix.startsWith(beginning))) return null
    return this.#state.records
  }

  async #read<T>(run: (store: SealedStore) => Promise<T>): Promise<T> {
    this.#readers++
    try {
      return await run(await this.#awake())
    } finally {
      this.#readers--
      this.#used()
    }
  }

  /** For who is counted as a reader. */
  #awake(): Promise<SealedStore> {
    return this.#state.at === 'awake' ? Promise.resolve(this.#state.store) : this.#next(() => this.#wake())
  }

  #next<T>(run: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(run)
    this.#queue = done.catch(() => {})
    return done
  }

  #used(): void {
    this.#isUsed = true
    if (this.#state.at === 'awake' && !this.#stopTimer) this.#wait()
  }

  #wait(): void {
    this.#isUsed = false
    this.#stopTimer = this.#rest.timer(REST_MS, () => {
      this.#stopTimer = null
      if (this.#isUsed || this.#readers > 0) return this.#wait()
      // When the disk refuses it goes on awake.
      this.#next(() => this.#goToRest()).catch(() => {})
    })
  }

  // --- one after the other ---

  async #writeLight([change, ...more]: readonly Change[], o: { durable: boolean }): Promise<boolean> {
    const state = this.#state
    const { keeper, name, light } = this.#rest
    if (state.at !== 'resting' || change?.key !== light || !change.value || more.length > 0) return false
    await keeper.write([{ key: lightOf(name), value: this.#seal(state.key, lightOf(name), change.value) }], o)
    state.light = change.value
    return true
  }

  async #wake(): Promise<SealedStore> {
    const state = this.#state
    if (state.at === 'awake') return state.store
    if (state.at !== 'resting') throw state.at === 'closed' ? state.why : new Error('two turns at once')
    const { keeper, name, light } = this.#rest
    try {
      const store = await SealedStore.open(this.#place)
      try {
        const stamp = await store.get(STAMP)
        if (!stamp || !same(stamp, state.stamp)) throw foreignDatabase()
        if (state.light) await store.write([{ key: light, value: state.light }], { durable: true })
        await keeper.write(forgotten(name), { durable: true })
      } catch (error) {
        await store.close()
        throw error
      }
      this.#state = { at: 'awake', store }
      this.#used()
      return store
    } catch (error) {
      // The next start sees for itself what the database is like.
      const known = diskError(error)
      const isCorrupt = known instanceof LendError && known.code === 'STORE_CORRUPT'
      if (isCorrupt) await keeper.write(forgotten(name), { durable: true }).catch(() => {})
      throw known
    }
  }

  async #goToRest(): Promise<void> {
    const state = this.#state
    if (state.at !== 'awake' || this.#readers > 0) return
    const { store } = state
    // Who reads from now on waits for what becomes of this.
    this.#state = { at: 'turning' }
    let rested: State | null
    try {
      rested = await this.#handOver(store)
    } catch (error) {
      await this.#stayAwake(state)
      throw error
    }
    this.#state = rested ?? state
    if (rested) await store.close()
  }

  /** Whether its keeper has the head can't be told: before anything more is written, that head must count for nothing. */
  async #stayAwake(awake: State & { readonly at: 'awake' }): Promise<void> {
    const { keeper, name } = this.#rest
    const { store } = awake
    try {
      const unstamped = [{ key: STAMP, value: null }]
      await keeper.write(forgotten(name), { durable: true }).catch(() => store.write(unstamped, { durable: true }))
      this.#state = awake
    } catch (error) {
      this.#state = { at: 'closed', why: error }
      await store.close()
    }
  }

  /** Hands the head over to its keeper; null when it is too large. */
  async #handOver(store: SealedStore): Promise<State | null> {
    const { disk, dice, keyFile } = this.#place
    const { keeper, name, head } = this.#rest
    const records = new Map<string, Uint8Array>()
    let bytes = 0
    for (const beginning of head) {
      for await (const { key, value } of store.range(beginning)) {
        bytes += key.length + value.length
        if (bytes > HEAD_BYTES_MAX) return null
        records.set(key, value)
      }
    }
    const generation = decodeGeneration(await disk.readFile(keyFile))
    if (!generation) return null
    const { key } = generation
    const stamp = dice(16)
    await store.write([{ key: STAMP, value: stamp }], { durable: true })
    const sealed = this.#seal(key, headOf(name), encodeHead({ stamp, records }))
    await keeper.write([{ key: headOf(name), value: sealed }], { durable: true })
    return { at: 'resting', key, stamp, records: null, light: null }
  }

  #seal(key: Uint8Array, name: string, value: Uint8Array): Uint8Array {
    const { suite, dice } = this.#place
    return suite.seal(key, value, utf8.encode(name), dice)
  }
}

/** What deletes a head from its keeper; to be done with the store that it belongs to. */
export function forgotten(name: string): Change[] {
  return [headOf(name), lightOf(name)].map(key => ({ key, value: null }))
}

function headOf(name: string): string {
  return `rest/${name}`
}

function lightOf(name: string): string {
  return `rest/${name}/light`
}

/** Null when there is no head, none that can be opened, or nothing that it is the head of: the database is all there is then. */
async function recall(place: StorePlace, { keeper, name, light }: Rest): Promise<State | null> {
  const { suite, disk, keyFile } = place
  const generation = decodeGeneration(await disk.readFile(keyFile))
  if (!generation) return null
  const { key, number } = generation
  if ((await disk.list(databaseName(place.name, number))).length === 0) return null
  try {
    const open = async (record: string) => {
      const sealed = await keeper.get(record)
      return sealed && suite.open(key, sealed, utf8.encode(record))
    }
    const head = await open(headOf(name))
    if (!head) return null
    const newest = await open(lightOf(name))
    const { stamp, records } = decodeHead(head)
    if (newest) records.set(light, newest)
    return { at: 'resting', key, stamp, records, light: newest }
  } catch (error) {
    if (error instanceof Refusal || (error instanceof LendError && error.code === 'STORE_CORRUPT')) return null
    throw error
  }
}

function encodeHead({ stamp, records }: Head): Uint8Array {
  const w = new Writer().bytes(stamp)
  return w.list([...records], ([key, value]) => w.text(key).sized(value)).finish()
}

/** @throws Refusal BAD_FRAME */
function decodeHead(bytes: Uint8Array): Head {
  const r = new Reader(bytes, 'BAD_FRAME', 'head')
  const stamp = r.bytes(16)
  return { stamp, records: new Map(r.list(RECORDS_MAX, () => [r.text(KEY_BYTES_MAX), r.sized(2 * HEAD_BYTES_MAX)])) }
}

function foreignDatabase(): LendError {
  return new LendError('STORE_CORRUPT', 'a database on this device is not as it was when it was closed')
}
