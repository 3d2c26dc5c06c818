// limit: 240 s
/** A wipe that is killed in the middle. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { openAccount, type Share } from '@lend/client'
import { hex } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waysAt } from './deaths.ts'
import { follow, type Household, household, lend, linkTo, memberOf, replicaOf, takeOut, until } from './household.ts'
import { nodeWorld, noNetwork, throughDisk } from './worlds.ts'

const wipe = suite('wipe')

/** A step on the disk at which a process is killed: the `nth` of those that are `what`. */
interface Death {
  readonly what: string
  readonly nth: number
  readonly moment: 'before' | 'halfway'
}

const nameOf = ({ what, nth, moment }: Death) => `killed ${moment} ${what} ${nth}`

wipe(
  'a wipe that is killed at any step is finished at the next start, before anything of the replica is read',
  household(async house => {
    const maya = await house.person('Maya')
    const share = await lend(maya, 'Paper', 'a line')
    const victim = async (name: string) => {
      const member = await house.person(name)
      await follow(share, member)
      await member.close()
      await takeOut(share, member)
    }
    await victim('whole')
    const whole = await run(house.folder('whole'), NOBODY, 'wait')
    await finishes(house, share, 'whole', whole)
    const steps = stepsOf(whole)
    const [before, halfway] = (['before', 'halfway'] as const).map(moment => deathsAt(steps, moment))
    const deaths = (before ?? []).flatMap((death, step) => waysAt(step, [death, halfway?.[step] ?? death]))
    for (const death of deaths) await victim(nameOf(death))
    const survived: string[] = []
    await inLanes(deaths, async death => {
      const name = nameOf(death)
      const said = await run(house.folder(name), death, 'wait')
      if (said !== 'dies') survived.push(name)
      await finishes(house, share, name, said)
    })
    for (const what of STEPS) assert.ok(steps.includes(what), `a wipe has no ${what}: ${steps}`)
    console.log(`killed at each of: ${steps.join(', ')}`)
    assert.equal(survived, [])
    await until(share, () => share.members.every(({ wiped }) => wiped === 1))
  })
)

wipe(
  'a leave that is killed at any step has not begun, or is finished at the next start',
  household(async house => {
    const maya = await house.person('Maya')
    const share = await lend(maya, 'Paper', 'a line')
    /** @param death null for a leave that nobody kills. @returns what it said */
    const leave = async (death: Death | null) => {
      const name = death ? nameOf(death) : 'whole'
      const member = await house.person(name)
      // Bound to this account: the leave of another in the meantime leaves it open.
      const lent = await member.accept(await linkTo(share, { for: member.id }))
      await lent.synced()
      await member.close()
      const said = await run(house.folder(name), death ?? NOBODY, 'leave')
      const alone = await openAccount({ path: house.folder(name), world: { ...nodeWorld, ...noNetwork } })
      const left = alone.sharedWithMe.length === 0
      await alone.close()
      // The first that is written says that it is left.
      assert.is(left, death?.what !== 'batch' || death.nth > 1, `${name}: ${said}`)
      const { directory, keyFile } = replicaOf(house.folder(name), share)
      assert.is(existsSync(directory), !left, `${name}: ${said}`)
      assert.is(existsSync(keyFile), !left, `${name}: ${said}`)
      const again = await house.person(name)
      const ends: unknown[] = []
      again.on('ended', end => ends.push(end))
      if (left) await until(share, () => memberOf(share, again).state === 'left' && memberOf(share, again).wiped === 1)
      await again.synced()
      assert.is(again.sharedWithMe.length, left ? 0 : 1, `${name}: ${said}`)
      assert.equal(ends, [], `${name}: ${said}: it came back`)
      await again.close()
      return said
    }
    const steps = stepsOf(await leave(null))
    for (const what of STEPS) assert.ok(steps.includes(what), `a leave has no ${what}: ${steps}`)
    const survived: string[] = []
    const deaths = deathsAt(steps, 'before').filter((_, step) => waysAt(step, [true, false]).includes(true))
    await inLanes(deaths, async death => {
      if ((await leave(death)) !== 'dies') survived.push(nameOf(death))
    })
    console.log(`killed at each of: ${steps.join(', ')}`)
    assert.equal(survived, [])
  })
)

wipe.run()

/** What is left by a death goes at the next start: without a relay if the marker was durable, else by contact. */
async function finishes(house: Household, share: Share, name: string, said: string): Promise<void> {
  const folder = house.folder(name)
  const { directory, keyFile } = replicaOf(folder, share)
  const gone = () => !existsSync(directory) && !existsSync(keyFile)
  if (said !== 'dies') assert.ok(gone(), name)
  const isMarked = existsSync(join(folder, 'wiping', hex(share.id)))
  if (isMarked) {
    const steps: string[] = []
    const watched = throughDisk((step, run) => {
      steps.push(`${step.does} ${step.to}`)
      return run()
    })
    const alone = await openAccount({ path: folder, world: { ...watched, ...noNetwork } })
    assert.ok(gone(), `${name}: ${said}: not finished at the start`)
    assert.equal(alone.sharedWithMe, [])
    const read = [`readFile keys/${hex(share.id)}`, `openDatabase logs/${hex(share.id)}`]
    assert.equal(
      steps.filter(step => read.includes(step)),
      [],
      `${name}: ${said}: it was read`
    )
    await alone.close()
  }
  const member = await house.person(name)
  const ends: boolean[] = []
  member.on('ended', ({ wiped }) => ends.push(wiped))
  await until(member, () => member.sharedWithMe.length === 0 && gone())
  await until(share, () => memberOf(share, member).wiped === 1)
  await member.synced()
  assert.equal(
    ends,
    isMarked || said !== 'dies' ? [] : [false, true],
    `${name}: ${said}: once, and it does not come back`
  )
  await member.close()
  assert.equal(
    (await readdir(join(folder, 'wiping'))).filter(file => !file.endsWith('.new')),
    []
  )
}

/** What each end has: marker and receipt, key, database, and the lists of the account and of its library. */
const STEPS = ['writeFile', 'destroyFile', 'destroyDatabase', 'batch', 'library']
const MEMBER_MS_MAX = 40_000
/** No step is this. */
const NOBODY: Death = { what: 'nothing', nth: 1, moment: 'before' }

function stepsOf(said: string): string[] {
  const words = said.split(' ')
  assert.is(words.pop(), 'wiped', said)
  return words
}

/** A death at each of the steps. The library writes more when its relay answers in between: only the first is sure. */
function deathsAt(steps: readonly string[], moment: Death['moment']): Death[] {
  const counted = new Map<string, number>()
  return steps.flatMap(what => {
    const nth = (counted.get(what) ?? 0) + 1
    counted.set(what, nth)
    return what === 'library' && nth > 1 ? [] : [{ what, nth, moment }]
  })
}

/** Two at a time; when one fails no other begins, and all have ended when it is told. */
async function inLanes<T>(things: readonly T[], run: (thing: T) => Promise<void>): Promise<void> {
  const queue = [...things]
  const lane = async () => {
    for (let thing = queue.shift(); thing; thing = queue.shift()) {
      try {
        await run(thing)
      } catch (error) {
        queue.length = 0
        throw error
      }
    }
  }
  for (const lived of await Promise.allSettled([lane(), lane()])) if (lived.status === 'rejected') throw lived.reason
}

/** Lets a member die. @returns what it printed, nothing when it neither dies nor ends */
async function run(folder: string, { what, nth, moment }: Death, action: 'wait' | 'leave'): Promise<string> {
  const path = join(import.meta.dirname, 'programs', 'dying-member.ts')
  const args = [folder, what, String(nth), moment, action]
  const child = spawn(process.execPath, [...process.execArgv, path, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', chunk => {
    output += chunk
  })
  const late = setTimeout(() => child.kill('SIGKILL'), MEMBER_MS_MAX)
  await once(child, 'close')
  clearTimeout(late)
  return output.trim()
}
