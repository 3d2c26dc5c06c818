/** A store that moves to a fresh directory under a fresh key: whole at any moment, and nothing deleted is left. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { World } from '@lend/client'
import { concat, LendError, loadSuite } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SealedStore } from '../../packages/client/src/disk/sealed-store.ts'
import { type DiskStep, nodeWorld, throughDisk } from './worlds.ts'

const moving = suite('moving a store')

const RECORDS = 600
/** So that all together go in several batches. */
const VALUE_BYTES = 1000
const STEPS_MAX = 8

const utf8 = new TextEncoder()
const signal = new AbortController().signal

async function open(folder: string, world: World = nodeWorld): Promise<SealedStore> {
  const place = { name: 'logs/one', keyFile: 'keys/one' }
  return SealedStore.open({ suite: await loadSuite(), dice: world.dice, disk: world.disk(folder), ...place })
}

const value = (n: number) => concat(utf8.encode(`record ${n} `), new Uint8Array(VALUE_BYTES))
const key = (n: number) => `record/${String(n).padStart(4, '0')}`

/** A store from which one record was deleted, so that it is due to move. */
async function filled(folder: string, world?: World): Promise<SealedStore> {
  const store = await open(folder, world)
  const changes = Array.from({ length: RECORDS }, (_, n) => ({ key: key(n), value: value(n) }))
  await store.write([...changes, { key: 'secret', value: value(0) }], { durable: true })
  await store.write(
    [
      { key: 'secret', value: null },
      { key: 'due', value: new Uint8Array(0) }
    ],
    { durable: true }
  )
  return store
}

/** The names of all records; those of `filled` are as they were. */
async function contents(store: SealedStore): Promise<string[]> {
  const names: string[] = []
  for await (const record of store.range('')) {
    names.push(record.key)
    const [kind, n] = record.key.split('/')
    if (kind === 'record') assert.ok(Buffer.from(value(Number(n))).equals(record.value), record.key)
  }
  return names
}

const all = Array.from({ length: RECORDS }, (_, n) => key(n))

function inFolder(run: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = await mkdtemp(join(tmpdir(), 'lend-moving-'))
    try {
      await run(folder)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
}

moving(
  'it has the same records but the one that asked for it, in another directory under another key, again and again',
  inFolder(async folder => {
    const store = await filled(folder)
    const keys = new Set([(await readFile(join(folder, 'keys/one'))).toString('hex')])
    for (let n = 1; n <= 3; n++) {
      await store.renew('due', signal)
      assert.equal(await contents(store), all)
      assert.equal(await readdir(join(folder, 'logs')), [`one-${n}`])
      keys.add((await readFile(join(folder, 'keys/one'))).subarray(0, 32).toString('hex'))
      await store.write([{ key: 'due', value: new Uint8Array(0) }], { durable: true })
    }
    assert.is(keys.size, 4)
    await store.close()
    const again = await open(folder)
    assert.equal(await contents(again), ['due', ...all])
    await again.close()
  })
)

moving(
  'who reads while it moves reads on, and what is read and written after is of the new one',
  inFolder(async folder => {
    const store = await filled(folder)
    const reading = store.range('record/')[Symbol.asyncIterator]()
    const seen = [(await reading.next()).value.key]
    let isMoved = false
    const moved = store.renew('due', signal).then(() => {
      isMoved = true
    })
    for (let next = await reading.next(); !next.done; next = await reading.next()) {
      seen.push(next.value.key)
      assert.not.ok(isMoved)
    }
    await moved
    assert.equal(seen, all)
    await store.write([{ key: 'after', value: value(1) }], { durable: true })
    assert.equal(await store.get('after'), value(1))
    assert.equal(await store.keys('a'), ['after'])
    assert.equal(await contents(store), ['after', ...all].sort())
    await store.close()
  })
)

moving(
  'called off, or refused by the disk, it stays where it was and can be written; or, if its key may be another, it can’t',
  inFolder(async folder => {
    let refused: DiskStep['does'] | null = null
    const full = new LendError('DISK_FULL', 'the disk is full')
    const world = throughDisk((step, run) => (step.does === refused ? Promise.reject(full) : run()))
    const store = await filled(folder, world)
    const called = new AbortController()
    called.abort(new Error('called off'))
    assert.is(await store.renew('due', called.signal).catch(error => error.message), 'called off')
    for (const does of ['openDatabase', 'batch'] as const) {
      refused = does
      assert.is(await store.renew('due', signal).catch(error => error.code), 'DISK_FULL', does)
      refused = null
      await store.write([{ key: 'due', value: new Uint8Array(0) }], { durable: true })
      assert.equal(await contents(store), ['due', ...all])
      assert.equal(await readdir(join(folder, 'logs')), ['one'])
    }
    refused = 'writeFile'
    assert.is(await store.renew('due', signal).catch(error => error.code), 'DISK_FULL')
    refused = null
    const written = store.write([{ key: 'due', value: new Uint8Array(0) }], { durable: true })
    assert.is(await written.catch(error => error.code), 'DISK_FULL')
    await store.close()
    const again = await open(folder)
    assert.equal(await contents(again), ['due', ...all])
    await again.renew('due', signal)
    assert.equal(await readdir(join(folder, 'logs')), ['one-1'])
    await again.close()
  })
)

moving(
  'a database whose key is gone is not taken for a new one, whichever it is',
  inFolder(async folder => {
    const store = await filled(folder)
    await store.renew('due', signal)
    await store.close()
    await rm(join(folder, 'keys/one'))
    assert.is(await open(folder).catch(error => error.code), 'STORE_CORRUPT')
  })
)

moving(
  'killed at any step it is whole at the next start, which finishes or begins it again',
  inFolder(async root => {
    const died = new Set<string>()
    const deaths = Array.from({ length: STEPS_MAX }, (_, n) =>
      ['before', 'halfway'].map(moment => ({ step: n + 1, moment }))
    )
    const queue = deaths.flat().values()
    const lane = async () => {
      for (const { step, moment } of queue) {
        const folder = join(root, `${moment} ${step}`)
        await (await filled(folder)).close()
        const said = await run('dying-move.ts', folder, String(step), moment)
        if (said.startsWith('dies')) died.add(said)
        const store = await open(folder)
        const names = await contents(store)
        assert.equal(
          names.filter(name => name !== 'due'),
          all,
          said
        )
        if (names.includes('due')) await store.renew('due', signal)
        assert.equal(await contents(store), all, said)
        assert.is((await readdir(join(folder, 'logs'))).length, 1, said)
        await store.close()
      }
    }
    await Promise.all([lane(), lane()])
    console.log([...died].sort().join(', '))
    for (const does of ['openDatabase', 'batch', 'writeFile', 'destroyDatabase']) {
      for (const moment of ['before', 'halfway']) assert.ok(died.has(`dies ${moment} ${does}`), `${moment} ${does}`)
    }
  })
)

moving.run()

/** Runs one of the programs beside the tests. @returns the last line it printed */
async function run(program: string, ...args: string[]): Promise<string> {
  const path = join(import.meta.dirname, 'programs', program)
  const child = spawn(process.execPath, [...process.execArgv, path, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', chunk => {
    output += chunk
  })
  await once(child, 'close')
  return output.trim()
}
