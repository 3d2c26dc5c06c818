// limit: 600 s
/**
 * Three devices of an owner and two of each of two members, one relay, seeded edits on all of the owner's devices with
 * lines that come and go: once all is said, every replica says the same, and every share has exactly what is selected.
 *
 * `LEND_REST_SEEDS`: how many seeds, from `LEND_REST_FIRST` on, of `LEND_REST_STEPS` steps each.
 */
import { type Item, LendError, type Share } from '@lend/client'
import { hex } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { LibraryIndex } from '../../packages/client/src/library/library-index.ts'
import { readManifest } from '../../packages/client/src/share/manifest.ts'
import { type Kept, keptIn, stateOf, statesOf } from './documents-on-disk.ts'
import { type Household, household, linkTo, until } from './household.ts'
import { comeToRest, devicesOf, type Machine, startAnew } from './machines.ts'
import { ownLine } from './own-line.ts'
import { seededDie } from './relay-log.ts'
import { movableTime } from './worlds.ts'

const rest = suite('a household at rest')

const SEEDS = Number(process.env.LEND_REST_SEEDS ?? 1)
const FIRST = Number(process.env.LEND_REST_FIRST ?? 1)
const STEPS = Number(process.env.LEND_REST_STEPS ?? 60)
const DOCUMENT_ONE = `${'00'.repeat(15)}01`

type Die = (sides: number) => number

rest('three devices of an owner and those of all members agree on everything', async () => {
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const said: string[] = []
    try {
      await household(house => lifeOf(house, seed, said))()
    } catch (error) {
      console.log(`seed ${seed}\n${said.join('\n')}`)
      throw error
    }
  }
})

async function lifeOf(house: Household, seed: number, said: string[]): Promise<void> {
  const die = seededDie(seed)
  const time = movableTime()
  const maya = await devicesOf(house, time, 'Maya', ['phone', 'laptop', 'tablet'])
  const ana = await devicesOf(house, time, 'Ana', ['Ana 1', 'Ana 2'])
  const ben = await devicesOf(house, time, 'Ben', ['Ben 1', 'Ben 2'])
  const [phone] = maya
  const titles = ['House', 'Garden']
  for (const title of titles) {
    const share = await phone.account.share({ title })
    for (const [first] of [ana, ben]) await first.account.accept(await linkTo(share))
  }
  for (const { account } of maya) await until(account, () => account.shares.length === titles.length)
  for (const { account } of [...ana, ...ben]) {
    await until(account, () => account.sharedWithMe.length === titles.length)
  }
  const machines = [...maya, ...ana, ...ben]
  for (let step = 0; step < STEPS; step++) {
    const owner = maya[die(maya.length)]
    const other = machines[die(machines.length)]
    assert.ok(owner && other)
    said.push(await live(house, die, step, owner, other))
    if (die(2) === 0) time.moveOn(die(400))
    for (let turns = die(12); turns > 0; turns--) await new Promise(resolve => setImmediate(resolve))
  }
  await comeToRest(time, machines)
  const fresh: Machine = { name: 'Cleo', line: ownLine(time.world), account: await house.person('Cleo') }
  for (const share of phone.account.shares) await fresh.account.accept(await linkTo(share))
  await comeToRest(time, [...machines, fresh])
  await compare(house, maya, [...ana, ...ben, fresh])
}

/** One thing that happens. @returns what */
async function live(house: Household, die: Die, step: number, owner: Machine, other: Machine): Promise<string> {
  const { account } = owner
  const { library, shares } = account
  const item = library.items[die(Math.max(1, library.items.length))]
  const share = shares[die(shares.length)]
  assert.ok(share)
  const at = `${owner.name}: `
  switch (die(14)) {
    case 0:
    case 1: {
      const fields = { name: `thing ${step}`, zoom: step }
      await library.add(die(2) === 0 ? 'camera' : 'dashboard', fields, { private: { password: `secret ${step}` } })
      return `${at}adds ${step}`
    }
    case 2:
    case 3:
    case 4:
      if (item) await edit(die, step, library.open(item), item)
      return `${at}edits ${item?.name}`
    case 5:
      if (item) await edit(die, step, library.openPrivate(item), item)
      return `${at}edits what is private of ${item?.name}`
    case 6: {
      const doc = share.doc
      const text = doc.getText('text')
      if (die(4) > 0) text.insert(die(text.length + 1), `${step} `)
      else text.delete(0, die(text.length + 1))
      doc.getMap('app').set(`k${die(3)}`, step)
      return `${at}writes in ${share.title}`
    }
    case 7:
    case 8:
      if (item) await unlessGone(share.select(item))
      return `${at}selects ${item?.name} into ${share.title}`
    case 9:
      if (item) await share.unselect(item)
      return `${at}unselects ${item?.name} from ${share.title}`
    case 10:
      if (item && die(3) === 0) await library.remove(item)
      return `${at}removes ${item?.name}`
    case 11:
    case 12:
      if (other.line.isDown) other.line.mend()
      else other.line.cut()
      return `${other.name} is ${other.line.isDown ? 'offline' : 'online'}`
    default:
      if (die(3) > 0) return 'nothing'
      await startAnew(house, other)
      return `${other.name} starts anew`
  }
}

async function edit(die: Die, step: number, opening: Promise<Y.Doc>, { kind }: Item): Promise<void> {
  const doc = await unlessGone(opening)
  if (!doc) return
  const fields = doc.getMap(kind)
  const log = doc.getText('log')
  doc.transact(() => {
    if (die(3) === 0) fields.set('name', `thing ${step}`)
    if (die(2) === 0) fields.set(`k${die(3)}`, { step })
    if (die(4) === 0) fields.delete(`k${die(3)}`)
    if (die(4) === 0) fields.set('list', Y.Array.from([step, step + 1]))
    if (die(2) === 0) log.insert(die(log.length + 1), die(8) === 0 ? `${step} `.repeat(20_000) : `${step} `)
    else log.delete(0, die(log.length + 1))
  })
  if (die(2) === 0) doc.destroy()
}

/** Another device may have removed the item meanwhile. */
async function unlessGone<T>(asked: Promise<T>): Promise<T | null> {
  try {
    return await asked
  } catch (error) {
    if (!(error instanceof LendError) || error.code !== 'BAD_FIELD') throw error
    return null
  }
}

async function compare(house: Household, owners: readonly Machine[], members: readonly Machine[]): Promise<void> {
  const [first] = owners
  assert.ok(first)
  const shares: readonly Share[] = first.account.shares
  await Promise.all([...owners, ...members].map(({ account }) => account.close()))
  const libraries = await allAlike(house, owners, 'account')
  const index = libraries.documents.get(DOCUMENT_ONE)
  assert.ok(index)
  const list = new LibraryIndex(index, id => libraries.dropped.has(hex(id)))
  const items = new Map(list.items.map(item => [hex(item.id), item]))
  for (const share of shares) {
    const kept = await allAlike(house, [...owners, ...members], share.id)
    const selection = [...list.selection(share.id)].filter(([item]) => items.has(item))
    const manifest = kept.documents.get(DOCUMENT_ONE)
    assert.ok(manifest)
    const wanted = selection.map(([item, document]) => [hex(document), items.get(item)?.kind, items.get(item)?.name])
    const shown = readManifest(manifest).map(({ id, kind, name }) => [hex(id), kind, name])
    assert.equal(shown.sort(), wanted.sort(), 'a share has exactly what is selected')
    const copies = [...kept.documents.keys()].filter(id => id !== DOCUMENT_ONE)
    assert.equal(copies.sort(), selection.map(([, document]) => hex(document)).sort(), 'and no other document')
    for (const [item, document] of selection) {
      const copy = kept.documents.get(hex(document))
      const original = libraries.documents.get(item)
      assert.ok(copy && original)
      assert.is(stateOf(copy), stateOf(original), 'a copy says what its item says')
    }
  }
}

async function allAlike(house: Household, machines: readonly Machine[], log: Share['id'] | 'account'): Promise<Kept> {
  const [first, ...others] = await Promise.all(machines.map(({ name }) => keptIn(house.folder(name), log)))
  assert.ok(first)
  for (const [i, other] of others.entries()) {
    const who = `${machines[0]?.name} and ${machines[i + 1]?.name}`
    assert.equal(statesOf(other), statesOf(first), who)
    for (const [id, doc] of first.documents) {
      const theirs = other.documents.get(id)
      const [a, b] = [doc, theirs ?? new Y.Doc()].map(one => hex(Y.encodeStateAsUpdate(one)))
      assert.is(a, b, `${who}: the same bytes`)
    }
  }
  for (const { waiting } of [first, ...others]) assert.equal(waiting, [])
  return first
}

rest(
  'a device is at rest once another has taken out of a share what it unselected',
  household(async house => {
    const [phone, laptop] = await devicesOf(house, movableTime(), 'Maya', ['phone', 'laptop'])
    assert.ok(laptop)
    const door = await phone.account.library.add('camera', { name: 'Door' })
    const share = await phone.account.share({ title: 'House', items: [door] })
    const before = await until(laptop.account, () => laptop.account.shares[0])
    await until(before, () => before.items.length === 1)
    await Promise.all([phone.account.synced(), laptop.account.synced()])
    // From here on it has edited nothing itself, so nothing is its to do before its turn.
    await startAnew(house, laptop)
    const [theirs] = laptop.account.shares
    assert.ok(theirs)
    await laptop.account.synced()
    const atRest = new Promise<void>(resolve => {
      // It knows of that here, and of nothing that follows from it.
      const stop = theirs.on('change', () => {
        if (theirs.items.length > 0) return
        stop()
        resolve(theirs.synced({ signal: AbortSignal.timeout(20_000) }))
      })
    })
    await share.unselect(door)
    await atRest
  })
)

rest(
  'an edit on its way to an item that another device removes meanwhile is waited for no longer',
  household(async house => {
    const [phone, laptop] = await devicesOf(house, movableTime(), 'Maya', ['phone', 'laptop'])
    assert.ok(laptop)
    const door = await phone.account.library.add('camera', { name: 'Door' })
    const { library } = laptop.account
    await until(library, () => library.items.length === 1)
    const doc = await library.open(door)
    await Promise.all([phone.account.synced(), laptop.account.synced()])
    laptop.line.judge = ({ type }) => (type === 'append' ? 'lose' : 'pass')
    doc.getMap('camera').set('zoom', 2)
    await until(library, () => library.status.state === 'saved')
    await phone.account.library.remove(door)
    await until(library, () => library.items.length === 0)
    await until(library, () => library.status.state === 'synced')
  })
)

rest(
  'an item that one device removes while another, offline, renames and edits it is gone everywhere, and nobody waits for it',
  household(async house => {
    const time = movableTime()
    const [phone, laptop] = await devicesOf(house, time, 'Maya', ['phone', 'laptop'])
    assert.ok(laptop)
    const door = await phone.account.library.add('camera', { name: 'Door' })
    const share = await phone.account.share({ title: 'House', items: [door] })
    const theirs = await until(laptop.account, () => laptop.account.shares[0])
    await until(laptop.account, () => laptop.account.library.items.length === 1)
    await Promise.all([phone.account.synced(), laptop.account.synced()])
    laptop.line.cut()
    const doc = await laptop.account.library.open(door)
    await phone.account.library.remove(door)
    await phone.account.synced()
    doc.getMap('camera').set('name', 'Gate')
    doc.getMap('camera').set('zoom', 2)
    await until(laptop.account.library, () => laptop.account.library.items[0]?.name === 'Gate')
    await comeToRest(time, [phone, laptop])
    for (const { account } of [phone, laptop]) assert.equal(account.library.items, [])
    assert.equal([share.items, theirs.items], [[], []])
    await compare(house, [phone, laptop], [])
  })
)

rest.run()
