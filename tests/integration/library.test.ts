// limit: 240 s
/**
 * The items of an account: made, edited, closed and removed on one device and read on the others, online and off, through
 * restarts and a relay that lost them; and how few of their documents are in memory.
 */
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Account, type Fields, type Item, LendError, pairDevice } from '@lend/client'
import {
  type DocumentId,
  deviceKeys,
  documentId,
  entryId,
  hex,
  type LibraryList,
  limits,
  loadSuite,
  logId,
  reach,
  SHARE_DOCUMENT
} from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { newSeeds } from '../../packages/client/src/account/account-keys.ts'
import { SealedStore } from '../../packages/client/src/disk/sealed-store.ts'
import { OpenLibrary } from '../../packages/client/src/library/library.ts'
import { LibraryLog } from '../../packages/client/src/library/library-log.ts'
import { Replica } from '../../packages/client/src/log/replica.ts'
import { RelayConnection } from '../../packages/client/src/relay/connection.ts'
import { type Household, household, until } from './household.ts'
import { entriesOf } from './relay-log.ts'
import { nodeWorld, noNetwork } from './worlds.ts'

const library = suite('library')

/** More than a log keeps open of documents that nobody holds. */
const MANY = 150

/** Nothing answers at its relay. */
const offline = { ...nodeWorld, ...noNetwork }

async function second(house: Household, first: Account): Promise<Account> {
  const invite = await first.inviteDevice()
  await until(first, () => invite.state === 'open')
  if (invite.link === null) throw new Error('the device that made an invite knows its link')
  const account = await pairDevice(invite.link, { path: house.folder('second'), device: 'second', world: nodeWorld })
  return house.keep(account)
}

async function codeOf(asked: Promise<unknown>): Promise<string> {
  return asked.then(
    () => 'ok',
    error => {
      if (error instanceof LendError) return error.code
      throw error
    }
  )
}

async function fieldsOf(account: Account, item: Item): Promise<unknown> {
  const doc = await account.library.open(item)
  const fields = doc.getMap(item.kind).toJSON()
  doc.destroy()
  return fields
}

/** The item of this name, once it is here. */
function itemCalled(account: Account, name: string): Promise<Item> {
  return until(account, () => account.library.items.find(item => item.name === name))
}

const namesOf = (account: Account) => account.library.items.map(({ name }) => name).sort()

library(
  'an item has its fields in one document and its private fields in another, also after a restart, without any relay',
  household(async house => {
    const maya = await house.person('maya', { world: offline })
    const fields = { name: 'Garden', port: 554, tags: ['out', { wide: true }], off: null }
    const item = await maya.library.add('camera', fields, { private: { password: 'secret' } })
    assert.equal({ kind: item.kind, name: item.name }, { kind: 'camera', name: 'Garden' })
    await maya.close()

    const again = await house.person('maya', { world: offline })
    const [kept] = again.library.items
    if (!kept) throw new Error('the item is gone')
    assert.equal({ ...kept, id: hex(kept.id) }, { ...item, id: hex(item.id) })
    assert.equal(await fieldsOf(again, kept), fields)
    const hidden = await again.library.openPrivate(kept)
    assert.equal(hidden.getMap('camera').toJSON(), { password: 'secret' })
    assert.is(hidden, await again.library.openPrivate(kept))
    assert.is.not(hidden, await again.library.open(kept))
  })
)

library(
  'a document is one live Y.Doc until it is destroyed; opened again it is another one with all that was edited',
  household(async house => {
    const maya = await house.person('maya')
    const item = await maya.library.add('note', { name: 'Shopping' })
    // From here on what is not published as it is edited is not published at all.
    await maya.synced()
    const [one, same] = await Promise.all([maya.library.open(item), maya.library.open(item)])
    assert.is(one, same)
    one.getText('text').insert(0, 'milk')
    one.destroy()

    const two = await maya.library.open(item)
    assert.is.not(two, one)
    assert.is.not(two.clientID, one.clientID)
    assert.is(two.getText('text').toString(), 'milk')
    // In the middle of an edit.
    two.transact(() => {
      two.getText('text').insert(4, ', bread')
      two.getMap('note').set('name', 'List')
      two.destroy()
    })
    const three = await maya.library.open(item)
    assert.is(three.getText('text').toString(), 'milk, bread')
    three.getText('text').insert(11, ', tea')
    await maya.synced()

    const other = await second(house, maya)
    await other.synced()
    const [listed] = other.library.items
    if (!listed) throw new Error('the item is not there')
    const read = await other.library.open(listed)
    assert.is(read.getText('text').toString(), 'milk, bread, tea')
    assert.is(read.getMap('note').get('name'), 'List')
  })
)

library(
  'edits of either device reach the other, and those made offline merge',
  household(async house => {
    const phone = await house.person('phone')
    await phone.synced()
    const item = await phone.library.add('dashboard', { name: 'Home', columns: 2 })
    const laptop = await second(house, phone)
    const there = await itemCalled(laptop, 'Home')
    const [a, b] = [await phone.library.open(item), await laptop.library.open(there)]
    await until(b, () => b.getMap('dashboard').get('columns') === 2)
    b.getMap('dashboard').set('columns', 3)
    await until(a, () => a.getMap('dashboard').get('columns') === 3)

    await house.stopRelay()
    a.getMap('dashboard').set('colour', 'green')
    b.getMap('dashboard').set('rows', 4)
    a.getText('text').insert(0, 'phone ')
    b.getText('text').insert(0, 'laptop ')
    await phone.library.add('camera', { name: 'Made on the phone' })
    await laptop.library.add('camera', { name: 'Made on the laptop' })
    await house.startRelay()
    for (const doc of [a, b]) {
      await until(doc, () => doc.getText('text').length === 'phone laptop '.length)
      const fields = { name: 'Home', columns: 3, colour: 'green', rows: 4 }
      await until(doc, () => Object.keys(doc.getMap('dashboard').toJSON()).length === 4)
      assert.equal(doc.getMap('dashboard').toJSON(), fields)
    }
    assert.is(a.getText('text').toString(), b.getText('text').toString())
    for (const device of [phone, laptop]) {
      await until(device, () => namesOf(device).join() === 'Home,Made on the laptop,Made on the phone')
    }
  })
)

library(
  'an item is listed by its name as soon as a device edits it, there and on the others, cut to its bound',
  household(async house => {
    const phone = await house.person('phone')
    await phone.synced()
    const item = await phone.library.add('camera', { name: 'Garden' })
    const laptop = await second(house, phone)
    const there = await itemCalled(laptop, 'Garden')
    const open = await laptop.library.open(there)
    const before = laptop.library.items
    assert.is(laptop.library.items, before)

    const doc = await phone.library.open(item)
    doc.getMap('camera').set('name', 'Front door')
    assert.equal(namesOf(phone), ['Front door'])
    await itemCalled(laptop, 'Front door')
    await until(open, () => open.getMap('camera').get('name') === 'Front door')
    assert.is.not(laptop.library.items, before)

    // An update of another Y.Doc is an edit of this device too; what is no name is none.
    const foreign = new Y.Doc()
    Y.applyUpdate(foreign, Y.encodeStateAsUpdate(open))
    foreign.getMap('camera').set('name', 'x'.repeat(limits.NAME_BYTES_MAX - 1).concat('äöü'))
    Y.applyUpdate(open, Y.encodeStateAsUpdate(foreign))
    assert.equal(namesOf(laptop), ['x'.repeat(limits.NAME_BYTES_MAX - 1)])
    open.getMap('camera').set('name', 7)
    assert.equal(namesOf(laptop), [''])
    await itemCalled(phone, '')
  })
)

library(
  'each change of the list makes a new array, which the event `change` follows',
  household(async house => {
    const maya = await house.person('maya', { world: offline })
    const seen: (readonly Item[])[] = [maya.library.items]
    maya.library.on('change', () => seen.push(maya.library.items))
    const item = await maya.library.add('camera', { name: 'one' })
    await maya.library.add('camera')
    const doc = await maya.library.open(item)
    doc.getMap('camera').set('name', 'two')
    doc.getMap('camera').set('port', 1)
    await maya.library.remove(item)
    await maya.library.remove(item)
    assert.equal(
      seen.map(items => items.map(({ name }) => name)),
      [[], ['one'], ['one', ''], ['two', ''], ['']]
    )
    assert.is(await codeOf(maya.library.open(item)), 'BAD_FIELD')
    assert.is(await codeOf(maya.library.openPrivate(item)), 'BAD_FIELD')
    // Its document may still be open: it names nothing any more.
    doc.getMap('camera').set('name', 'three')
    assert.equal(namesOf(maya), [''])
  })
)

library(
  'a kind and fields within their bounds are taken, and beyond them refused with what is wrong',
  household(async house => {
    const maya = await house.person('maya', { world: offline })
    const { KIND_BYTES_MAX, NAME_BYTES_MAX, FIELDS_BYTES_MAX, FIELD_DEPTH_MAX } = limits
    const deep = (depth: number): unknown => (depth === 1 ? 1 : [deep(depth - 1)])
    const big = (bytes: number) => ({ text: 'x'.repeat(bytes - '{"text":""}'.length) })
    const taken: [string, unknown][] = [
      ['k'.repeat(KIND_BYTES_MAX), {}],
      ['camera', { ['f'.repeat(NAME_BYTES_MAX)]: 1 }],
      ['camera', big(FIELDS_BYTES_MAX)],
      ['camera', { deep: deep(FIELD_DEPTH_MAX) }],
      ['camera', { name: null, on: false, at: -1.5, list: [], object: {} }],
      ['lens', { constructed: 1, nested: { proto: 1 } }]
    ]
    const refused: [string, unknown][] = [
      ['', {}],
      ['k'.repeat(KIND_BYTES_MAX + 1), {}],
      ['ä'.repeat(KIND_BYTES_MAX / 2 + 1), {}],
      ['lend.camera', {}],
      ['__proto__', {}],
      ['camera', { ['f'.repeat(NAME_BYTES_MAX + 1)]: 1 }],
      ['camera', big(FIELDS_BYTES_MAX + 1)],
      ['camera', { deep: deep(FIELD_DEPTH_MAX + 1) }],
      ['camera', { constructor: 1 }],
      ['camera', { nested: [{ constructor: 1 }] }],
      ['camera', { nested: Object.create(null) }],
      ['camera', { nested: JSON.parse('{"__proto__":1}') }],
      ['camera', { at: Number.NaN }],
      ['camera', { at: undefined }],
      ['camera', { at: new Date(0) }],
      ['camera', { at: 1n }],
      ['camera', [1]]
    ]
    for (const [kind, fields] of taken) {
      const item = await maya.library.add(kind, fields as Fields, { private: fields as Fields })
      assert.equal(await fieldsOf(maya, item), fields)
    }
    for (const [kind, fields] of refused) {
      const said = `${kind} ${Object.keys(fields as object).join()}`.slice(0, 80)
      assert.is(await codeOf(maya.library.add(kind, fields as Fields)), 'BAD_FIELD', said)
      if (kind === 'camera') {
        assert.is(await codeOf(maya.library.add(kind, {}, { private: fields as Fields })), 'BAD_FIELD', said)
      }
    }
    assert.is(maya.library.items.length, taken.length)
  })
)

library(
  'more items than a log keeps open come whole to another device and back to a relay that lost them, after a restart too',
  household(async house => {
    const maya = await house.person('maya')
    const adding = Array.from({ length: MANY }, (_, i) =>
      maya.library.add('camera', { name: `Camera ${i}` }, { private: { password: `secret ${i}` } })
    )
    const items = await Promise.all(adding)
    await maya.synced()
    const [first] = items
    if (!first) throw new Error('no items')
    const doc = await maya.library.open(first)
    doc.getMap('camera').set('zone', 'garden')
    doc.destroy()
    await maya.close()

    const again = await house.person('maya')
    await again.synced()
    await house.stopRelay()
    await again.library.add('camera', { name: 'While it was off' })
    await loseAll(house)
    await house.startRelay()
    await again.synced()
    const other = await second(house, again)
    await other.synced()
    assert.equal(namesOf(other), [...items.map(({ name }) => name), 'While it was off'].sort())
    for (const item of other.library.items) {
      const { name } = item
      const zone = name === 'Camera 0' ? { zone: 'garden' } : {}
      assert.equal(await fieldsOf(other, item), { name, ...zone })
      const hidden = await other.library.openPrivate(item)
      const wanted = name === 'While it was off' ? undefined : name.replace('Camera', 'secret')
      assert.is(hidden.getMap('camera').get('password'), wanted)
      hidden.destroy()
    }
  })
)

/** Takes everything from the stopped relay but its key. */
async function loseAll(house: Household): Promise<void> {
  const key = join(house.dir, 'relay.key')
  await cp(join(house.relayFolder, 'relay.key'), key)
  await rm(house.relayFolder, { recursive: true })
  await mkdir(house.relayFolder)
  await cp(key, join(house.relayFolder, 'relay.key'))
}

library(
  'edits that wait since before a restart go out though nobody opens their documents, sealed anew in a later epoch',
  household(async house => {
    const phone = await house.person('phone')
    await phone.synced()
    const laptop = await second(house, phone)
    await laptop.synced()
    await phone.close()
    const off = await house.person('phone', { world: offline })
    await Promise.all(Array.from({ length: MANY }, (_, i) => off.library.add('camera', { name: `Camera ${i}` })))
    await off.close()

    // A removed device starts an epoch: what was sealed before is refused.
    const tablet = await third(house, laptop)
    const gone = await until(laptop, () => laptop.devices.find(({ name }) => name === 'third'))
    await tablet.close()
    await laptop.removeDevice(gone)
    await laptop.synced()
    const again = await house.person('phone')
    await again.synced()
    await until(laptop, () => laptop.library.items.length === MANY)
    await laptop.synced()
    for (const item of laptop.library.items) assert.equal(await fieldsOf(laptop, item), { name: item.name })
  })
)

async function third(house: Household, first: Account): Promise<Account> {
  const invite = await first.inviteDevice()
  await until(first, () => invite.state === 'open')
  const path = house.folder('third')
  return house.keep(await pairDevice(invite.link ?? '', { path, device: 'third', world: nodeWorld }))
}

library(
  'a removed item is gone on every device and from the relay, with its private document, and its open documents are closed',
  household(async house => {
    const phone = await house.person('phone')
    await phone.synced()
    const [item, kept] = [
      await phone.library.add('camera', { name: 'Garden' }),
      await phone.library.add('camera', { name: 'Kept' })
    ]
    const hidden = await phone.library.openPrivate(item)
    hidden.getMap('camera').set('password', 'secret')
    hidden.destroy()
    const laptop = await second(house, phone)
    const there = await itemCalled(laptop, 'Garden')
    const doc = await laptop.library.open(there)
    const closed = new Promise(resolve => doc.on('destroy', resolve))
    await phone.library.remove(item)
    await Promise.all([until(laptop, () => namesOf(laptop).join() === 'Kept'), closed])
    assert.equal(await fieldsOf(laptop, kept), { name: 'Kept' })
    await Promise.all([phone.synced(), laptop.synced()])
    await house.stopRelay()
    const entries = await entriesOf(house.relayFolder, logId(phone.id))
    const left = entries
      .filter(({ entry }) => entry.kind !== 'access')
      .map(({ entry }) => [hex(entry.document), entry.kind])
    const suite = await loadSuite()
    const hiddenId = hex(suite.hash('private document', item.id).slice(0, 16))
    for (const gone of [hex(item.id), hiddenId]) {
      assert.equal(
        left.filter(([document]) => document === gone).map(([, kind]) => kind),
        ['drop']
      )
    }
    assert.ok(left.some(([document, kind]) => document === hex(kept.id) && kind === 'update'))
  })
)

library('a library takes its ten thousandth item and no more, until one is removed', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'lend-library-'))
  const disk = offline.disk(dir)
  const suite = await loadSuite()
  const { seeds } = newSeeds({
    suite,
    dice: offline.dice,
    name: 'maya',
    deviceName: 'phone',
    relayUrl: 'ws://127.0.0.1:9'
  })
  const device = deviceKeys(suite, seeds.deviceSeed)
  const log = await LibraryLog.open({
    suite,
    world: offline,
    disk,
    store: await SealedStore.open({ suite, dice: offline.dice, disk, name: 'account', keyFile: 'account.key' }),
    account: seeds.account,
    device,
    connection: new RelayConnection({ url: seeds.relayUrl, relayKey: null, world: offline, suite, device }),
    name: seeds.name,
    created: seeds.created,
    listener: { indexed() {}, rekeyed() {}, ended() {}, putOut() {}, cloned() {} }
  })
  const items = new OpenLibrary(log)
  // As another device would bring them.
  await log.edit(index => {
    for (let i = 1; i < limits.ITEMS_MAX; i++) index.putItem({ id: numbered(i), kind: 'camera', name: `Camera ${i}` })
  })
  assert.is(items.items.length, limits.ITEMS_MAX - 1)
  const last = await items.add('camera', { name: 'the last' })
  assert.is(await codeOf(items.add('camera')), 'LIMIT_ITEMS')
  await items.remove(last)
  const both = [items.add('camera'), items.add('camera')]
  assert.equal((await Promise.all(both.map(codeOf))).sort(), ['LIMIT_ITEMS', 'ok'])
  assert.is(items.items.length, limits.ITEMS_MAX)
  await log.close()
  await rm(dir, { recursive: true })
})

// --- documents in memory ---

function numbered(n: number): DocumentId {
  const bytes = new Uint8Array(16).fill(7)
  new DataView(bytes.buffer).setUint32(0, n)
  return documentId(bytes)
}

/** A replica on a disk of its own, which can be opened again. */
async function replicaIn(dir: string): Promise<{ replica: Replica<LibraryList>; close(): Promise<void> }> {
  const place = { suite: await loadSuite(), disk: offline.disk(dir) }
  const store = await SealedStore.open({ ...place, dice: offline.dice, name: 'account', keyFile: 'account.key' })
  const replica = await Replica.open<LibraryList>({
    ...place,
    kind: 'library',
    world: offline,
    store,
    log: logId(new Uint8Array(32).fill(1)),
    writable: true,
    account: null,
    openKeys: () => new Map(),
    edited: () => {},
    refused: error => {
      throw error
    }
  })
  return { replica, close: () => replica.close().then(() => store.close()) }
}

/** Keeps what was edited, as the writing side does. */
async function save(replica: Replica<LibraryList>): Promise<void> {
  for (const document of replica.edited) {
    const captured = document.takeCaptured()
    if (captured) replica.change(...document.keep(captured))
  }
  replica.edited.clear()
  await replica.commit({ durable: false })
}

async function write(replica: Replica<LibraryList>, n: number, text: string): Promise<void> {
  const document = await replica.document(numbered(n))
  document.within(doc => doc.getText('text').insert(0, text))
}

library(
  'of many documents only the last used stay open, beside those that are held, unsaved, or the first',
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'lend-library-'))
    const { replica, close } = await replicaIn(dir)
    const [first, held] = [await replica.document(SHARE_DOCUMENT), await replica.hold(numbered(0))]
    const isOpen = (n: number) => replica.opened(numbered(n)) !== null
    const openOf = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, i) => from + i).filter(isOpen)
    for (let n = 1; n <= MANY; n++) await write(replica, n, `text ${n}`)
    replica.rest()
    assert.is(openOf(1, MANY).length, MANY, 'unsaved')
    const saving = save(replica)
    replica.rest()
    assert.is(openOf(1, MANY).length, MANY, 'on its way to the disk')
    await saving
    replica.rest()
    const left = openOf(1, MANY)
    assert.ok(left.length > 0 && left.length < MANY / 2, `${left.length} are open`)
    assert.equal(left, openOf(MANY - left.length + 1, MANY), 'the last ones')
    assert.is(replica.opened(SHARE_DOCUMENT), first)
    assert.is(await replica.hold(numbered(0)), held)

    // Held from the moment it is asked for; read anew from the disk; let go of once it is destroyed.
    await replica.document(numbered(1))
    const asked = replica.hold(numbered(1))
    const others = Array.from({ length: MANY - 1 }, (_, i) => replica.document(numbered(i + 2)))
    replica.rest()
    assert.ok(isOpen(1))
    const one = await asked
    await Promise.all(others)
    for (let n = 2; n <= MANY; n++) await write(replica, n, '.')
    await save(replica)
    replica.rest()
    assert.is(await replica.hold(numbered(1)), one)
    assert.is(one.getText('text').toString(), 'text 1')
    one.getText('text').insert(0, 'last ')
    one.destroy()
    for (let n = 2; n <= MANY; n++) await replica.document(numbered(n))
    replica.rest()
    assert.ok(isOpen(1), 'unsaved though destroyed')
    await save(replica)
    for (let n = 2; n <= MANY; n++) await replica.document(numbered(n))
    replica.rest()
    assert.not.ok(isOpen(1))
    assert.equal(
      (await replica.documents()).map(hex),
      Array.from({ length: MANY }, (_, i) => hex(numbered(i + 1)))
    )
    await close()

    const { replica: again, close: closeAgain } = await replicaIn(dir)
    const text = async (n: number) => (await again.document(numbered(n))).within(doc => doc.getText('text').toString())
    assert.is(await text(1), 'last text 1')
    assert.is(await text(MANY), `.text ${MANY}`)
    await closeAgain()
    await rm(dir, { recursive: true })
  }
)

library(
  'which entries are here, and what is missing between them, is known of closed documents and after a restart',
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'lend-library-'))
    const suite = await loadSuite()
    const device = deviceKeys(suite, new Uint8Array(32).fill(2)).id
    const at = (n: number) => entryId(new Uint8Array(32).fill(n))
    const { replica, close } = await replicaIn(dir)
    const put = async (on: Replica<LibraryList>, n: number, ctr: number) => {
      await on.ledger(numbered(n))
      on.setPosition(numbered(n), device, reach(on.position(numbered(n), device), ctr, at(ctr)))
    }
    for (let n = 1; n <= MANY; n++) await put(replica, n, 1)
    for (const ctr of [3, 4]) await put(replica, 1, ctr)
    replica.setTail(numbered(1), { bytes: 5, snapshot: 6 })
    await replica.commit({ durable: false })
    replica.rest()
    assert.throws(() => replica.position(numbered(2), device), /not loaded/)
    const missing = `${hex(numbered(1))}/${hex(device)}/2`
    assert.is(replica.gaps, missing)
    await close()

    const { replica: again, close: closeAgain } = await replicaIn(dir)
    assert.is(again.gaps, missing)
    assert.equal((await again.ledger(numbered(1))).tail, { bytes: 5, snapshot: 6 })
    await put(again, 1, 2)
    assert.is(again.gaps, '')
    assert.is(again.position(numbered(1), device).reached, 4)
    await put(again, 2, 3)
    await again.commit({ durable: false })
    // Read from its start, nothing counts as read; of closed documents neither.
    again.restart()
    assert.is(again.gaps, '')
    assert.is(again.position(numbered(1), device).reached, 0)
    assert.is((await again.ledger(numbered(MANY))).positions.size, 0)
    await put(again, 3, 1)
    await again.commit({ durable: false })
    await closeAgain()

    const { replica: anew, close: closeAnew } = await replicaIn(dir)
    assert.is(anew.gaps, '')
    const reached = async (n: number) => {
      await anew.ledger(numbered(n))
      return anew.position(numbered(n), device).reached
    }
    assert.equal([await reached(1), await reached(2), await reached(3), await reached(4)], [0, 0, 1, 0])
    await closeAnew()
    await rm(dir, { recursive: true })
  }
)

library.run()
