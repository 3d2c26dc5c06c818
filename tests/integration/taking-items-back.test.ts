// limit: 120 s
/** What is left of an item that was taken back: nothing, on any disk or relay, also when one of them was away or went back. */
import { cp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Item, LentShare, Share } from '@lend/client'
import { decodeEntry, documentId, type Entry, hex, loadSuite } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type * as Y from 'yjs'
import { recordsIn, says } from './all-keys.ts'
import { follow, type Household, household, memberOf, takeOut, until } from './household.ts'
import { isAbout, type LossyLine, openLossyLine, passAll } from './lossy-line.ts'
import { entriesOf } from './relay-log.ts'
import { throughDisk } from './worlds.ts'

const takingBack = suite('taking items back')

const SECRET = 'a-word-of-the-door'

function unselected(share: Share | LentShare): Promise<Uint8Array> {
  return new Promise(resolve => share.on('unselected', resolve))
}

function only<T>(things: readonly T[]): T {
  const [thing, ...others] = things
  if (thing === undefined || others.length > 0) throw new Error(`${things.length}, want one`)
  return thing
}

/** A share of an item that says the secret, and of one that stays; a member has both open. */
async function lendDoor(house: Household, o: { relay?: string } = {}) {
  const maya = await house.person('Maya', o)
  const ben = await house.person('Ben', o)
  const door = await maya.library.add('camera', { name: 'Door', word: SECRET })
  const gate = await maya.library.add('camera', { name: 'Gate' })
  const share = await maya.share({ title: 'House', items: [door, gate] })
  const lent = await follow(share, ben)
  const { copy, doc } = await openedAs(lent, 'Door')
  await until(doc, () => doc.getMap('camera').get('word') === SECRET)
  return { maya, ben, door, gate, share, lent, copy, doc }
}

async function openedAs(lent: LentShare, name: string): Promise<{ copy: Item; doc: Y.Doc }> {
  const copy = await until(lent, () => lent.items.find(item => item.name === name))
  return { copy, doc: await lent.open(copy) }
}

const kindsOf = (entries: readonly { entry: Entry }[], document: Uint8Array) =>
  entries.filter(({ entry }) => hex(entry.document) === hex(document)).map(({ entry }) => entry.kind)

/** The directories and the key of a share on a person's disk. */
async function onDisk(house: Household, person: string, share: { readonly id: Uint8Array }) {
  const folder = house.folder(person)
  const names = await readdir(join(folder, 'logs'))
  return {
    directories: names.filter(name => name.startsWith(hex(share.id))),
    key: await readFile(join(folder, 'keys', hex(share.id)))
  }
}

takingBack(
  'it is told, its Y.Doc is destroyed, and its relay, its member and its owner keep not a byte of it',
  household(async house => {
    const { maya, ben, door, share, lent, copy, doc } = await lendDoor(house)
    const before = await onDisk(house, 'Ben', share)
    const told = Promise.all([unselected(share), unselected(lent)])
    await share.unselect(door)
    assert.equal(await told, [door.id, copy.id])
    assert.ok(doc.isDestroyed)
    await Promise.all([share.synced(), until(lent, () => lent.items.length === 1)])
    const live = (await openedAs(lent, 'Gate')).doc
    const mine = await maya.library.open(only(share.items))
    mine.getMap('camera').set('word', 'now')
    await until(live, () => live.getMap('camera').get('word') === 'now')
    await Promise.all([maya.close(), ben.close(), house.stopRelay()])
    assert.equal(kindsOf(await entriesOf(house.relayFolder, share.id), copy.id), ['drop'])
    for (const person of ['Ben', 'Maya']) {
      const now = await onDisk(house, person, share)
      assert.equal(now.directories, [`${hex(share.id)}-1`], person)
      const records = await recordsIn(house.folder(person), share.id)
      assert.ok(says(records.values(), 'Gate') && !says(records.values(), SECRET), person)
      assert.equal(
        [...records.keys()].filter(key => key.includes(hex(copy.id))),
        [`dropped/${hex(copy.id)}`, `at rest: dropped/${hex(copy.id)}`],
        person
      )
      assert.not.ok(records.has('renewal'), person)
      assert.not.equal(now.key.subarray(0, 32), before.key.subarray(0, 32), person)
    }
    assert.equal(before.directories, [hex(share.id)])
    // What was moved is whole: both go on from it.
    await house.startRelay()
    const [again, benAgain] = [await house.person('Maya'), await house.person('Ben')]
    await Promise.all([again.synced(), benAgain.synced()])
    const { doc: gate } = await openedAs(only(benAgain.sharedWithMe), 'Gate')
    assert.is(gate.getMap('camera').get('word'), 'now')
    const theirs = await again.library.open(only(again.library.items.filter(({ name }) => name === 'Gate')))
    theirs.getMap('camera').set('word', 'later')
    await until(gate, () => gate.getMap('camera').get('word') === 'later')
  })
)

takingBack(
  'while its accounts stay open, the directory goes once nothing is written for a moment',
  household(async house => {
    const { door, share, lent } = await lendDoor(house)
    const told = unselected(lent)
    await share.unselect(door)
    await told
    const gone = async () => {
      for (const person of ['Ben', 'Maya']) {
        const { directories } = await onDisk(house, person, share)
        if (directories.join() !== `${hex(share.id)}-1`) return false
      }
      return true
    }
    while (!(await gone())) await new Promise(resolve => setImmediate(resolve))
    assert.is(only(lent.items).name, 'Gate')
  })
)

takingBack(
  'a member who was away learns it at the next contact, and one who comes later never had it',
  household(async house => {
    const { ben, door, share, copy } = await lendDoor(house)
    await ben.close()
    await share.unselect(door)
    await share.synced()
    const again = await house.person('Ben')
    const lent = only(again.sharedWithMe)
    await until(lent, () => lent.status.state === 'synced' && lent.items.length === 1)
    const ana = await house.person('Ana')
    const told: unknown[] = []
    const toAna = await follow(share, ana)
    toAna.on('unselected', item => told.push(item))
    await until(toAna, () => toAna.items.length === 1)
    await Promise.all([again.close(), ana.close()])
    assert.equal(told, [])
    for (const person of ['Ben', 'Ana']) {
      const records = await recordsIn(house.folder(person), share.id)
      assert.not.ok(says(records.values(), SECRET), person)
      assert.ok(records.has(`dropped/${hex(copy.id)}`), person)
    }
  })
)

takingBack(
  'the owner is killed before the drop is written: it is written at the next start',
  household(async house => {
    const line = house.keep(await openLossyLine(() => house.relay.url))
    const { maya, door, share, lent } = await lendDoor(house, { relay: line.url })
    line.cut({ down: true })
    await until(share, () => share.status.state !== 'synced')
    await share.unselect(door)
    await maya.close()
    const told = unselected(lent)
    line.mend()
    const again = await house.person('Maya', { relay: line.url })
    await told
    await again.synced()
    assert.is(only(only(again.shares).items).name, 'Gate')
  })
)

/** Loses the drop on its way, once, and with it the connection. @returns resolves when that has happened */
async function loseDrop(line: LossyLine): Promise<void> {
  const engine = await loadSuite()
  return new Promise(resolve => {
    line.judge = (frame, from) => {
      const entries = frame.type === 'append' && from === 'client' ? frame.entries : []
      if (!entries.some(bytes => decodeEntry(engine, bytes).kind === 'drop')) return 'pass'
      line.judge = passAll
      line.cut({ down: true })
      resolve()
      return 'cut'
    }
  })
}

takingBack(
  'a drop that was lost on its way goes again; if a new epoch has begun meanwhile, under that one',
  household(async house => {
    const line = house.keep(await openLossyLine(() => house.relay.url))
    const { maya, door, share, lent, copy } = await lendDoor(house, { relay: line.url })
    const ana = await house.person('Ana', { relay: line.url })
    await follow(share, ana)
    line.only = share.id
    const lost = loseDrop(line)
    await share.unselect(door)
    await lost
    await until(share, () => share.status.state !== 'synced')
    await share.remove(memberOf(share, ana))
    const told = unselected(lent)
    line.mend()
    await told
    await until(share, () => memberOf(share, ana).state === 'removed')
    await share.synced()
    const engine = await loadSuite()
    const drops = line.sent.flatMap(({ frame }) => {
      if (!isAbout(frame, share.id) || frame.type !== 'append') return []
      return frame.entries.map(bytes => decodeEntry(engine, bytes)).filter(({ kind }) => kind === 'drop')
    })
    assert.equal(
      [...new Set(drops.map(({ ctr, epoch }) => `${ctr} in ${epoch}`))],
      [`${drops[0]?.ctr} in 1`, `${drops[0]?.ctr} in 2`]
    )
    await Promise.all([maya.close(), house.stopRelay()])
    assert.equal(kindsOf(await entriesOf(house.relayFolder, share.id), copy.id), ['drop'])
  })
)

takingBack(
  'a relay that went back to before the drop is told it again, and meanwhile nobody takes the item back in',
  household(async house => {
    const { maya, door, share, lent, copy } = await lendDoor(house)
    const backup = join(house.dir, 'backup')
    await house.stopRelay()
    await cp(house.relayFolder, backup, { recursive: true })
    await house.startRelay()
    const told = unselected(lent)
    await share.unselect(door)
    await told
    await share.synced()
    await house.stopRelay()
    await rm(house.relayFolder, { recursive: true })
    await cp(backup, house.relayFolder, { recursive: true })
    assert.not.equal(kindsOf(await entriesOf(house.relayFolder, share.id), copy.id), ['drop'])
    const names: string[] = []
    lent.on('change', () => names.push(lent.items.map(({ name }) => name).join()))
    await house.startRelay()
    await until(lent, () => lent.status.state === 'synced')
    await share.synced()
    const gate = (await openedAs(lent, 'Gate')).doc
    const mine = await maya.library.open(only(share.items))
    mine.getMap('camera').set('word', 'after')
    await until(gate, () => gate.getMap('camera').get('word') === 'after')
    assert.not.ok(names.some(shown => shown.includes('Door')))
    await share.synced()
    await Promise.all([maya.close(), house.stopRelay()])
    const kinds = kindsOf(await entriesOf(house.relayFolder, share.id), documentId(copy.id))
    assert.equal(kinds, ['drop'])
  })
)

takingBack(
  'at a start no item is opened to find out that nothing has changed',
  household(async house => {
    const { maya, door, share } = await lendDoor(house)
    await share.synced()
    await maya.close()
    const read: string[] = []
    const counted = throughDisk((_step, run) => run())
    const world = {
      ...counted,
      disk(path: string) {
        const disk = counted.disk(path)
        return {
          ...disk,
          async openDatabase(name: string) {
            const database = await disk.openDatabase(name)
            const iterator = database.iterator.bind(database)
            const watched = (o: { gte?: string }) => {
              read.push(o.gte ?? '')
              return iterator(o)
            }
            return Object.assign(database, { iterator: watched })
          }
        }
      }
    }
    const again = await house.person('Maya', { world })
    await again.synced()
    const opened = () => read.filter(key => key.startsWith('piece/') && !key.includes('0000000000000001'))
    assert.equal(opened(), [])
    await again.library.open(door)
    assert.equal(opened(), [`piece/${hex(door.id)}/`])
  })
)

takingBack(
  'a member who is taken out after that, and joins again, has only what is selected then',
  household(async house => {
    const { ben, door, share } = await lendDoor(house)
    await share.unselect(door)
    await share.synced()
    await takeOut(share, ben)
    await until(ben, () => ben.sharedWithMe.length === 0)
    const lent = await follow(share, ben)
    await until(lent, () => lent.items.length === 1)
    assert.is(only(lent.items).name, 'Gate')
  })
)

takingBack.run()
