/**
 * Two devices of an owner that decide at the same time, both offline or both there: one order, nothing that anybody wanted
 * is lost but by rule, nobody tries for ever, and each epoch begins once and opens for all who remain.
 *
 * `LEND_AT_ONCE_SEEDS`: how many interleavings of each kind.
 */
import type { Share } from '@lend/client'
import {
  AccessHistory,
  decodeEntry,
  decodeStatement,
  epochKeys,
  hex,
  type LogId,
  limits,
  loadSuite,
  logId,
  type Statement
} from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { follow, type Household, household, memberOf, textOf, until } from './household.ts'
import { keysOnDisk } from './keys-on-disk.ts'
import { comeToRest, devicesOf, type Machine } from './machines.ts'
import { entriesOf, seededDie } from './relay-log.ts'
import { movableTime } from './worlds.ts'

const once = suite('at once')
const crypto = await loadSuite()
const SEEDS = Number(process.env.LEND_AT_ONCE_SEEDS ?? 1)

for (const where of ['offline', 'online'] as const) {
  once(`two devices that are ${where} remove one member and invite: it is out, and every invite stands`, () =>
    seeds(seed => household(house => decide(house, seed, where, false))())
  )
  once(
    `two devices that are ${where} remove each other and one member, and invite: one remains, with what it wanted`,
    () => seeds(seed => household(house => decide(house, seed, where, true))())
  )
}

async function seeds(run: (seed: number) => Promise<void>): Promise<void> {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      await run(seed)
    } catch (error) {
      console.log(`seed ${seed}`)
      throw error
    }
  }
}

async function decide(house: Household, seed: number, where: 'offline' | 'online', eachOther: boolean): Promise<void> {
  const die = seededDie(seed)
  const time = movableTime()
  const [phone, laptop, tablet] = await devicesOf(house, time, 'Maya', ['phone', 'laptop', 'tablet'])
  assert.ok(laptop && tablet)
  const share = await phone.account.share({ title: 'House' })
  const [ben, ana] = [await house.person('Ben'), await house.person('Ana')]
  const lost = await follow(share, ben)
  const lent = await follow(share, ana)
  const owners = [phone, laptop, tablet]
  for (const { account } of owners) {
    await until(account, () => account.devices.length === 3 && account.devices.every(({ name }) => name !== ''))
    const theirs = await until(account, () => account.shares[0])
    await until(theirs, () => theirs.members.length === 2)
  }
  await comeToRest(time, owners)

  const pair = [phone, laptop] as const
  const tries = pair.map(countTries)
  const invites = new Map<Machine, { readonly share: string; readonly device: () => string }>()
  const failed = new Map<Machine, unknown[]>(pair.map(machine => [machine, []]))
  const act = async (machine: Machine, other: Machine) => {
    const { account } = machine
    const [mine] = account.shares
    assert.ok(mine)
    const fail = (error: unknown) => failed.get(machine)?.push(error)
    account.on('error', fail)
    mine.on('refused', fail)
    for (let turns = die(40); turns > 0; turns--) await new Promise(resolve => setImmediate(resolve))
    const inLibrary = async () => {
      const that = account.devices.find(({ name }) => name === nameOf(other))
      assert.ok(that)
      if (eachOther) await account.removeDevice(that)
      const made = await account.inviteDevice()
      invites.set(machine, { share: invites.get(machine)?.share ?? '', device: () => made.state })
    }
    const inShare = async () => {
      await mine.remove(memberOf(mine, ben))
      const { id } = await mine.invite({ name: machine.name })
      invites.set(machine, { device: invites.get(machine)?.device ?? (() => ''), share: id })
    }
    const acts = die(2) === 0 ? [inLibrary, inShare] : [inShare, inLibrary]
    for (const run of acts) await run().catch(fail)
  }
  if (where === 'offline') for (const { line } of pair) line.cut()
  await Promise.all([act(phone, laptop), act(laptop, phone)])
  for (const { line } of die(2) === 0 ? pair : [laptop, phone]) {
    line.mend()
    for (let turns = die(40); turns > 0; turns--) await new Promise(resolve => setImmediate(resolve))
  }

  const [out] = eachOther ? await until(tablet.account, () => gone(tablet, pair)) : [null]
  const stayed = owners.filter(machine => machine !== out)
  if (out) await until(out.account, () => out.account.status.state === 'ended')
  await until(lost, () => lost.status.state === 'ended')
  await comeToRest(time, stayed)

  for (const machine of stayed) {
    const [mine] = machine.account.shares
    assert.ok(mine)
    assert.is(memberOf(mine, ben).state, 'removed')
    assert.is(memberOf(mine, ana).state, 'joined')
    // What was written after all this is read by all who remain.
    textOf(mine).insert(0, machine.name)
    await until(lent.doc, () => textOf(lent).toString().includes(machine.name))
    await until(tablet.account.shares[0]?.doc ?? mine.doc, () => textOf(mine).toString().includes(machine.name))
  }
  for (const machine of stayed) assert.equal(failed.get(machine) ?? [], [], 'nothing failed')
  for (const [machine, made] of invites) {
    if (machine === out) continue
    assert.is(made.device(), 'open', 'the invite of a device that stays stands')
    const state = stateOf(tablet.account.shares[0], made.share)
    // Open, unless its epoch ended with the other device, which voids all.
    assert.ok(state === 'open' || (eachOther && state === 'void'), `${machine.name}: ${state}`)
  }
  for (const counted of tries) {
    for (const [what, ids] of counted) {
      assert.ok(ids.size <= limits.INTENT_TRIES_MAX, `${what} was tried ${ids.size} times`)
    }
  }
  await Promise.all([...stayed.map(({ account }) => account.close()), ben.close(), ana.close(), house.stopRelay()])
  await assertEpochs(house, share.id, stayed)
  const library = await historyOf(house, logId(phone.account.id))
  const removals = library.records.filter(({ statement }) => statement.type === 'remove-devices')
  assert.is(removals.length, eachOther ? 1 : 0)
}

/** The phone is called by default what no other is. */
function nameOf({ name }: Machine): string {
  return name === 'phone' ? 'this device' : name
}

function gone(tablet: Machine, pair: readonly Machine[]): Machine[] | false {
  const names = new Set(tablet.account.devices.map(({ name }) => name))
  const out = pair.filter(machine => !names.has(nameOf(machine)))
  return out.length > 0 && out
}

function stateOf(share: Share | undefined, invite: string): string | undefined {
  return share?.invites.find(({ id }) => id === invite)?.state
}

/** What a device sends of access statements: for each thing wanted in a log, the entries that it tried. */
function countTries({ line }: Machine): Map<string, Set<string>> {
  const tries = new Map<string, Set<string>>()
  line.judge = (frame, from) => {
    if (from !== 'client' || frame.type !== 'append') return 'pass'
    for (const bytes of frame.entries) {
      const entry = decodeEntry(crypto, bytes)
      if (entry.kind !== 'access') continue
      const what = `${hex(entry.log)}: ${wantedIn(decodeStatement(entry.payload))}`
      tries.set(what, (tries.get(what) ?? new Set()).add(hex(entry.id)))
    }
    return 'pass'
  }
  return tries
}

function wantedIn(s: Statement): string {
  if (s.type === 'invite') return `invite ${hex(s.invite)}`
  return s.type === 'remove-members' || s.type === 'remove-devices' ? `${s.type} ${s.who.map(hex).join()}` : s.type
}

/** The access list at the relay, which takes no entry twice or beside the order. */
async function historyOf(house: Household, log: LogId): Promise<AccessHistory> {
  const history = new AccessHistory(crypto)
  for (const { entry, seq } of await entriesOf(house.relayFolder, log)) {
    if (entry.kind !== 'access') continue
    assert.is(history.fold(entry, seq, 0, { timeMs: null, signatures: true }), null)
  }
  return history
}

/** Each epoch of the share is begun by one statement, and each device that remains has the keys of all of them. */
async function assertEpochs(house: Household, log: LogId, machines: readonly Machine[]): Promise<void> {
  const { list, records } = await historyOf(house, log)
  const statements = records.map(({ statement }) => statement)
  const begins = statements.filter(({ type }) => type === 'create-share' || type === 'remove-members').length
  assert.is(list?.epoch, begins)
  for (const { name } of machines) {
    const { account, sealing } = await keysOnDisk(crypto, house.folder(name))
    const keys = epochKeys(crypto, log, statements, { account, sealingKeys: sealing, invite: null })
    assert.equal(
      [...keys.keys()].sort((a, b) => a - b),
      Array.from({ length: begins }, (_, i) => i + 1)
    )
  }
}

once.run()
