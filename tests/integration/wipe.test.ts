/** A wipe that is killed in the middle. Point 3 of issue 2. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { openAccount, type Share } from '@lend/client'
import { hex } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { follow, type Household, household, lend, memberOf, replicaOf, takeOut, until } from './household.ts'
import { nodeWorld, noNetwork, throughDisk } from './worlds.ts'

const wipe = suite('wipe')
const WIPE_STEPS_MAX = 6
const LEAVE_STEPS_MAX = 6

wipe(
  'a wipe that is killed at any step is finished at the next start, before anything of the replica is read',
  household(async house => {
    const maya = await house.person('Maya')
    const share = await lend(maya, 'Paper', 'a line')
    const deaths = Array.from({ length: WIPE_STEPS_MAX }, (_, n) => [
      { step: n + 1, moment: 'before' },
      { step: n + 1, moment: 'halfway' }
    ]).flat()
    for (const { step, moment } of deaths) {
      const member = await house.person(`killed ${moment} ${step}`)
      await follow(share, member)
      await member.close()
      await takeOut(share, member)
    }
    const died = new Set<string>()
    const queue = deaths.values()
    const lane = async () => {
      for (const death of queue) {
        const name = `killed ${death.moment} ${death.step}`
        const said = await run('dying-member.ts', house.folder(name), String(death.step), death.moment, 'wait')
        if (said.startsWith('dies')) died.add(said)
        await finishes(house, share, name, said)
      }
    }
    await Promise.all([lane(), lane()])
    console.log(`killed where it ${[...died].sort().join(', ')}`)
    for (const does of ['writeFile', 'destroyFile', 'destroyDatabase', 'batch']) {
      for (const moment of ['before', 'halfway']) assert.ok(died.has(`dies ${moment} ${does}`), `${moment} ${does}`)
    }
    await until(share, () => share.members.every(({ wiped }) => wiped === 1))
  })
)

wipe(
  'a leave that is killed at any step has not begun, or is finished at the next start',
  household(async house => {
    const maya = await house.person('Maya')
    const share = await lend(maya, 'Paper', 'a line')
    const said: string[] = []
    const leave = async (step: number) => {
      const name = `killed before ${step}`
      const member = await house.person(name)
      await follow(share, member)
      await member.close()
      const last = await run('dying-member.ts', house.folder(name), String(step), 'before', 'leave')
      said.push(last)
      const alone = await openAccount({ path: house.folder(name), world: { ...nodeWorld, ...noNetwork } })
      const left = alone.sharedWithMe.length === 0
      await alone.close()
      assert.is(left, step > 1, `${name}: ${last}`)
      const { directory, keyFile } = replicaOf(house.folder(name), share)
      assert.is(existsSync(directory), !left, `${name}: ${last}`)
      assert.is(existsSync(keyFile), !left, `${name}: ${last}`)
      const again = await house.person(name)
      if (left) await until(share, () => memberOf(share, again).state === 'left' && memberOf(share, again).wiped === 1)
      else await until(again, () => again.status.state === 'synced')
      await again.close()
    }
    for (let step = 1; step <= LEAVE_STEPS_MAX; step += 2) await Promise.all([leave(step), leave(step + 1)])
    for (const does of ['writeFile', 'destroyFile', 'destroyDatabase', 'batch'])
      assert.ok(said.includes(`dies before ${does}`))
  })
)

wipe.run()

/** What is left by a death goes at the next start: without a relay if the marker was durable, else by contact. */
async function finishes(house: Household, share: Share, name: string, said: string): Promise<void> {
  const folder = house.folder(name)
  const { directory, keyFile } = replicaOf(folder, share)
  const gone = () => !existsSync(directory) && !existsSync(keyFile)
  if (said === 'wiped') assert.ok(gone(), name)
  if (existsSync(join(folder, 'wiping', hex(share.id)))) {
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
  await until(member, () => member.sharedWithMe.length === 0 && gone())
  await until(share, () => memberOf(share, member).wiped === 1)
  await member.close()
  assert.equal(
    (await readdir(join(folder, 'wiping'))).filter(file => !file.endsWith('.new')),
    []
  )
}

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
