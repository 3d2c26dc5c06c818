/**
 * The LevelDB store keeps the contract, notices each kind of damage for the damaged log alone, loses nothing to a
 * kill, and syncs in groups.
 */
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { LogId } from '../../../packages/engine/src/bytes/ids.ts'
import { LevelStore, openDatabase, openLevelStore } from '../../../packages/server/src/store/level-store.ts'
import {
  Conflict,
  type LogStore,
  type Seq,
  StoreCorrupt,
  type Stored,
  StoreError
} from '../../../packages/server/src/store/log-store.ts'
import { list, log, logStoreContract, range, record, records, rejects, seqs } from '../../contracts/log-store.ts'
import { sayNow } from '../../say.ts'

type Database = Awaited<ReturnType<typeof openDatabase>>

const LOGS_IN_CHILD = 8
const level = suite<{ path: string }>('level store')

level.before.each(async context => {
  context.path = await mkdtemp(join(tmpdir(), 'lend-store-'))
})
level.after.each(({ path }) => rm(path, { recursive: true }))

level('a second opener is told that the store is already open', async ({ path }) => {
  const store = await openStore(path)
  assert.is((await rejects(openStore(path), StoreError)).code, 'ALREADY_OPEN')
  await store.append(log(1), records(1, 1), 0)
  await store.close()
  await (await openStore(path)).close()
})

level('a directory that LevelDB cannot read is told from one that is open', async ({ path }) => {
  await (await openStore(path)).close()
  await writeFile(join(path, 'CURRENT'), 'MANIFEST-999999\n')
  assert.is((await rejects(openStore(path), StoreError)).code, 'STORE_UNREADABLE')
})

level('the logs are listed once each, in the order of their ids', async ({ path }) => {
  const store = await openStore(path)
  for (const n of [3, 1, 70_000, 2]) await store.append(log(n), records(1, 50), 0)
  await store.drop(log(2))
  assert.equal(await list(store.logs()), [log(1), log(3), log(70_000)])
  await store.close()
})

level('a thousand appends at once take a handful of syncs', async ({ path }) => {
  const store = await openStore(path)
  await Promise.all(
    range(0, 999).map(n => store.append(log(n % 50), [record(Math.floor(n / 50) + 1)], Math.floor(n / 50)))
  )
  assert.ok(store.syncs <= 10, `${store.syncs} syncs`)
  for (const n of range(0, 49)) assert.equal(await list(store.read(log(n), 0)), records(1, 20))
  await store.close()
})

level('a group has 256 changes and no more, so that no turn of the event loop is long', async ({ path }) => {
  for (const [waiting, syncs] of [
    [256, 1],
    [257, 2]
  ] as const) {
    const store = await openStore(join(path, `${waiting}`))
    // The first is on its way alone; the others wait for it.
    await Promise.all(range(0, waiting).map(n => store.append(log(n), records(1, 1), 0)))
    assert.is(store.syncs, 1 + syncs)
    await store.close()
  }
})

level('an append alone is one sync, and a refused one none', async ({ path }) => {
  const store = await openStore(path)
  await store.append(log(1), records(1, 3), 0)
  assert.is(store.syncs, 1)
  await rejects(store.append(log(1), records(1, 3), 0), Conflict)
  assert.is(store.syncs, 1)
  await store.close()
})

level('every batch asks for a sync, and holds at most what the limit allows or one append', async ({ path }) => {
  const db = await openDatabase(path)
  const sizes: number[] = []
  onBatch(db, (operations, options) => {
    assert.is(options?.sync, true)
    sizes.push(operations.reduce((bytes, { value }) => bytes + (value?.length ?? 0), 0))
  })
  const store = new LevelStore(db, randomBytes)
  const MiB = 1024 * 1024
  await Promise.all(range(1, 10).map(seq => store.append(log(1), [record(seq, 5 * MiB)], seq - 1)))
  await store.append(
    log(1),
    range(11, 14).map(seq => record(seq, 5 * MiB)),
    10
  )
  assert.ok(
    sizes.slice(0, -1).every(size => size < 16 * MiB),
    `${sizes}`
  )
  assert.ok((sizes.at(-1) ?? 0) > 20 * MiB)
  await store.close()
})

level('a conflict within a group names a head that is durable', async ({ path }) => {
  const db = await openDatabase(path)
  const store = new LevelStore(db, randomBytes)
  const first = store.append(log(9), records(1, 1), 0)
  const winner = store.append(log(1), records(1, 5), 0)
  const loser = rejects(store.append(log(1), records(1, 2), 0), Conflict)
  assert.is((await loser).head, 5)
  assert.equal(await seqs(store.read(log(1), 0)), range(1, 5))
  await Promise.all([first, winner])
  await store.close()
})

level('after a failed sync nobody is told of success, and nothing more is taken', async ({ path }) => {
  const db = await openDatabase(path)
  const store = new LevelStore(db, randomBytes)
  await store.append(log(1), records(1, 1), 0)
  const reader = store.read(log(1), 1, new AbortController().signal)
  const follower = rejects(reader.next(), StoreError)
  const eio = new Error('EIO: i/o error, fdatasync')
  onBatch(db, () => {
    throw eio
  })
  const pending = [
    store.append(log(1), records(2, 2), 1),
    store.append(log(1), records(3, 3), 2),
    store.append(log(2), records(1, 1), 0),
    store.append(log(1), records(1, 1), 0),
    store.forget(log(1), [1]),
    store.drop(log(1))
  ]
  for (const promise of pending) assert.is((await rejects(promise, StoreError)).code, 'STORE_FAILED')
  const later = [
    store.append(log(3), records(1, 1), 0),
    store.forget(log(1), [1]),
    store.drop(log(1)),
    store.head(log(1)),
    list(store.read(log(1), 0)),
    follower.then(failure => Promise.reject(failure))
  ]
  for (const promise of later) {
    const failure = await rejects(promise, StoreError)
    assert.is(failure.code, 'STORE_FAILED')
    assert.is(failure.cause, eio)
  }
  await store.close()
})

level('a read takes little from LevelDB at once, and lets go when it is broken off', async ({ path }) => {
  const db = await openDatabase(path)
  const pages: number[] = []
  let iterators = 0
  onIterator(db, {
    opened: () => iterators++,
    closed: () => iterators--,
    page: bytes => pages.push(bytes)
  })
  const store = new LevelStore(db, randomBytes)
  await store.append(
    log(1),
    range(1, 100).map(seq => record(seq, 100_000)),
    0
  )
  for await (const { seq } of store.read(log(1), 0)) if (seq === 3) break
  assert.is(iterators, 0)
  assert.is(pages.length, 1)
  assert.is((await list(store.read(log(1), 0))).length, 100)
  assert.ok(Math.max(...pages) < 400_000, `${pages}`)
  assert.is(iterators, 0)
  await store.close()
})

/** What is done to log 2, between two sound ones, and whether its head shows it too. */
const damages: Record<string, { headToo: boolean; harm(raw: Raw): Promise<void> }> = {
  'a record that is gone': { headToo: false, harm: raw => raw.del(raw.log, 5) },
  'the last record gone': { headToo: false, harm: raw => raw.del(raw.log, 10) },
  'all records gone, and the meta record left': {
    headToo: false,
    harm: async raw => {
      for (const seq of range(1, 10)) await raw.del(raw.log, seq)
    }
  },
  'the meta record gone': { headToo: true, harm: raw => raw.del(raw.log, 0) },
  'the meta record of before the last append': { headToo: false, harm: raw => raw.put(raw.log, 0, raw.older(0)) },
  'the meta record of another log': {
    headToo: true,
    harm: async raw => raw.put(raw.log, 0, await raw.get(raw.other, 0))
  },
  'a meta record cut short': {
    headToo: true,
    harm: async raw => raw.put(raw.log, 0, (await raw.get(raw.log, 0)).subarray(0, -1))
  },
  'a record of another log with the same seq': {
    headToo: false,
    harm: async raw => raw.put(raw.log, 5, await raw.get(raw.other, 5))
  },
  'two records that changed places': {
    headToo: false,
    harm: async raw => {
      const [fifth, sixth] = [await raw.get(raw.log, 5), await raw.get(raw.log, 6)]
      await raw.put(raw.log, 5, sixth)
      await raw.put(raw.log, 6, fifth)
    }
  },
  'a record of the former life of the log': { headToo: false, harm: raw => raw.put(raw.log, 5, raw.former(5)) },
  'a forgotten record that came back for one of its size': {
    headToo: false,
    harm: async raw => {
      await raw.put(raw.log, 3, raw.older(3))
      await raw.del(raw.log, 5)
    }
  },
  'a record cut short': {
    headToo: false,
    harm: async raw => raw.put(raw.log, 5, (await raw.get(raw.log, 5)).subarray(0, -1))
  },
  'an empty record': { headToo: false, harm: raw => raw.put(raw.log, 5, new Uint8Array(0)) }
}

for (const [name, { headToo, harm }] of Object.entries(damages)) {
  level(`${name}: that log is corrupt, the others are not, and a drop mends it`, async ({ path }) => {
    await writeThreeLogs(path, harm)
    const store = await openStore(path)
    const corrupt = await rejects(list(store.read(log(2), 0)), StoreCorrupt)
    assert.is(corrupt.code, 'STORE_CORRUPT')
    assert.equal(corrupt.log, log(2))
    if (headToo) {
      await rejects(store.head(log(2)), StoreCorrupt)
      await rejects(store.append(log(2), records(11, 11), 10), StoreCorrupt)
      await rejects(store.append(log(2), records(1, 1), 0), StoreCorrupt)
      await rejects(store.forget(log(2), [1]), StoreCorrupt)
    }
    for (const n of [1, 3]) {
      assert.equal(await seqs(store.read(log(n), 0)), [1, 2, ...range(4, 10)])
      await store.append(log(n), records(11, 11), 10)
    }
    await store.drop(log(2))
    assert.equal(await store.head(log(2)), { incarnation: '', seq: 0 })
    await store.append(log(2), records(1, 2), 0)
    assert.equal(await seqs(store.read(log(2), 0)), [1, 2])
    await store.close()
  })
}

level('a record beyond the head is noticed by a read that does not begin at 0', async ({ path }) => {
  await writeThreeLogs(path, raw => raw.put(raw.log, 0, raw.older(0)))
  const store = await openStore(path)
  await rejects(list(store.read(log(2), 9)), StoreCorrupt)
  assert.equal(await seqs(store.read(log(1), 9)), [10])
  await store.close()
})

level('a flipped bit anywhere in a record or in the meta record is noticed', async ({ path }) => {
  await writeThreeLogs(path)
  const db = await openDatabase(path)
  const raw = new Raw(db)
  for (const seq of [0, 5]) {
    const sound = await raw.get(log(2), seq)
    for (const at of sound.keys()) {
      const flipped = Uint8Array.from(sound)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
      await raw.put(log(2), seq, flipped)
      await rejects(list(new LevelStore(db, randomBytes).read(log(2), 0)), StoreCorrupt)
      if (seq === 5) await rejects(new LevelStore(db, randomBytes).forget(log(2), [5]), StoreCorrupt)
    }
    await raw.put(log(2), seq, sound)
  }
  assert.equal(await seqs(new LevelStore(db, randomBytes).read(log(2), 0)), [1, 2, ...range(4, 10)])
  await db.close()
})

for (const [name, extension] of [
  // LevelDB gives up the rest of a 32 KiB block there, so the other logs keep that far away.
  ['the write-ahead log', '.log'],
  ['a table', '.ldb']
] as const) {
  level(`a byte flipped in a record in ${name} costs the log of that record, and no other`, async ({ path }) => {
    await writeFar(path)
    if (extension === '.ldb') await (await openStore(path)).close()
    const file = await fileOf(path, extension)
    await flip(file.path, await middleOfLog2(file.path))
    const store = await openStore(path)
    await rejects(list(store.read(log(2), 0)), StoreCorrupt)
    for (const n of [1, 3]) assert.equal(await list(store.read(log(n), 0)), farRecords())
    await store.close()
  })

  level(`wherever ${name} is flipped, a log is whole, shorter as its head says, or corrupt`, async ({ path }) => {
    const sound = join(path, 'sound')
    const histories = await writeMixed(sound)
    if (extension === '.ldb') await (await openStore(sound)).close()
    const harms = range(0, 49).map(i => async (copy: string) => {
      const file = await fileOf(copy, extension)
      await flip(file.path, Math.floor((file.size * i) / 50) + 7)
    })
    const verdicts = await trials(path, histories, harms)
    assert.ok(verdicts.corrupt > 0 && verdicts.whole > 0, JSON.stringify(verdicts))
  })
}

level('wherever the write-ahead log is cut, each log is as it once was, and its head says so', async ({ path }) => {
  const histories = await writeMixed(join(path, 'sound'))
  const harms = range(0, 39).map(i => async (copy: string) => {
    const file = await fileOf(copy, '.log')
    await truncate(file.path, Math.floor((file.size * i) / 40))
  })
  const verdicts = await trials(path, histories, harms)
  assert.is(verdicts.corrupt + verdicts.unreadable, 0, JSON.stringify(verdicts))
  assert.ok(verdicts.shorter > 0)
})

level('what was acknowledged before a kill is there after it, in 20 kills', async ({ path }) => {
  await Promise.all(
    range(1, 4).map(async lane => {
      const acknowledged = new Map<number, Seq>()
      for (const round of range(1, 5)) {
        const store = join(path, `${lane}`)
        await appendUntilKilled(store, round * lane * 6, acknowledged)
        await checkAfterKill(store, acknowledged)
      }
    })
  )
})

if (process.argv[2] === 'append') {
  await appendForEver(process.argv[3] ?? '')
} else {
  logStoreContract('level store, by the contract', async () => {
    const path = await mkdtemp(join(tmpdir(), 'lend-store-'))
    const first = await openStore(path)
    let store = first
    const reopen = async (): Promise<LogStore> => {
      await store.close()
      store = await openStore(path)
      return store
    }
    const close = async (): Promise<void> => {
      await store.close()
      await rm(path, { recursive: true })
    }
    return { store: first, reopen, close }
  })
  level.run()
}

function openStore(path: string): Promise<LevelStore> {
  return openLevelStore({ path, dice: randomBytes })
}

type Batch = readonly { value?: Uint8Array }[]

/** Calls before each batch; what it throws is how the batch fails. */
function onBatch(db: Database, before: (operations: Batch, options?: { sync?: boolean }) => void): void {
  const batch = Reflect.get(db, 'batch')
  Reflect.set(db, 'batch', async (operations: Batch, options?: { sync?: boolean }) => {
    before(operations, options)
    return Reflect.apply(batch, db, [operations, options])
  })
}

interface Pages {
  nextv(size: number): Promise<[Uint8Array, Uint8Array][]>
  close(): Promise<void>
}

/** Watches the iterators that are made from now on. */
function onIterator(db: Database, on: { opened(): void; closed(): void; page(bytes: number): void }): void {
  const iterator = Reflect.get(db, 'iterator')
  Reflect.set(db, 'iterator', (options: object) => {
    const made: Pages = Reflect.apply(iterator, db, [options])
    const nextv = made.nextv.bind(made)
    const close = made.close.bind(made)
    made.nextv = async size => {
      const page = await nextv(size)
      on.page(page.reduce((bytes, [, value]) => bytes + value.length, 0))
      return page
    }
    made.close = async () => {
      await close()
      on.closed()
    }
    on.opened()
    return made
  })
}

/** Below the store: puts and takes records of the log under test. */
class Raw {
  readonly log = log(2)
  readonly other = log(3)
  readonly #db: Database
  readonly #older = new Map<Seq, Uint8Array>()
  readonly #former = new Map<Seq, Uint8Array>()

  constructor(db: Database) {
    this.#db = db
  }

  async get(log: LogId, seq: Seq): Promise<Uint8Array> {
    const value: Uint8Array | undefined = await this.#db.get(rawKey(log, seq))
    return value ?? fail(`no record ${seq}`)
  }

  put(log: LogId, seq: Seq, value: Uint8Array): Promise<void> {
    return this.#db.put(rawKey(log, seq), value)
  }

  del(log: LogId, seq: Seq): Promise<void> {
    return this.#db.del(rawKey(log, seq))
  }

  /** As it was in the log's former life. */
  former(seq: Seq): Uint8Array {
    return this.#former.get(seq) ?? fail(`no former record ${seq}`)
  }

  /** As it was before the last changes. */
  older(seq: Seq): Uint8Array {
    return this.#older.get(seq) ?? fail(`no older record ${seq}`)
  }

  async rememberFormer(): Promise<void> {
    for (const seq of range(0, 10)) this.#former.set(seq, await this.get(this.log, seq))
  }

  async rememberOlder(): Promise<void> {
    for (const seq of range(0, 9)) this.#older.set(seq, await this.get(this.log, seq))
  }
}

function rawKey(log: LogId, seq: Seq): Uint8Array {
  const key = new Uint8Array(40)
  key.set(log)
  new DataView(key.buffer).setBigUint64(32, BigInt(seq))
  return key
}

/** Logs 1 to 3, each in its second life, with the records 1 to 10 without the third; then the harm. */
async function writeThreeLogs(path: string, harm?: (raw: Raw) => Promise<void>): Promise<void> {
  const db = await openDatabase(path)
  const store = new LevelStore(db, randomBytes)
  const raw = new Raw(db)
  const sized = (first: Seq, last: Seq) => range(first, last).map(seq => record(seq, 64))
  for (const n of [1, 2, 3]) await store.append(log(n), sized(1, 10), 0)
  await raw.rememberFormer()
  for (const n of [1, 2, 3]) {
    await store.drop(log(n))
    await store.append(log(n), sized(1, 9), 0)
  }
  await raw.rememberOlder()
  for (const n of [1, 2, 3]) {
    await store.forget(log(n), [3])
    await store.append(log(n), sized(10, 10), 9)
  }
  await harm?.(raw)
  await store.close()
}

/** Logs 1, 2 and 3, one behind the other: 100 KB each, one record an append, the same records in all. */
async function writeFar(path: string): Promise<void> {
  const store = await openStore(path)
  for (const n of [1, 2, 3]) {
    for (const entry of farRecords()) await store.append(log(n), [entry], entry.seq - 1)
  }
  await store.close()
}

function farRecords(): Stored[] {
  return range(1, 100).map(seq => record(seq, 1000))
}

/** Where record 50 of log 2 is in a file that `writeFar` led to: the second of three such places. */
async function middleOfLog2(file: string): Promise<number> {
  const bytes = await readFile(file)
  const part = record(50, 1000).bytes.subarray(400, 500)
  const at = bytes.indexOf(part, bytes.indexOf(part) + 1)
  assert.ok(at > 0)
  return at
}

/** Logs 1 to 3 in turns, with forgotten records and one drop. Gives the states that each has been in, the last one last. */
async function writeMixed(path: string): Promise<readonly string[][]> {
  const store = await openStore(path)
  const histories = await Promise.all([1, 2, 3].map(async n => [await stateOf(store, log(n))]))
  const note = async (): Promise<void> => {
    for (const [i, history] of histories.entries()) history.push(await stateOf(store, log(i + 1)))
  }
  for (const n of [1, 2, 3]) await store.append(log(n), records(1, 3), 0)
  await note()
  await store.drop(log(3))
  await note()
  for (const turn of range(1, 60)) {
    for (const n of [1, 2, 3]) {
      const { seq } = await store.head(log(n))
      await store.append(log(n), [record(seq + 1, 500)], seq)
    }
    await note()
    if (turn % 10 === 0) await store.forget(log(2), [turn, turn - 5])
    await note()
  }
  await store.close()
  return histories
}

/** Head and records of a log, in one line. */
async function stateOf(store: LogStore, log: LogId): Promise<string> {
  const { incarnation, seq } = await store.head(log)
  const digest = createHash('sha256')
  for await (const { seq, timeMs, runningHash, bytes } of store.read(log, 0)) {
    digest.update(`${seq} ${timeMs} `).update(runningHash).update(bytes)
  }
  return `${incarnation} ${seq} ${digest.digest('hex')}`
}

type Verdict = 'whole' | 'shorter' | 'corrupt' | 'unreadable'

/** Harms one copy of `sound` after the other, judges each log in each, and counts. */
async function trials(
  path: string,
  histories: readonly string[][],
  harms: readonly ((copy: string) => Promise<void>)[]
): Promise<Record<Verdict, number>> {
  const verdicts = { whole: 0, shorter: 0, corrupt: 0, unreadable: 0 }
  for (const harm of harms) {
    const copy = join(path, 'copy')
    await cp(join(path, 'sound'), copy, { recursive: true })
    await harm(copy)
    const store = await openUnlessUnreadable(copy)
    for (const [i, history] of histories.entries())
      verdicts[store ? await judge(store, log(i + 1), history) : 'unreadable']++
    await store?.close()
    await rm(copy, { recursive: true })
  }
  return verdicts
}

/** A state that the log never was in is the one thing that must not be. */
async function judge(store: LogStore, log: LogId, history: readonly string[]): Promise<Verdict> {
  try {
    const state = await stateOf(store, log)
    assert.ok(history.includes(state), 'a hole that nobody noticed')
    return state === history.at(-1) ? 'whole' : 'shorter'
  } catch (thrown) {
    if (thrown instanceof StoreCorrupt) return 'corrupt'
    throw thrown
  }
}

async function openUnlessUnreadable(path: string): Promise<LevelStore | undefined> {
  try {
    return await openStore(path)
  } catch (thrown) {
    if (thrown instanceof StoreError && thrown.code === 'STORE_UNREADABLE') return undefined
    throw thrown
  }
}

/** The largest file of that kind in a closed store. */
async function fileOf(path: string, extension: string): Promise<{ path: string; size: number }> {
  const names = (await readdir(path)).filter(name => name.endsWith(extension))
  const files = await Promise.all(
    names.map(async name => ({ path: join(path, name), size: (await stat(join(path, name))).size }))
  )
  const [largest] = files.sort((a, b) => b.size - a.size)
  return largest ?? fail(`no ${extension} file`)
}

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path)
  bytes[at] = (bytes[at] ?? 0) ^ 0x10
  await writeFile(path, bytes)
}

function fail(message: string): never {
  throw new Error(message)
}

/** In a child process: appends to several logs at once, and prints log and seq of each record once it is acknowledged. */
async function appendForEver(path: string): Promise<never> {
  const store = await openStore(path)
  const writers = range(1, LOGS_IN_CHILD).map(async n => {
    for (let { seq } = await store.head(log(n)); ; ) {
      seq = await store.append(log(n), records(seq + 1, seq + n), seq)
      sayNow(`${n} ${seq}`)
    }
  })
  return Promise.race(writers)
}

/** Kills the child in the middle of its appends, after so many acknowledgements, and keeps all that it still printed. */
async function appendUntilKilled(path: string, acknowledgements: number, heads: Map<number, Seq>): Promise<void> {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), 'append', path]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  let count = 0
  for await (const line of createInterface({ input: child.stdout })) {
    const [n = 0, seq = 0] = line.split(' ').map(Number)
    heads.set(n, Math.max(seq, heads.get(n) ?? 0))
    if (++count === acknowledgements) child.kill('SIGKILL')
  }
  assert.equal(await exited, [null, 'SIGKILL'])
}

async function checkAfterKill(path: string, heads: ReadonlyMap<number, Seq>): Promise<void> {
  const store = await openStore(path)
  for (const [n, acknowledged] of heads) {
    const { seq } = await store.head(log(n))
    assert.ok(seq >= acknowledged, `log ${n}: head ${seq}, acknowledged ${acknowledged}`)
    assert.equal(await list(store.read(log(n), 0)), records(1, seq))
  }
  await store.close()
}
