/** Only the owner writes: not a member, not with a client of its own making, not with a relay's help. */
import { existsSync } from 'node:fs'
import { ReadOnlyError, type Share } from '@lend/client'
import {
  AccessHistory,
  authorInvite,
  authorRemoval,
  type DeviceId,
  dataKey,
  decodeEntry,
  type Entry,
  encodeStatement,
  epochKeys,
  hex,
  type Incarnation,
  loadSuite,
  NO_DOCUMENT,
  ownerLibrary,
  Refusal,
  type RefusalCode,
  SHARE_DOCUMENT,
  type Statement,
  sealUpdate,
  signEntry
} from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { connectRaw, dice, type RawClient } from '../server/raw-client.ts'
import { event, follow, type Household, household, lend, linkTo, replicaOf, textOf, until } from './household.ts'
import { keysOnDisk } from './keys-on-disk.ts'
import { openWiretap } from './wiretap.ts'

const readOnly = suite('read-only')
const crypto = await loadSuite()
/** A relay that refuses each attempt for what it is, not for their number. */
const generous = { limits: { memberAccessPerMinute: 1000, memberAccessBurst: 1000 } }

readOnly(
  'each way to write throws ReadOnlyError, leaves the document byte for byte, and the owner’s next edit arrives',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const share = await lend(maya, 'Paper', 'some text')
    fill(share.doc)
    await share.synced()
    const lent = await follow(share, ben)
    const { doc } = lent
    const same = () => assert.equal(Y.encodeStateAsUpdate(doc), Y.encodeStateAsUpdate(share.doc))
    same()
    const refused: unknown[] = []
    lent.on('refused', error => refused.push(error))
    let edits = 0
    for (const [name, write] of Object.entries(writesTo(doc))) {
      const before = { bytes: Y.encodeStateAsUpdate(doc), vector: Y.encodeStateVector(doc), json: readable(doc) }
      let thrown: unknown
      try {
        write()
      } catch (error) {
        thrown = error
      }
      assert.ok(thrown instanceof ReadOnlyError, `${name}: ${thrown}`)
      assert.is(thrown.code, 'READ_ONLY')
      assert.equal(Y.encodeStateAsUpdate(doc), before.bytes, name)
      assert.equal(Y.encodeStateVector(doc), before.vector, name)
      assert.equal(readable(doc), before.json, name)
      assert.ok(refused.includes(thrown), `${name}: the app is told`)

      const edit = `edit ${++edits}`
      textOf(share).insert(edits % 5, edit)
      map(share.doc).set('last', edit)
      await until(doc, () => map(doc).get('last') === edit)
      same()
    }
    assert.equal(readable(doc), readable(share.doc))
    console.log(`${edits} ways to write`)
  })
)

readOnly(
  'what a member signs with its own client is refused by the relay, and by every reader if the relay forwards it',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const ana = await house.person('Ana')
    const line = house.keep(await openWiretap(house.relay.url))
    const share = await lend(maya, 'Paper', 'a line')
    await follow(share, ben)
    const lent = await ana.accept(line.link(await linkTo(share)))
    await lent.synced()
    await ben.close()
    const cheat = await cheatOf(house, 'Ben', share)

    for (const [name, { entry }] of Object.entries(cheat.forge())) {
      cheat.raw.append(share.id, cheat.incarnation, entry)
      const refusal = await cheat.raw.refused(share.id)
      assert.is(refusal.code, 'NOT_OWNER', name)
      assert.equal(refusal.entry, entry.id, name)
    }
    // Nothing of it came through: the next thing that everybody gets is the owner's.
    textOf(share).insert(0, 'first, ')
    await until(lent.doc, () => textOf(lent).toString() === 'first, a line')
    await cheat.take(1)
    await cheat.raw.close()

    const before = Y.encodeStateAsUpdate(lent.doc)
    const passage = line.passages.at(-1)
    const last = passage?.passed.findLast(({ frame }) => frame.type === 'entries')?.frame
    assert.ok(passage && last?.type === 'entries')
    const slipIn = (bytes: Uint8Array) => {
      const seq = last.upTo + 1
      passage.slipIn({ ...last, upTo: seq, entries: [{ seq, timeMs: Date.now(), bytes }] })
    }
    for (const [name, { entry, code }] of Object.entries(cheat.forge())) {
      const refused = event(lent, 'refused')
      slipIn(entry.bytes)
      const error = await refused
      assert.is(error.code, 'BAD_UPDATE', name)
      assert.ok(error.cause instanceof Refusal, name)
      assert.is(error.cause.code, code, name)
      assert.equal(Y.encodeStateAsUpdate(lent.doc), before, name)
    }
    const garbage = event(lent, 'refused')
    slipIn(new Uint8Array(300))
    assert.is((await garbage).code, 'BAD_UPDATE')
    assert.equal(Y.encodeStateAsUpdate(lent.doc), before)
    assert.ok(existsSync(replicaOf(house.folder('Ana'), share).directory), 'a removal by who may not deletes nothing')

    // It goes on following, on this connection and on the next.
    textOf(share).insert(0, 'on: ')
    await until(lent.doc, () => textOf(lent).toString() === 'on: first, a line')
    line.cut()
    textOf(share).insert(0, 'and ')
    await share.synced()
    line.mend()
    await until(lent.doc, () => textOf(lent).toString() === 'and on: first, a line')
    assert.equal(Y.encodeStateAsUpdate(lent.doc), Y.encodeStateAsUpdate(share.doc))
    await until(lent, () => lent.status.state === 'synced')
  }, generous)
)

readOnly.run()

const map = (doc: Y.Doc): Y.Map<unknown> => doc.getMap('map')
const list = (doc: Y.Doc): Y.Array<unknown> => doc.getArray('list')
const page = (doc: Y.Doc): Y.XmlFragment => doc.getXmlFragment('page')

function fill(doc: Y.Doc): void {
  map(doc).set('a', 1)
  map(doc).set('map', new Y.Map([['inner', 'value']]))
  map(doc).set('list', Y.Array.from([1, 2, 3]))
  map(doc).set('text', new Y.Text('nested \u{1f600} text'))
  list(doc).insert(0, [1, 'two', new Y.Map([['x', 1]]), Y.Array.from(['deep'])])
  doc.getText('text').format(0, 4, { bold: true })
  doc.getText('text').insertEmbed(2, { image: 'x' })
  const element = new Y.XmlElement('p')
  element.setAttribute('class', 'plain')
  const text = new Y.XmlText('words')
  text.setAttribute('lang', 'en')
  element.insert(0, [text, new Y.XmlElement('br')])
  page(doc).insert(0, [element])
}

/** Every mutator, on roots and on what is nested in them. */
function writesTo(doc: Y.Doc): Record<string, () => unknown> {
  const text = doc.getText('text')
  const nestedMap = of(Y.Map, map(doc).get('map'))
  const nestedList = of(Y.Array, map(doc).get('list'))
  const nestedText = of(Y.Text, map(doc).get('text'))
  const listedMap = of(Y.Map, list(doc).get(2))
  const listedList = of(Y.Array, list(doc).get(3))
  const element = of(Y.XmlElement, page(doc).get(0))
  const words = of(Y.XmlText, element.get(0))
  const foreign = new Y.Doc()
  foreign.getText('text').insert(0, 'from elsewhere')
  const undo = new Y.UndoManager([text, map(doc)])
  const writes: Record<string, () => unknown> = {
    'a new root': () => doc.getMap('new').set('a', 1),
    'the title': () => doc.getMap('lend.share').set('title', 'mine'),
    'a foreign update': () => Y.applyUpdate(doc, Y.encodeStateAsUpdate(foreign)),
    'a foreign update, V2': () => Y.applyUpdateV2(doc, Y.encodeStateAsUpdateV2(foreign)),
    'several writes at once': () =>
      doc.transact(() => {
        text.insert(0, 'x')
        map(doc).set('a', 2)
      }),
    'a write after one that was swallowed': () =>
      doc.transact(() => {
        try {
          text.insert(3, 'x')
        } catch {}
        text.delete(1, 5)
      }),
    'a write at an undo manager’s origin': () => doc.transact(() => text.insert(0, 'x'), undo),
    'a subdocument': () => map(doc).set('sub', new Y.Doc())
  }
  const maps = { map: map(doc), nestedMap, listedMap }
  for (const [name, type] of Object.entries(maps)) {
    const [key = ''] = type.keys()
    writes[`${name}.set`] = () => type.set('new', 1)
    writes[`${name}.set again`] = () => type.set(key, 2)
    writes[`${name}.set a type`] = () => type.set('new', new Y.Text('x'))
    writes[`${name}.delete`] = () => type.delete(key)
    writes[`${name}.clear`] = () => type.clear()
  }
  for (const [name, type] of Object.entries({ list: list(doc), nestedList, listedList })) {
    writes[`${name}.insert`] = () => type.insert(1, ['x'])
    writes[`${name}.insert a type`] = () => type.insert(0, [new Y.Map([['x', 1]])])
    writes[`${name}.push`] = () => type.push([1, 2])
    writes[`${name}.unshift`] = () => type.unshift([1])
    writes[`${name}.delete`] = () => type.delete(0)
  }
  for (const [name, type] of Object.entries({ text, nestedText, words })) {
    writes[`${name}.insert`] = () => type.insert(3, 'x')
    writes[`${name}.insert formatted`] = () => type.insert(1, 'x', { italic: true })
    writes[`${name}.insertEmbed`] = () => type.insertEmbed(1, { image: 'y' })
    writes[`${name}.delete`] = () => type.delete(1, 3)
    writes[`${name}.format`] = () => type.format(1, 3, { italic: true })
    writes[`${name}.applyDelta`] = () => type.applyDelta([{ retain: 2 }, { delete: 1 }, { insert: 'x' }])
    writes[`${name}.setAttribute`] = () => type.setAttribute('new', 'x')
  }
  writes['words.removeAttribute'] = () => words.removeAttribute('lang')
  for (const [name, type] of Object.entries({ page: page(doc), element })) {
    writes[`${name}.insert`] = () => type.insert(0, [new Y.XmlText('x')])
    writes[`${name}.insertAfter`] = () => type.insertAfter(type === element ? words : element, [new Y.XmlElement('hr')])
    writes[`${name}.push`] = () => type.push([new Y.XmlElement('hr')])
    writes[`${name}.unshift`] = () => type.unshift([new Y.XmlElement('hr')])
    writes[`${name}.delete`] = () => type.delete(0, 1)
  }
  writes['element.setAttribute'] = () => element.setAttribute('class', 'bold')
  writes['element.removeAttribute'] = () => element.removeAttribute('class')
  return writes
}

function of<T>(type: abstract new (...args: never[]) => T, value: unknown): T {
  assert.ok(value instanceof type)
  return value as T
}

function readable(doc: Y.Doc): unknown {
  const { share } = doc
  return {
    json: ['map', 'list'].map(name => (name === 'map' ? map(doc) : list(doc)).toJSON()),
    text: doc.getText('text').toDelta(),
    page: page(doc).toString(),
    roots: [...share.keys()].filter(name => name !== 'new').sort()
  }
}

interface Forged {
  readonly entry: Entry
  /** What a reader says to it; the relay looks no further than who sends it. */
  readonly code: RefusalCode
}

interface Cheat {
  readonly raw: RawClient
  readonly incarnation: Incarnation
  /** Reads so many more entries. */
  take(count: number): Promise<void>
  /** All that it can try right now, with the true key of the epoch. */
  forge(): Record<string, Forged>
}

/** A client of its own making, on the account of a member. */
async function cheatOf(house: Household, name: string, share: Share): Promise<Cheat> {
  const { account, device, sealing } = await keysOnDisk(crypto, house.folder(name))
  const raw = house.keep(await connectRaw(house.relay.url, device))
  const { incarnation, standing, entriesTotal } = await raw.followed(share.id)
  assert.is(standing, 'member')
  const history = new AccessHistory(crypto)
  let ownerCtr = 0
  const take = async (count: number) => {
    for (const { bytes, seq, timeMs } of await raw.read(share.id, count)) {
      const entry = decodeEntry(crypto, bytes)
      if (entry.kind === 'access') assert.is(history.fold(entry, seq, timeMs, { timeMs: null, signatures: true }), null)
      else ownerCtr = Math.max(ownerCtr, entry.ctr)
    }
  }
  await take(entriesTotal)
  return {
    raw,
    incarnation,
    take,
    forge() {
      const { list } = history
      assert.ok(list?.kind === 'share' && ownerCtr > 0)
      const statements = history.records.map(({ statement }) => statement)
      const epochKey = epochKeys(crypto, share.id, statements, { account, sealingKeys: sealing, invite: null }).get(
        list.epoch
      )
      const [owner] = ownerLibrary(list).devices.values()
      const other = [...list.members.values()].find(member => hex(member.account) !== hex(account))
      assert.ok(epochKey && owner && other)
      const doc = new Y.Doc()
      doc.getText('text').insert(0, 'I was here. ')
      const content = Y.encodeStateAsUpdate(doc)
      const { secretKey } = device.signing
      const update = (author: DeviceId, ctr: number): Entry => {
        const place = { log: share.id, author, document: SHARE_DOCUMENT, ctr, epoch: list.epoch, accessHead: list.head }
        return sealUpdate(
          crypto,
          { ...place, kind: 'update' },
          content,
          { dataKey: dataKey(crypto, epochKey), secretKey },
          dice
        )
      }
      const access = (author: DeviceId, statement: Statement): Entry => {
        const place = { log: share.id, author, document: NO_DOCUMENT, ctr: 0, epoch: 0, accessHead: list.head }
        return signEntry(crypto, { ...place, kind: 'access' }, encodeStatement(statement), secretKey)
      }
      const who = { who: [other.account], reason: 'removed', epochKey, nowMs: Date.now() } as const
      const removal = authorRemoval(crypto, list, who, dice)?.statement
      const invite = authorInvite(
        crypto,
        {
          secret: dice(32),
          uses: 1,
          expiresMs: Date.now() + 60_000,
          untilMs: null,
          bound: null,
          preview: { owner: 'Ben', title: 'Mine', items: {}, presence: false },
          epochKey
        },
        dice
      )
      assert.ok(removal)
      return {
        'an update of its own': { entry: update(device.id, 1), code: 'NOT_OWNER' },
        'an update in the owner’s name': { entry: update(owner.id, ownerCtr + 1), code: 'BAD_SIGNATURE' },
        'other bytes for an update of the owner': { entry: update(owner.id, ownerCtr), code: 'BAD_SIGNATURE' },
        'a removal of another member': { entry: access(device.id, removal), code: 'NOT_OWNER' },
        'a removal in the owner’s name': { entry: access(owner.id, removal), code: 'BAD_SIGNATURE' },
        'an invite': { entry: access(device.id, invite), code: 'NOT_OWNER' },
        'an end of another’s time': {
          entry: access(device.id, { type: 'until', member: other.account, untilMs: 1 }),
          code: 'NOT_OWNER'
        },
        'a stop': { entry: access(device.id, { type: 'stop' }), code: 'NOT_OWNER' },
        'a stop in the owner’s name': { entry: access(owner.id, { type: 'stop' }), code: 'BAD_SIGNATURE' }
      }
    }
  }
}
