/** A share says which of its items refer to items that are not in it, by the app's own word, for as long as that is so. */
import { type Account, type Item, openAccount, pairDevice, type Refers, type Share } from '@lend/client'
import { hex } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type * as Y from 'yjs'
import { event, type Household, household, until } from './household.ts'
import { nodeWorld } from './worlds.ts'

const references = suite('references')

/** More than a log keeps open of documents that nobody holds. */
const MANY = 150

/** As an app would: a dashboard has the ids of its cameras as text. */
const cameras: Refers = (item, doc) =>
  item.kind === 'dashboard' ? (doc.getMap('dashboard').get('cameras') as string[]) : []

async function person(house: Household, name: string, refers?: Refers): Promise<Account> {
  const account = await openAccount({
    path: house.folder(name),
    relay: house.relay.url,
    name,
    world: nodeWorld,
    ...(refers ? { refers } : {})
  })
  return house.keep(account)
}

function addCameras(account: Account, ...names: string[]): Promise<Item[]> {
  return Promise.all(names.map(name => account.library.add('camera', { name })))
}

const idsOf = (items: readonly Item[]) => items.map(({ id }) => hex(id))

/** What is missing, in one line for each item. */
const says = (share: Share) =>
  share.missing
    .map(({ item, refersTo, notShared }) => {
      const names = notShared.map(({ name }) => name).sort()
      return `${item.name}: ${names} of ${refersTo.length}`
    })
    .join('; ')

function saying(share: Share, words: string): Promise<unknown> {
  return until(share, () => says(share) === words)
}

references(
  'a share says which of the cameras that its dashboard shows are not shared, through every change of either',
  household(async house => {
    const maya = await person(house, 'Maya', cameras)
    const all = await addCameras(maya, 'Door', 'Gate', 'Yard', 'Hall', 'Roof')
    const [door, gate, yard, hall, roof] = all as [Item, Item, Item, Item, Item]
    const wall = await maya.library.add('dashboard', { name: 'Wall', cameras: idsOf(all) })
    const share = await maya.share({ title: 'House', items: [door, wall] })
    assert.equal(share.missing, [])
    await saying(share, 'Wall: Gate,Hall,Roof,Yard of 5')
    const [before] = [share.missing]
    assert.equal(
      before.map(({ item, refersTo }) => [hex(item.id), idsOf(refersTo)]),
      [[hex(wall.id), idsOf(all)]]
    )
    assert.is(share.missing, before, 'the same array while nothing changes')
    await share.select(gate)
    await saying(share, 'Wall: Hall,Roof,Yard of 5')
    await share.unselect(door)
    await saying(share, 'Wall: Door,Hall,Roof,Yard of 5')
    // The dashboard itself, once held by the app and once from another device.
    const doc = await maya.library.open(wall)
    doc.getMap('dashboard').set('cameras', [...idsOf([gate, yard, hall, roof, yard, wall]), 'no id', 7])
    await saying(share, 'Wall: Hall,Roof,Yard of 4')
    doc.destroy()
    const invite = await maya.inviteDevice()
    await until(maya, () => invite.state === 'open')
    const laptop = await pairDevice(invite.link ?? '', { path: house.folder('laptop'), world: nodeWorld })
    house.keep(laptop)
    await laptop.synced()
    const there = await until(laptop, () => laptop.library.items.find(({ name }) => name === 'Wall'))
    const theirs = await laptop.library.open(there)
    theirs.getMap('dashboard').set('cameras', idsOf([gate, yard, roof]))
    await saying(share, 'Wall: Roof,Yard of 3')
    const sharedThere = await until(laptop, () => laptop.shares[0])
    assert.equal(sharedThere.missing, [], 'its app does not say what refers to what')
    // What it refers to.
    const named = await maya.library.open(yard)
    named.getMap('camera').set('name', 'Garden')
    await saying(share, 'Wall: Garden,Roof of 3')
    await maya.library.remove(roof)
    await saying(share, 'Wall: Garden of 2')
    await share.select(yard)
    await saying(share, '')
    await share.unselect(yard, gate)
    await saying(share, 'Wall: Garden,Gate of 2')
    await share.unselect(wall)
    await saying(share, '')
  })
)

references(
  'each share says it of its own items, also after a restart; an item may name others by their ids as they are',
  household(async house => {
    const byId: Refers = (item, doc) =>
      item.kind === 'dashboard' ? doc.getArray<Uint8Array>('ids').map(id => id as Item['id']) : []
    const maya = await person(house, 'Maya', byId)
    const all = await addCameras(maya, 'Door', 'Gate')
    const [door] = all as [Item, Item]
    const [wall, empty] = [
      await maya.library.add('dashboard', { name: 'Wall' }),
      await maya.library.add('dashboard', { name: 'Empty' })
    ]
    const doc = await maya.library.open(wall)
    doc.getArray('ids').push(all.map(({ id }) => id))
    const one = await maya.share({ title: 'One', items: [wall, empty, door] })
    const two = await maya.share({ title: 'Two', items: [wall] })
    await Promise.all([saying(one, 'Wall: Gate of 2'), saying(two, 'Wall: Door,Gate of 2')])
    await maya.close()
    const again = await person(house, 'Maya', byId)
    const [first, second] = ['One', 'Two'].map(title => again.shares.find(share => share.title === title))
    assert.ok(first && second)
    await Promise.all([saying(first, 'Wall: Gate of 2'), saying(second, 'Wall: Door,Gate of 2')])
  })
)

references(
  'only selected items are looked at, each once, when somebody wants to know; their documents are closed again',
  household(async house => {
    const asked: string[] = []
    let closed = 0
    const maya = await person(house, 'Maya', (item, doc) => {
      asked.push(item.name)
      doc.on('destroy', () => closed++)
      return cameras(item, doc)
    })
    const names = Array.from({ length: MANY }, (_, i) => `${i}`)
    const selected = await addCameras(maya, ...names)
    const [other] = await addCameras(maya, 'other')
    assert.ok(other)
    const wall = await maya.library.add('dashboard', { name: 'Wall', cameras: idsOf([...selected, other]) })
    const share = await maya.share({ title: 'House', items: [...selected, wall] })
    await share.synced()
    assert.equal(asked, [], 'nobody wants to know')
    await saying(share, `Wall: other of ${MANY + 1}`)
    assert.equal([...asked].sort(), [...names, 'Wall'].sort())
    assert.ok(closed >= MANY - 100, `${closed} documents were closed`)
    const added = await maya.library.add('dashboard', { name: 'Not shared', cameras: idsOf([other]) })
    await maya.rename('Maya again')
    await maya.synced()
    const doc = await maya.library.open(added)
    doc.getMap('dashboard').set('cameras', [])
    await maya.synced()
    assert.is(asked.length, MANY + 1, 'what is not selected does not matter')
  })
)

references(
  'an app’s function that throws is an error event, and costs nothing but its own answer',
  household(async house => {
    let broken = true
    const maya = await person(house, 'Maya', function* (item: Item, doc: Y.Doc) {
      const ids = cameras(item, doc)
      if (item.name === 'Broken') yield* [...ids].slice(0, 1)
      if (item.name === 'Broken' && broken) throw new Error('mine')
      yield* ids
    })
    const [door] = await addCameras(maya, 'Door')
    assert.ok(door)
    const [first, second] = await Promise.all(
      ['Broken', 'Wall'].map(name => maya.library.add('dashboard', { name, cameras: idsOf([door]) }))
    )
    assert.ok(first && second)
    const share = await maya.share({ title: 'House', items: [first, second] })
    const told = event(maya, 'error')
    await saying(share, 'Wall: Door of 1')
    const error = await told
    assert.equal([error.code, error.retry], ['BAD_FIELD', 'no'])
    assert.ok(error.cause instanceof Error && error.cause.message === 'mine')
    assert.not.ok(error.message.includes('Broken'))
    await share.synced()
    broken = false
    const doc = await maya.library.open(first)
    doc.getText('text').insert(0, 'moved')
    await saying(share, 'Broken: Door of 1; Wall: Door of 1')
  })
)

references.run()
