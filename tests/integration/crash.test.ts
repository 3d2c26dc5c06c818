// limit: 400 s
/**
 * kill -9 of relay, owner and reader at random moments under load, each a process of its own. Nothing that was acknowledged
 * is missing, nobody diverges, no replica of a removed member survives its next contact. LEND_CRASH_ROUNDS says how often
 * each is killed, LEND_CRASH_SEED which moments. A power cut is another matter: the disk is not cut here.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { decodeEntry, loadSuite, logId } from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { isNewLife, recordsOf, seededDie } from './relay-log.ts'

const ROUNDS = Number(process.env.LEND_CRASH_ROUNDS ?? 2)
const SEED = Number(process.env.LEND_CRASH_SEED ?? 1)
const WAIT_MS = 60_000
const crypto = await loadSuite()
const PROGRAMS = join(import.meta.dirname, 'programs')

/** A program that runs, is killed and runs again on the same folder, and what all of its lives have said. */
class Program {
  readonly name: string
  readonly #file: string
  readonly #args: () => readonly string[]
  readonly #bell = new EventEmitter().setMaxListeners(0)
  #child: ChildProcess | null = null
  /** Of this life. */
  #said: string[][] = []
  kills = 0
  /** The highest number after each word, over all lives. */
  readonly highest = new Map<string, number>()
  readonly trouble: string[] = []

  constructor(name: string, file: string, args: () => readonly string[]) {
    this.name = name
    this.#file = file
    this.#args = args
  }

  start(): void {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', '--conditions', '@lend/source', join(PROGRAMS, this.#file), ...this.#args()],
      { stdio: ['pipe', 'pipe', 'inherit'] }
    )
    this.#child = child
    this.#said = []
    child.stdin?.on('error', () => {})
    child.once('exit', (code, signal) => {
      if (signal !== 'SIGKILL') this.trouble.push(`${this.name} ended by itself: ${code ?? signal}`)
      this.#bell.emit('news')
    })
    if (!child.stdout) throw new Error('a pipe was asked for')
    createInterface({ input: child.stdout }).on('line', line => {
      const words = line.split(' ')
      const [verb = '', number = ''] = words
      this.#said.push(words)
      if (verb === 'broken' || verb === 'failed' || verb === 'error') this.trouble.push(`${this.name}: ${line}`)
      if (/^\d+$/.test(number)) this.highest.set(verb, Math.max(this.highest.get(verb) ?? 0, Number(number)))
      this.#bell.emit('news')
    })
  }

  /** Resolves when the process is gone and all that it said was heard. */
  async kill(): Promise<void> {
    const child = this.#child
    if (!child) return
    this.#child = null
    const closed = new Promise(done => child.once('close', done))
    child.kill('SIGKILL')
    await closed
    this.kills++
  }

  ask(line: string): void {
    this.#child?.stdin?.write(`${line}\n`)
  }

  number(verb: string): number {
    return this.highest.get(verb) ?? 0
  }

  /** The last words of this life after this verb. */
  last(verb: string, first?: string): readonly string[] | undefined {
    return this.#said.findLast(words => words[0] === verb && (!first || words[1] === first))?.slice(1)
  }

  until<T>(what: string, look: () => T): Promise<NonNullable<T>> {
    return new Promise((resolve, reject) => {
      const check = () => {
        const [trouble] = this.trouble
        const found = look()
        if (trouble === undefined && !found) return
        stop()
        if (trouble !== undefined) reject(new Error(trouble))
        else resolve(found as NonNullable<T>)
      }
      const late = setTimeout(() => {
        stop()
        reject(new Error(`${this.name}: not within ${WAIT_MS} ms: ${what}`))
      }, WAIT_MS)
      const stop = () => {
        clearTimeout(late)
        this.#bell.off('news', check)
      }
      this.#bell.on('news', check)
      check()
    })
  }

  said(verb: string): Promise<readonly string[]> {
    return this.until(verb, () => this.last(verb))
  }

  /** Resolves when a number after this verb is at least so high. */
  reaches(verb: string, number: number): Promise<unknown> {
    return this.until(`${verb} ${number}`, () => this.number(verb) >= number)
  }
}

interface World {
  readonly dir: string
  readonly relay: Program
  readonly owner: Program
  readonly reader: Program
  readonly die: (sides: number) => number
  guests: number
}

async function begin(seed: number): Promise<World> {
  const dir = await mkdtemp(join(tmpdir(), 'lend-crash-'))
  let url = 'ws://127.0.0.1:0'
  const relay = new Program('relay', 'relay.ts', () => [join(dir, 'relay'), new URL(url).port || '0'])
  const owner = new Program('owner', 'owner.ts', () => [join(dir, 'owner'), url])
  const reader = new Program('reader', 'reader.ts', () => [join(dir, 'reader'), url])
  relay.start()
  url = (await relay.said('ready'))[0] ?? ''
  owner.start()
  reader.start()
  const world: World = { dir, relay, owner, reader, die: seededDie(seed), guests: 0 }
  await accept(world, reader, 'reader')
  return world
}

async function invite({ owner }: World, name: string): Promise<string> {
  await owner.said('opened')
  owner.ask(`invite ${name}`)
  const words = await owner.until(`link ${name}`, () => owner.last('link', name))
  return words[1] ?? ''
}

async function accept(world: World, program: Program, name: string): Promise<void> {
  const link = await invite(world, name)
  await program.said('opened')
  program.ask(`accept ${link}`)
  await program.said('accepted')
}

/** A random moment: that is what the test is about. */
function moment(msMax: number, { die }: World): Promise<void> {
  return new Promise(done => setTimeout(done, die(msMax)))
}

/** Kills one of them at a random moment, sometimes while it is only starting, and starts it again. */
async function strike(world: World, target: Program): Promise<void> {
  const { owner, die } = world
  await moment(400, world)
  await target.kill()
  target.start()
  if (die(3) === 0) {
    await moment(900, world)
    await target.kill()
    target.start()
  }
  if (target !== owner) return
  const promised = Math.max(owner.number('saved'), owner.number('synced'))
  const [opened = ''] = await owner.said('opened')
  assert.ok(Number(opened) >= promised, `the owner opened ${opened}, and ${promised} were called saved`)
}

/** Everyone gets on: what is synced from now on reaches the reader. */
async function recovered({ owner, reader }: World): Promise<void> {
  const synced = owner.number('synced')
  await owner.reaches('synced', synced + 1)
  await reader.reaches('has', owner.number('synced'))
}

/** A guest joins, is taken out, and is killed around its wipe. */
async function removeGuest(world: World): Promise<void> {
  const { dir, owner, die } = world
  const name = `guest${++world.guests}`
  const guest = new Program(name, 'reader.ts', () => [join(dir, name), 'ws://127.0.0.1:1'])
  guest.start()
  await accept(world, guest, name)
  await guest.until('has', () => guest.number('has') > 0)
  const [account = ''] = await guest.said('account')
  owner.ask(`remove ${account}`)
  await owner.until(`removing ${account}`, () => owner.last('removing', account))
  // Said to be saved: so it happens, whoever is killed now.
  if (die(3) === 0) {
    await owner.kill()
    owner.start()
  }
  if (die(3) > 0) {
    if (die(2)) await guest.said('ended')
    await moment(die(2) ? 20 : 200, world)
    await guest.kill()
    guest.start()
    if (die(2)) {
      await moment(900, world)
      await guest.kill()
      guest.start()
    }
  }
  await guest.until('shares 0', () => guest.last('shares')?.[0] === '0')
  // By this life, or at its start: then it opened without a share.
  await guest.until('wiped', () => guest.last('wiped') ?? (guest.kills > 0 && guest.last('opened')?.[0] === '-1'))
  await guest.kill()
  assert.equal(await contents(join(dir, name, 'logs')), [], `${name}: a replica survived`)
  const keys = await contents(join(dir, name, 'keys'))
  // The account's own recovery phrase has a key there too.
  assert.equal(
    keys.filter(file => file !== 'phrase'),
    [],
    `${name}: a replica’s key survived`
  )
}

async function contents(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => [])
}

/** All say the same, one who comes only now too, and the relay never lost anything that needed healing. */
async function checkEnd(world: World): Promise<void> {
  const { dir, relay, owner, reader } = world
  owner.ask('quiet')
  const [last = ''] = await owner.said('quiet')
  const late = new Program('late', 'reader.ts', () => [join(dir, 'late'), 'ws://127.0.0.1:1'])
  late.start()
  await accept(world, late, 'late')
  const everyone = [owner, reader, late]
  for (const program of [reader, late]) await program.reaches('has', Number(last))
  const states = await Promise.all(
    everyone.map(async program => {
      program.ask('state')
      return (await program.said('state'))[0]
    })
  )
  assert.equal(new Set(states).size, 1, `diverged: ${states}`)
  assert.ok(Number(last) >= Math.max(owner.number('saved'), owner.number('synced')))
  for (const program of [...everyone, relay]) {
    assert.equal(program.trouble, [])
    await program.kill()
  }
  const [share = ''] = await contents(join(dir, 'owner', 'logs'))
  const records = await recordsOf(join(dir, 'relay'), logId(Buffer.from(share, 'hex')))
  assert.is(records.filter(isNewLife).length, 0, 'the relay lost what it had acknowledged, and it was brought back')
  const entries = records.filter(bytes => bytes[0] !== 0).map(bytes => decodeEntry(crypto, bytes))
  assert.ok(
    entries.some(({ kind }) => kind === 'snapshot'),
    'no snapshot was among what was cut off'
  )
}

const crash = describe('crash')

crash(`nothing acknowledged is lost and nobody diverges: ${ROUNDS} kills of each, seed ${SEED}`, async () => {
  const world = await begin(SEED)
  const { relay, owner, reader, die } = world
  const targets = [relay, owner, reader].flatMap(program => Array.from({ length: ROUNDS }, () => program))
  for (let i = targets.length - 1; i > 0; i--) {
    const j = die(i + 1)
    const [a, b] = [targets[i], targets[j]]
    if (a && b) [targets[i], targets[j]] = [b, a]
  }
  try {
    for (const [round, target] of targets.entries()) {
      await strike(world, target)
      if (die(6) === 0) await removeGuest(world)
      await recovered(world)
      if (process.env.LEND_CRASH_ROUNDS && round % 10 === 9) {
        console.log(`round ${round + 1}: ${owner.number('synced')} edits synced, ${world.guests} guests removed`)
      }
    }
    if (world.guests === 0) await removeGuest(world)
    await checkEnd(world)
    for (const program of [relay, owner, reader]) assert.ok(program.kills >= ROUNDS)
  } finally {
    for (const program of [relay, owner, reader]) await program.kill()
  }
  await rm(world.dir, { recursive: true })
})

crash.run()
