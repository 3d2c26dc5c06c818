/**
 * A device that was taken out of its account: with every key that it ever had and the whole store of the relay in hand it
 * opens nothing that came later, and nothing of it is on its disk after its next contact.
 */
import { existsSync } from 'node:fs'
import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  dataKey,
  decodeEntry,
  decodeStatement,
  type Entry,
  epochKeys,
  type LogId,
  libraryEpochKeys,
  loadSuite,
  logId,
  openContent,
  Refusal,
  type Statement
} from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { follow, type Household, household, lend, textOf, until } from './household.ts'
import { keysOnDisk } from './keys-on-disk.ts'
import { isAbout } from './lossy-line.ts'
import { comeToRest, devicesOf, type Machine, startAnew } from './machines.ts'
import { entriesOf } from './relay-log.ts'
import { searchFolder } from './search.ts'
import { movableTime } from './worlds.ts'

const removed = suite('a removed device')
const crypto = await loadSuite()

for (const isThere of [true, false]) {
  removed(
    `of a device that is ${isThere ? 'there' : 'offline'} when it is removed, no key opens what comes later, and nothing is left`,
    household(house => remove(house, isThere))
  )
}

async function remove(house: Household, isThere: boolean): Promise<void> {
  const time = movableTime()
  const [phone, laptop] = await devicesOf(house, time, 'Maya', ['phone', 'laptop'])
  assert.ok(laptop)
  const door = await phone.account.library.add('camera', { name: 'Door' }, { private: { password: 'before' } })
  const share = await phone.account.share({ title: 'House', items: [door] })
  const ana = await house.person('Ana')
  const lent = await follow(await lend(ana, 'Paper', 'before'), phone.account)
  await until(laptop.account, () => laptop.account.shares.length === 1 && laptop.account.sharedWithMe.length === 1)
  await comeToRest(time, [phone, laptop])

  // All that it has: copied while it is closed, as a thief would.
  const loot = house.folder('loot')
  await laptop.account.close()
  await cp(house.folder('laptop'), loot, { recursive: true })
  await startAnew(house, laptop)
  await laptop.account.synced()
  if (!isThere) await laptop.account.close()

  const [paper] = ana.shares
  const that = await until(phone.account, () => phone.account.devices.find(({ isThis }) => !isThis))
  assert.ok(paper)
  // Ana's list hears of it from the phone, and she starts the next epoch.
  const rotated = nextEpoch(phone, paper.id)
  await phone.account.removeDevice(that)
  await rotated
  await comeToRest(time, [phone])

  const later = 'what comes later'
  await phone.account.library.add('camera', { name: later }, { private: { password: later } })
  const doc = await phone.account.library.open(door)
  doc.getMap('camera').set('seen', later)
  textOf(share).insert(0, later)
  textOf(paper).insert(0, later)
  await until(lent.doc, () => textOf(lent).toString().includes(later))
  await comeToRest(time, [phone])
  await ana.synced()

  if (!isThere) await startAnew(house, laptop)
  const folder = house.folder('laptop')
  const isWiped = () => ['account', 'account.key'].every(name => !existsSync(join(folder, name)))
  await until(laptop.account, () => laptop.account.status.state === 'ended' && isWiped())
  const keyFiles = ['account.key', ...(await readdir(join(loot, 'keys'))).map(name => join('keys', name))]
  const keys = await Promise.all(keyFiles.map(name => readFile(join(loot, name))))
  assert.ok((await searchFolder(loot, keys)).length >= keys.length)
  assert.equal(await searchFolder(folder, keys), [])
  for (const below of ['keys', 'logs']) assert.equal(await readdir(join(folder, below)), [])

  await Promise.all([phone.account.close(), ana.close(), house.stopRelay()])
  const store = join(house.dir, 'store in hand')
  await cp(house.relayFolder, store, { recursive: true })
  for (const log of [logId(phone.account.id), share.id, paper.id]) await assertOpens(store, loot, log)
}

/** Resolves when this device is told that a share has begun another epoch. */
function nextEpoch({ line }: Machine, log: LogId): Promise<void> {
  return new Promise(resolve => {
    line.judge = frame => {
      if (frame.type === 'entries' && isAbout(frame, log)) {
        const entries = frame.entries.map(({ bytes }) => decodeEntry(crypto, bytes))
        if (entries.some(entry => statementOf(entry)?.type === 'remove-members')) resolve()
      }
      return 'pass'
    }
  })
}

function statementOf({ kind, payload }: Entry): Statement | null {
  return kind === 'access' ? decodeStatement(payload) : null
}

/** Of a log in the relay's store the thief opens all that was there when its device went out, and nothing of the rest. */
async function assertOpens(store: string, loot: string, log: LogId): Promise<void> {
  const entries = (await entriesOf(store, log)).map(({ entry }) => entry)
  const statements = entries.flatMap(entry => statementOf(entry) ?? [])
  const { account, device, sealing } = await keysOnDisk(crypto, loot)
  const holder = { device, recovery: null, invite: null }
  const keys = [
    ...libraryEpochKeys(crypto, log, statements, holder).values(),
    ...epochKeys(crypto, log, statements, { account, sealingKeys: sealing, invite: null }).values()
  ]
  const end = entries.findIndex(entry => /^remove-/.test(statementOf(entry)?.type ?? ''))
  const opens = (entry: Entry) => keys.some(key => isOpenedBy(entry, key))
  const isData = ({ kind }: Entry) => kind === 'update' || kind === 'snapshot'
  const before = entries.slice(0, end).filter(isData)
  const after = entries.slice(end).filter(isData)
  assert.ok(end > 0 && before.length > 0 && after.length > 0)
  assert.ok(before.every(opens), 'what was there before opens')
  assert.is(after.filter(opens).length, 0, 'nothing of what came later opens')
}

function isOpenedBy(entry: Entry, epochKey: Uint8Array): boolean {
  if (entry.kind !== 'update' && entry.kind !== 'snapshot') return false
  try {
    openContent(crypto, entry, dataKey(crypto, epochKey))
    return true
  } catch (error) {
    if (error instanceof Refusal) return false
    throw error
  }
}

removed.run()
