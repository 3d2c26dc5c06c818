/** Selecting items of the library into a share: who reads them, what of them leaves the library, and what never does. */
import {
  type Account,
  type Item,
  LendError,
  type LentShare,
  previewInvite,
  ReadOnlyError,
  type Share
} from '@lend/client'
import { decodeEntry, type Entry, limits, loadSuite } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { contentsOf, recordsIn, says } from './all-keys.ts'
import { follow, household, linkTo, until } from './household.ts'
import { isAbout, openLossyLine } from './lossy-line.ts'
import { entriesOf } from './relay-log.ts'
import { nodeWorld, noNetwork, throughDisk } from './worlds.ts'

const selection = suite('selection')

async function codeOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked
    return 'ok'
  } catch (error) {
    if (!(error instanceof LendError)) throw error
    return error.code
  }
}

function one(items: readonly Item[]): Item {
  const [item, ...others] = items
  if (!item || others.length > 0) throw new Error(`${items.length} items, want one`)
  return item
}

const namesOf = (share: Share | LentShare) => share.items.map(({ name }) => name).join()

/** The next item that is taken back. */
function unselected(share: Share | LentShare): Promise<Uint8Array> {
  return new Promise(resolve => share.on('unselected', resolve))
}

/** The item of this name, open. */
async function opened(lent: LentShare, name: string): Promise<Y.Doc> {
  const item = await until(lent, () => lent.items.find(other => other.name === name))
  return lent.open(item)
}

const field = (doc: Y.Doc, name: string) => doc.getMap('camera').get(name)

selection(
  'a member reads the items that are selected and no other, live, by its name and kind; and can’t write them',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const door = await maya.library.add('camera', { name: 'Door', zoom: 1 }, { private: { password: 'secret' } })
    const wall = await maya.library.add('dashboard', { name: 'Wall' })
    await maya.library.add('camera', { name: 'Bedroom' })
    const share = await maya.share({ title: 'House', items: [door] })
    await share.select(wall, door)
    assert.is(namesOf(share), 'Door,Wall')
    assert.equal((await previewInvite(await linkTo(share))).items, { camera: 1, dashboard: 1 })
    const lent = await follow(share, ben)
    await until(lent, () => lent.items.length === 2)
    const doc = await opened(lent, 'Door')
    await until(doc, () => doc.getMap('camera').size === 2)
    assert.equal(doc.getMap('camera').toJSON(), { name: 'Door', zoom: 1 })
    assert.throws(
      () => doc.getMap('camera').set('zoom', 2),
      (error: unknown) => error instanceof ReadOnlyError
    )
    const mine = await maya.library.open(door)
    mine.getMap('camera').set('zoom', 3)
    await until(doc, () => field(doc, 'zoom') === 3)
    mine.getMap('camera').set('name', 'Gate')
    await until(lent, () => namesOf(lent).includes('Gate'))
    await share.synced()
    assert.equal(doc.getMap('camera').toJSON(), { name: 'Gate', zoom: 3 })
  })
)

selection(
  'an item of `items` opens by itself and by its id: the owner’s is the one of the library, a member’s is its copy',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const door = await maya.library.add('camera', { name: 'Door' })
    const other = await maya.library.add('camera', { name: 'Bedroom' })
    const share = await maya.share({ title: 'House', items: [door] })
    const mine = await share.open(one(share.items))
    assert.is(mine, await share.open(door.id))
    assert.is(mine, await maya.library.open(door))
    assert.is(await codeOf(share.open(other)), 'BAD_FIELD')
    const lent = await follow(share, ben)
    const doc = await opened(lent, 'Door')
    const item = one(lent.items)
    assert.is(doc, await lent.open(item.id))
    assert.not.equal(item.id, door.id)
    assert.is(await codeOf(lent.open(door.id)), 'BAD_FIELD')
    await ben.close()
    assert.is(await codeOf(lent.open(item)), 'CLOSED')
  })
)

selection(
  'one item in two shares has a copy in each: taken back from one, the other goes on',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const door = await maya.library.add('camera', { name: 'Door' })
    const first = await maya.share({ title: 'First', items: [door] })
    const second = await maya.share({ title: 'Second', items: [door] })
    const [lentFirst, lentSecond] = [await follow(first, ben), await follow(second, ben)]
    await Promise.all([opened(lentFirst, 'Door'), opened(lentSecond, 'Door')])
    assert.not.equal(one(lentFirst.items).id, one(lentSecond.items).id)
    const doc = await opened(lentSecond, 'Door')
    await first.unselect(door)
    await until(lentFirst, () => lentFirst.items.length === 0)
    const mine = await maya.library.open(door)
    mine.getMap('camera').set('zoom', 2)
    await until(doc, () => field(doc, 'zoom') === 2)
    assert.equal([first.items.length, second.items.length], [0, 1])
  })
)

selection(
  'an item that is taken back and selected again is another to its members, with what it says then',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const door = await maya.library.add('camera', { name: 'Door' })
    const share = await maya.share({ title: 'House', items: [door] })
    const lent = await follow(share, ben)
    await opened(lent, 'Door')
    const before = one(lent.items).id
    await share.unselect(door)
    await until(lent, () => lent.items.length === 0)
    await share.select(door)
    const doc = await opened(lent, 'Door')
    await until(doc, () => field(doc, 'name') === 'Door')
    assert.not.equal(one(lent.items).id, before)
    assert.is(await codeOf(lent.open(before)), 'BAD_FIELD')
  })
)

selection('a share takes so many items and not one more', async () => {
  const run = household(async house => {
    const maya = await house.person('Maya', { world: { ...nodeWorld, ...noNetwork } })
    const max = limits.SHARE_ITEMS_MAX
    const items = await Promise.all(
      Array.from({ length: max + 1 }, (_, i) => maya.library.add('camera', { name: `${i}` }))
    )
    const last = items.pop()
    assert.ok(last)
    const share = await maya.share({ title: 'House' })
    await share.select(...items)
    await share.select(...items)
    assert.is(share.items.length, max)
    const error = await share.select(last).catch((error: unknown) => error)
    assert.ok(error instanceof LendError && error.code === 'LIMIT_ITEMS' && error.limit === max)
    assert.is(share.items.length, max)
    assert.is(await codeOf(maya.share({ title: 'Second', items: [...items, last] })), 'LIMIT_ITEMS')
    assert.is(maya.shares.length, 1)
    await share.unselect(...items.slice(0, 1))
    await share.select(last)
    assert.is(share.items.length, max)
  })
  await run()
})

selection(
  'what the library does not have can’t be selected, and what is removed there is taken back everywhere',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const door = await maya.library.add('camera', { name: 'Door' })
    const gone = await maya.library.add('camera', { name: 'Gone' })
    const share = await maya.share({ title: 'House', items: [door, gone] })
    const lent = await follow(share, ben)
    const doc = await opened(lent, 'Gone')
    const { id } = lent.items.find(({ name }) => name === 'Gone') ?? door
    const told = [share, lent].map(unselected)
    await maya.library.remove(gone)
    assert.equal(await Promise.all(told), [gone.id, id])
    assert.ok(doc.isDestroyed)
    assert.equal([namesOf(share), namesOf(lent)], ['Door', 'Door'])
    assert.is(await codeOf(share.select(gone)), 'BAD_FIELD')
    assert.is(await codeOf(maya.share({ title: 'Second', items: [door, gone] })), 'BAD_FIELD')
    assert.is(maya.shares.length, 1)
    await share.stop()
    await until(share, () => share.status.state === 'ended')
    assert.is(await codeOf(share.select(door)), 'STOPPED')
    assert.is(await codeOf(share.unselect(door)), 'STOPPED')
  })
)

/** An item that says only `now`, after it said otherwise in every way that Yjs knows. */
async function itemWithPast(
  account: Account,
  before: string
): Promise<{ item: Item; doc: Y.Doc; undo: Y.UndoManager }> {
  const hidden = { private: { token: `${before}-private` } }
  const item = await account.library.add('camera', { name: 'Door', password: `${before}-0` }, hidden)
  const doc = await account.library.open(item)
  const undo = new Y.UndoManager(doc, { captureTimeout: 0 })
  doc.getMap('camera').set('password', `${before}-1`)
  doc.getMap('camera').set('password', 'now-password')
  doc.getText('text').insert(0, `keep ${before}-2 now-text`)
  doc.getText('text').delete(5, `${before}-2 `.length)
  doc.getArray('list').push([new Y.Map([['in', `${before}-3`]]), 'now-list'])
  doc.getArray('list').delete(0, 1)
  return { item, doc, undo }
}

selection(
  'nothing that an item said before it was selected, or between two contacts, is ever in what a member or relay has',
  household(async house => {
    const engine = await loadSuite()
    const line = house.keep(await openLossyLine(() => house.relay.url))
    const maya = await house.person('Maya', { relay: line.url })
    const ben = await house.person('Ben', { relay: line.url })
    const { item, doc, undo } = await itemWithPast(maya, 'past')
    await maya.library.add('camera', { name: 'Other', password: 'past-other' })
    const share = await maya.share({ title: 'House', items: [item] })
    const lent = await follow(share, ben)
    const copy = await opened(lent, 'Door')
    await until(copy, () => copy.getText('text').toString() === 'keep now-text')
    // Offline: what is overwritten before the next contact was never there, nor is what is selected and taken back.
    line.cut({ down: true })
    await until(maya, () => share.status.state !== 'synced' && maya.status.state !== 'synced')
    doc.getMap('camera').set('password', 'past-offline')
    doc.getText('text').insert(0, 'past-offline-text ')
    const brief = await maya.library.add('camera', { name: 'past-brief' })
    // All of it is saved here, and whoever wanted to mirror it now has had the time to.
    for (const title of ['one', 'two', 'three']) {
      await share.rename(title)
      await maya.rename(title)
    }
    doc.getMap('camera').set('password', 'now-again')
    doc.getText('text').delete(0, 'past-offline-text '.length)
    await share.select(brief)
    await share.unselect(brief)
    line.mend()
    await until(copy, () => field(copy, 'password') === 'now-again')
    await share.synced()
    assert.ok(undo.undoStack.length > 0 && says([Y.encodeStateAsUpdate(doc)], 'past-1'), 'the item itself holds it')
    assert.is(
      (await maya.library.openPrivate(item)).getMap('camera').get('token'),
      'past-private',
      'and the one beside it'
    )
    const seen = line.sent.flatMap(({ frame }) => {
      if (!isAbout(frame, share.id) || !('entries' in frame)) return []
      return frame.entries.map(entry => decodeEntry(engine, entry instanceof Uint8Array ? entry : entry.bytes))
    })
    await Promise.all([maya.close(), ben.close(), house.stopRelay()])
    const stored = (await entriesOf(house.relayFolder, share.id)).map(({ entry }) => entry)
    const access = stored.filter(({ kind }) => kind === 'access')
    const all: Record<string, Iterable<Uint8Array>> = {
      relayed: await contentsOf(house.folder('Maya'), share.id, access, seen as Entry[]),
      relay: await contentsOf(house.folder('Maya'), share.id, access, stored),
      member: (await recordsIn(house.folder('Ben'), share.id)).values(),
      owner: (await recordsIn(house.folder('Maya'), share.id)).values()
    }
    for (const [where, contents] of Object.entries(all)) {
      const parts = [...contents]
      for (const word of ['now-password', 'now-again', 'now-text', 'now-list'])
        assert.ok(says(parts, word), `${where} ${word}`)
      assert.not.ok(says(parts, 'past'), where)
    }
  })
)

selection(
  'no copy has what is not durable in the library',
  household(async house => {
    let held: Promise<void> | null = null
    let saved = () => {}
    const world = throughDisk(async (step, run) => {
      if (step.does !== 'batch' || step.to !== 'account') return run()
      await held
      const done = await run()
      saved()
      return done
    })
    const maya = await house.person('Maya', { world })
    const ben = await house.person('Ben')
    const door = await maya.library.add('camera', { name: 'Door' })
    const share = await maya.share({ title: 'House', items: [door] })
    const lent = await follow(share, ben)
    const doc = await opened(lent, 'Door')
    await until(doc, () => field(doc, 'name') === 'Door')
    const mine = await maya.library.open(door)
    await maya.synced()
    let release = () => {}
    // The one edit is being saved when the other is made, which is not.
    saved = () => {
      saved = () => {}
      held = new Promise(resolve => {
        release = resolve
      })
      mine.getMap('camera').set('zoom', 2)
    }
    mine.getMap('camera').set('zoom', 1)
    await until(mine, () => field(mine, 'zoom') === 2)
    try {
      // Whoever wanted to mirror it has had the time to: what was written later is there.
      for (const title of ['one', 'two', 'three']) {
        await share.rename(title)
        await until(lent, () => lent.title === title)
      }
      assert.not.ok(doc.getMap('camera').has('zoom') || share.status.state === 'synced')
    } finally {
      release()
    }
    await until(doc, () => field(doc, 'zoom') === 2)
    await share.synced()
  })
)

selection(
  'a share that is made before its relay was ever reached has its items once it is',
  household(async house => {
    const ben = await house.person('Ben')
    await house.stopRelay()
    const maya = await house.person('Maya')
    const door = await maya.library.add('camera', { name: 'Door' })
    const share = await maya.share({ title: 'House', items: [door] })
    assert.is(namesOf(share), 'Door')
    await maya.close()
    const again = await house.person('Maya')
    const mine = again.shares[0]
    assert.ok(mine)
    assert.is(namesOf(mine), 'Door')
    await house.startRelay()
    const lent = await follow(mine, ben)
    const doc = await opened(lent, 'Door')
    await until(doc, () => field(doc, 'name') === 'Door')
  })
)

selection.run()
