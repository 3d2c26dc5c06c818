/** A store that rests: what it says is the same awake, resting and cut off anywhere between, and its head dies with its key. */
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { World } from '@lend/client'
import { concat, LendError, loadSuite } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { forgotten, RestingStore } from '../../packages/client/src/disk/resting-store.ts'
import { SealedStore } from '../../packages/client/src/disk/sealed-store.ts'
import { type DiskStep, nodeWorld, throughDisk } from './worlds.ts'

const resting = suite('resting store')
const crypto = await loadSuite()

const utf8 = new TextEncoder()
const DURABLE = { durable: true }
const HEAD_BYTES_MAX = 1024 * 1024

interface Opened {
  readonly store: RestingStore
  readonly keeper: SealedStore
  /** What it waits for is over. */
  wait(): void
  /** Nobody has anything open any more. */
  close(o?: { rest: boolean }): Promise<void>
}

async function open(folder: string, world: World = nodeWorld): Promise<Opened> {
  const place = { suite: crypto, dice: world.dice, disk: world.disk(folder) }
  const keeper = await SealedStore.open({ ...place, name: 'account', keyFile: 'account.key' })
  let due = () => {}
  try {
    const store = await RestingStore.open(
      { ...place, name: 'logs/one', keyFile: 'keys/one' },
      {
        keeper,
        name: 'one',
        head: ['list/', 'state'],
        light: 'state',
        timer(_ms, run) {
          due = run
          return () => {
            due = () => {}
          }
        }
      }
    )
    return {
      store,
      keeper,
      wait: () => due(),
      close: async (o = { rest: true }) => {
        await store.close(o).finally(() => keeper.close())
      }
    }
  } catch (error) {
    await keeper.close()
    throw error
  }
}

const record = (key: string, text: string) => ({ key, value: utf8.encode(text) })

async function read(store: RestingStore, key: string): Promise<string | null> {
  const value = await store.get(key)
  return value && new TextDecoder().decode(value)
}

async function listed(store: RestingStore, prefix: string): Promise<string[]> {
  const found: string[] = []
  for await (const { key, value } of store.range(prefix)) found.push(`${key}=${new TextDecoder().decode(value)}`)
  return found
}

const list = (store: RestingStore) => listed(store, 'list/')

function inFolder(run: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lend-resting-'))
    try {
      await run(folder)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
}

interface Watched {
  readonly world: World
  /** Databases that were opened since this was asked last, without the keeper's. */
  opened(): string[]
  /** What the disk does not do for the store. */
  refuse: DiskStep['does'] | null
}

function counted(): Watched {
  const steps: DiskStep[] = []
  const full = () => Promise.reject(new LendError('DISK_FULL', 'the disk is full'))
  const seen: Watched = {
    refuse: null,
    opened: () => steps.splice(0).flatMap(({ does, to }) => (does === 'openDatabase' && to !== 'account' ? [to] : [])),
    world: throughDisk((step, run) => {
      steps.push(step)
      return step.does === seen.refuse && step.to !== 'account' ? full() : run()
    })
  }
  return seen
}

async function filled(folder: string): Promise<void> {
  const { store, close } = await open(folder)
  await store.write([record('list/1', 'a'), record('list/2', 'b'), record('state', '0'), record('body', 'x')], DURABLE)
  await close()
}

resting(
  'its head is read and its one light record written without its database; anything else opens that, once',
  inFolder(async folder => {
    await filled(folder)
    const { world, opened } = counted()
    const first = await open(folder, world)
    assert.equal(await list(first.store), ['list/1=a', 'list/2=b'])
    assert.is(await read(first.store, 'list/3'), null)
    assert.is(await read(first.store, 'state'), '0')
    await first.store.write([record('state', '1')], DURABLE)
    await first.store.write([], DURABLE)
    await first.close()
    assert.equal(opened(), [])
    for (const [what, use] of [
      ['a read', ({ store }: Opened) => read(store, 'body')],
      ['a list of keys', ({ store }: Opened) => store.keys('body')],
      ['a range', ({ store }: Opened) => listed(store, 'body')],
      ['a record of the head', ({ store }: Opened) => store.write([record('list/3', 'c')], DURABLE)],
      [
        'the light one with others',
        ({ store }: Opened) => store.write([record('state', '1'), record('body', 'x')], DURABLE)
      ],
      ['a deletion', ({ store }: Opened) => store.write([{ key: 'list/3', value: null }], DURABLE)]
    ] as const) {
      const one = await open(folder, world)
      assert.is(await read(one.store, 'state'), '1', what)
      assert.equal(opened(), [], what)
      await Promise.all([use(one), use(one), one.store.get('other')])
      assert.equal(opened(), ['logs/one'], what)
      assert.is(await read(one.store, 'state'), '1', what)
      await one.close()
    }
  })
)

resting(
  'it rests when it is not used for a while, not before, and not while somebody reads',
  inFolder(async folder => {
    await filled(folder)
    const { world, opened } = counted()
    const { store, keeper, wait, close } = await open(folder, world)
    const rests = async () => (await keeper.keys('rest/')).length > 0
    assert.ok(await rests())
    const reading = store.range('body')[Symbol.asyncIterator]()
    await reading.next()
    assert.not.ok(await rests())
    for (let i = 0; i < 3; i++) wait()
    await store.write([record('body', 'y')], DURABLE)
    assert.not.ok(await rests(), 'somebody reads')
    await reading.return?.()
    wait()
    await store.write([record('body', 'z')], DURABLE)
    assert.not.ok(await rests(), 'it was just used')
    wait()
    await store.write([record('state', '2')], DURABLE)
    wait()
    // It is about to rest when somebody begins to read.
    wait()
    const late = store.range('')[Symbol.asyncIterator]()
    const seen = [(await late.next()).value.key]
    await store.write([record('body', 'z')], DURABLE)
    for (let next = await late.next(); !next.done; next = await late.next()) seen.push(next.value.key)
    assert.equal(seen, ['body', 'list/1', 'list/2', 'rested', 'state'])
    assert.not.ok(await rests())
    wait()
    wait()
    // Behind what waits.
    await store.write([record('state', '3')], DURABLE)
    assert.ok(await rests())
    assert.equal(opened(), ['logs/one'])
    assert.is(await read(store, 'body'), 'z')
    assert.equal(opened(), ['logs/one'])
    assert.is(await read(store, 'state'), '3')
    await close()
  })
)

resting(
  'one with a head over the bound does not rest, and one at the bound does',
  inFolder(async folder => {
    for (const [bytes, rests] of [
      [HEAD_BYTES_MAX, true],
      [HEAD_BYTES_MAX + 1, false]
    ] as const) {
      const key = 'list/1'
      const first = await open(folder)
      await first.store.write([{ key, value: new Uint8Array(bytes - key.length) }], DURABLE)
      await first.close()
      const { world, opened } = counted()
      const again = await open(folder, world)
      assert.is((await again.store.get(key))?.length, bytes - key.length)
      assert.equal(opened(), rests ? [] : ['logs/one'])
      await again.close()
    }
  })
)

resting(
  'a disk that refuses leaves it as it is, and it goes on when the disk does',
  inFolder(async folder => {
    await filled(folder)
    const disk = counted()
    const { store, close } = await open(folder, disk.world)
    disk.refuse = 'openDatabase'
    assert.is(await read(store, 'body').catch(error => error.code), 'DISK_FULL')
    assert.is(await store.write([record('body', 'y')], DURABLE).catch(error => error.code), 'DISK_FULL')
    await store.write([record('state', '1')], DURABLE)
    disk.refuse = null
    assert.is(await read(store, 'body'), 'x')
    disk.refuse = 'batch'
    // It can't be stamped: it stays awake.
    await close()
    disk.refuse = null
    disk.opened()
    const again = await open(folder, disk.world)
    assert.equal(disk.opened(), ['logs/one'])
    assert.is(await read(again.store, 'state'), '1')
    await again.close()
    assert.is(await read(again.store, 'body').catch(error => error.code), 'CLOSED')
    assert.is(await again.store.write([record('state', '9')], DURABLE).catch(error => error.code), 'CLOSED')
  })
)

resting(
  'a head of which its keeper can’t say whether it has it counts for nothing once something is written after it',
  inFolder(async root => {
    for (const refusals of [1, 2]) {
      const folder = join(root, String(refusals))
      await filled(folder)
      let left = 0
      const world = throughDisk(async (step, run) => {
        if (step.does !== 'batch' || step.to !== 'account' || left === 0) return run()
        // The first is written all the same.
        if (left-- === refusals) await run()
        throw new LendError('DISK_FULL', 'the disk is full')
      })
      const { store, keeper, wait, close } = await open(folder, world)
      await store.write([record('list/1', 'older')], DURABLE)
      left = refusals
      wait()
      wait()
      await store.write([record('list/1', 'newer'), record('state', '1')], DURABLE)
      assert.is(left, 0)
      assert.is((await keeper.keys('rest/')).length, refusals - 1)
      await close({ rest: false })
      const again = await open(folder)
      // Shown as it was, it is found out before anything is done with it.
      if (refusals === 2) assert.is(await read(again.store, 'body').catch(error => error.code), 'STORE_CORRUPT')
      await again.close()
      const third = await open(folder)
      assert.equal([await list(third.store), await read(third.store, 'state')], [['list/1=newer', 'list/2=b'], '1'])
      await third.close()
    }
  })
)

resting(
  'a head that is lost, damaged, or of another key leaves the database as it was, also when the head comes back',
  inFolder(async root => {
    const folder = join(root, 'one')
    await filled(folder)
    const { keeper, close } = await open(folder)
    const [head] = await Promise.all((await keeper.keys('rest/')).map(key => keeper.get(key)))
    if (!head) throw new Error('it does not rest')
    await close()
    const damaged = concat(head.subarray(0, -1), Uint8Array.of(~(head.at(-1) ?? 0) & 255))
    const ways: [string, (keeper: SealedStore) => Promise<void>][] = [
      ['lost', keeper => keeper.write(forgotten('one'), DURABLE)],
      ['damaged', keeper => keeper.write([{ key: 'rest/one', value: damaged }], DURABLE)],
      ['empty', keeper => keeper.write([{ key: 'rest/one', value: new Uint8Array(0) }], DURABLE)]
    ]
    for (const [name, spoil] of ways) {
      const copy = join(root, name)
      await cp(folder, copy, { recursive: true })
      const place = { suite: crypto, dice: nodeWorld.dice, disk: nodeWorld.disk(copy) }
      const account = await SealedStore.open({ ...place, name: 'account', keyFile: 'account.key' })
      await spoil(account)
      await account.close()
      const { world, opened } = counted()
      const { store, keeper, close } = await open(copy, world)
      assert.equal(opened(), ['logs/one'], name)
      assert.equal(await keeper.keys('rest/'), [], name)
      assert.equal([await list(store), await read(store, 'body')], [['list/1=a', 'list/2=b'], 'x'], name)
      await store.write([record('list/1', 'newer')], DURABLE)
      // As a backup of one database alone would bring it.
      await keeper.write([{ key: 'rest/one', value: head }], DURABLE)
      await close({ rest: false })
      const wrong = await open(copy)
      await wrong.store.write([record('list/3', 'c')], DURABLE)
      await wrong.close()
    }
  })
)

resting(
  'a database that is not the one its head belongs to is refused, and counts alone from the next start on',
  inFolder(async root => {
    const folder = join(root, 'one')
    await filled(folder)
    const old = join(root, 'old')
    await cp(join(folder, 'logs'), old, { recursive: true })
    const { store, close } = await open(folder)
    await store.write([record('list/3', 'c'), record('body', 'y')], DURABLE)
    await close()
    await rm(join(folder, 'logs'), { recursive: true })
    await cp(old, join(folder, 'logs'), { recursive: true })
    const mixed = await open(folder)
    assert.equal(await list(mixed.store), ['list/1=a', 'list/2=b', 'list/3=c'])
    assert.is(await read(mixed.store, 'body').catch(error => error.code), 'STORE_CORRUPT')
    await mixed.close()
    const again = await open(folder)
    assert.equal([await list(again.store), await read(again.store, 'body')], [['list/1=a', 'list/2=b'], 'x'])
    await again.close()
  })
)

resting(
  'who destroys its key has destroyed its head',
  inFolder(async folder => {
    await filled(folder)
    const place = { suite: crypto, dice: nodeWorld.dice, disk: nodeWorld.disk(folder) }
    const before = await open(folder)
    await before.store.write([record('state', 'a word')], DURABLE)
    const records = await Promise.all((await before.keeper.keys('rest/')).map(key => before.keeper.get(key)))
    assert.is(records.length, 2)
    for (const bytes of records)
      assert.not.ok(Buffer.from(bytes ?? []).includes('list/1') || Buffer.from(bytes ?? []).includes('a word'))
    await before.close({ rest: false })
    await place.disk.destroyFile('keys/one')
    await rm(join(folder, 'logs'), { recursive: true })
    const { store, keeper, close } = await open(folder)
    assert.equal([await list(store), await read(store, 'state')], [[], null])
    assert.equal(await keeper.keys('rest/'), [])
    await close()
  })
)

resting(
  'cut off before any step it says at the next start what was written last, or what was being written',
  inFolder(async root => {
    const DIED = new Error('cut off')
    const died = new Set<string>()
    await filled(join(root, 'filled'))
    for (let death = 1; ; death++) {
      const folder = join(root, String(death))
      await cp(join(root, 'filled'), folder, { recursive: true })
      let steps = 0
      let isOver = false
      const world = throughDisk((step, run) => {
        if (++steps >= death) {
          if (steps === death) died.add(`${step.does} ${step.to}`)
          return Promise.reject(DIED)
        }
        return run()
      })
      const done: Record<string, string> = { state: '0', body: 'x', 'list/1': 'a' }
      let doing: Record<string, string> = {}
      const opened: Opened[] = []
      try {
        for (const round of ['1', '2']) {
          const one = await open(folder, world)
          opened.push(one)
          const write = async (texts: Record<string, string>) => {
            doing = texts
            await one.store.write(
              Object.entries(texts).map(([key, text]) => record(key, text)),
              DURABLE
            )
            Object.assign(done, texts)
          }
          await write({ state: `${round}a` })
          await write({ state: `${round}b`, body: `${round}b` })
          one.wait()
          one.wait()
          await write({ state: `${round}c` })
          await write({ 'list/1': `${round}d` })
          await one.close()
          opened.pop()
        }
        isOver = true
      } catch (error) {
        assert.is(error, DIED)
      }
      for (const { close } of opened) await close({ rest: false })
      // Twice: from where it was cut off, and from where that start left it.
      for (let again = 0; again < 2; again++) {
        const { store, close } = await open(folder)
        for (const [key, text] of Object.entries(done)) {
          const found = await read(store, key)
          assert.ok(
            found === text || found === doing[key],
            `${death}: ${key} is ${found}, was ${text}, then ${doing[key]}`
          )
        }
        assert.is((await readdir(join(folder, 'logs'))).length, 1)
        await close()
      }
      if (isOver) break
    }
    for (const step of ['batch account', 'batch logs/one', 'openDatabase logs/one']) assert.ok(died.has(step), step)
  })
)

resting.run()
