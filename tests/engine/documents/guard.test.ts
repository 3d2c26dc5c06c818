/** A guarded document refuses every write, is the same to the byte afterwards, and reads and follows its owner on. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { applyEntry } from '../../../packages/engine/src/documents/apply.ts'
import {
  type DocumentGuard,
  GUARDED_YJS,
  type GuardOptions,
  guardDocument,
  selfTestGuard
} from '../../../packages/engine/src/documents/guard.ts'
import { ReadOnlyError } from '../../../packages/engine/src/errors.ts'

const SMILE = '\u{1f600}'

/** An owner's document with every type in it, as roots and nested. */
function filled(): Y.Doc {
  const doc = new Y.Doc()
  doc.getMap('map').set('value', 1)
  doc.getMap('map').set('value', 2)
  doc.getMap('map').set('bytes', new Uint8Array([1, 2]))
  doc.getMap('map').set('map', new Y.Map([['deep', new Y.Map([['value', 1]])]]))
  doc.getMap('map').set('array', Y.Array.from([1, 2, 3, 4]))
  doc.getMap('map').set('text', new Y.Text('nested text'))
  doc.getMap('map').set('fragment', new Y.XmlFragment())
  doc.getMap('map').set('subdoc', new Y.Doc())
  doc.getArray('array').insert(0, [1, 'two', { three: 3 }, null, [5]])
  doc.getArray('array').insert(2, [new Y.Map([['value', 1]])])
  doc.getArray('array').delete(4, 1)
  doc.getText('plain').insert(0, `one ${SMILE} two`)
  doc.getText('rich').insert(0, 'bold', { bold: true })
  doc.getText('rich').insert(4, ' and not', {})
  doc.getText('rich').insertEmbed(3, { image: 'x' })
  doc.getText('rich').setAttribute('align', 'left')
  doc.getText('untidy').insert(0, 'ab', { bold: true })
  const element = new Y.XmlElement('p')
  element.setAttribute('class', 'a')
  element.insert(0, [new Y.XmlText('in an element'), new Y.XmlElement('br')])
  doc.getXmlFragment('xml').insert(0, [element, new Y.XmlText('beside'), new Y.XmlHook('hook') as unknown as Y.XmlText])
  doc.getXmlElement('root').setAttribute('id', 'r')
  doc.getMap('gone').set('type', new Y.Map([['value', 1]]))
  doc.getMap('gone').delete('type')
  return doc
}

function lent(o: GuardOptions = {}): { owner: Y.Doc; member: Y.Doc; guard: DocumentGuard } {
  const owner = filled()
  const member = new Y.Doc()
  const guard = guardDocument(member, o)
  guard.apply(Y.encodeStateAsUpdate(owner), 'owner')
  return { owner, member, guard }
}

const bytes = (doc: Y.Doc): string =>
  `${Buffer.from(Y.encodeStateAsUpdate(doc)).toString('hex')} ${Buffer.from(Y.encodeStateVector(doc)).toString('hex')}`

function refused(doc: Y.Doc, write: () => void): void {
  const before = bytes(doc)
  assert.throws(write, (error: unknown) => error instanceof ReadOnlyError && error.code === 'READ_ONLY')
  assert.is(bytes(doc), before)
}

const map = (doc: Y.Doc): Y.Map<unknown> => doc.getMap('map')
const inMap =
  <T>(key: string) =>
  (doc: Y.Doc) =>
    map(doc).get(key) as T
const deep = (doc: Y.Doc): Y.Map<unknown> =>
  (map(doc).get('map') as Y.Map<Y.Map<unknown>>).get('deep') as Y.Map<unknown>
const array = (doc: Y.Doc): Y.Array<unknown> => doc.getArray('array')
const inArray = (doc: Y.Doc): Y.Map<unknown> =>
  array(doc)
    .toArray()
    .find(value => value instanceof Y.Map) as Y.Map<unknown>
const nestedArray = inMap<Y.Array<unknown>>('array')
const plain = (doc: Y.Doc): Y.Text => doc.getText('plain')
const rich = (doc: Y.Doc): Y.Text => doc.getText('rich')
const nestedText = inMap<Y.Text>('text')
const xml = (doc: Y.Doc): Y.XmlFragment => doc.getXmlFragment('xml')
const element = (doc: Y.Doc): Y.XmlElement => xml(doc).get(0) as Y.XmlElement
const xmlText = (doc: Y.Doc): Y.XmlText => element(doc).get(0) as Y.XmlText
const hook = (doc: Y.Doc): Y.XmlHook => xml(doc).get(2) as unknown as Y.XmlHook

const writes: Record<string, (doc: Y.Doc) => void> = {
  'Y.Map set of a new key': doc => map(doc).set('new', 1),
  'Y.Map set over a value': doc => map(doc).set('value', 3),
  'Y.Map set of bytes': doc => map(doc).set('bytes', new Uint8Array([3])),
  'Y.Map set of a type': doc => map(doc).set('new', new Y.Map([['a', new Y.Text('b')]])),
  'Y.Map set over a type': doc => map(doc).set('map', 1),
  'Y.Map set of a subdocument': doc => map(doc).set('new', new Y.Doc()),
  'Y.Map delete of a value': doc => map(doc).delete('value'),
  'Y.Map delete of a type': doc => map(doc).delete('map'),
  'Y.Map delete of a subdocument': doc => map(doc).delete('subdoc'),
  'Y.Map clear': doc => map(doc).clear(),
  'nested Y.Map set': doc => deep(doc).set('value', 2),
  'nested Y.Map delete': doc => deep(doc).delete('value'),
  'nested Y.Map clear': doc => deep(doc).clear(),
  'Y.Map in a Y.Array set': doc => inArray(doc).set('value', 2),
  'Y.Map set in a new root': doc => doc.getMap('new').set('a', 1),
  'Y.Array insert at the front': doc => array(doc).insert(0, ['x']),
  'Y.Array insert in the middle': doc => array(doc).insert(1, ['x', new Uint8Array([1])]),
  'Y.Array insert of types': doc => array(doc).insert(3, [new Y.Array(), new Y.Text('a')]),
  'Y.Array insert of a subdocument': doc => array(doc).insert(1, [new Y.Doc()]),
  'Y.Array push': doc => array(doc).push(['x']),
  'Y.Array unshift': doc => array(doc).unshift(['x']),
  'Y.Array delete at the front': doc => array(doc).delete(0),
  'Y.Array delete in the middle': doc => array(doc).delete(1, 2),
  'Y.Array insert in a new root': doc => doc.getArray('new array').insert(0, [1]),
  'nested Y.Array insert': doc => nestedArray(doc).insert(2, ['x']),
  'nested Y.Array push': doc => nestedArray(doc).push(['x']),
  'nested Y.Array delete': doc => nestedArray(doc).delete(1, 2),
  'Y.Text insert': doc => plain(doc).insert(3, 'x'),
  'Y.Text insert into a surrogate pair': doc => plain(doc).insert(5, 'x'),
  'Y.Text insert with attributes': doc => plain(doc).insert(3, 'x', { bold: true }),
  'Y.Text delete': doc => plain(doc).delete(1, 2),
  'Y.Text delete of half a surrogate pair': doc => plain(doc).delete(4, 1),
  'Y.Text format': doc => plain(doc).format(1, 2, { bold: true }),
  'Y.Text format of half a surrogate pair': doc => plain(doc).format(5, 2, { bold: true }),
  'Y.Text insert in formatted text': doc => rich(doc).insert(2, 'x'),
  'Y.Text delete in formatted text': doc => rich(doc).delete(2, 4),
  'Y.Text format that only deletes formats': doc => rich(doc).format(0, 5, { bold: null }),
  'Y.Text applyDelta that inserts': doc => rich(doc).applyDelta([{ retain: 1 }, { insert: 'x' }]),
  'Y.Text applyDelta that deletes': doc => rich(doc).applyDelta([{ retain: 2 }, { delete: 1 }]),
  'Y.Text applyDelta that formats': doc => rich(doc).applyDelta([{ retain: 3, attributes: { italic: true } }]),
  'Y.Text insertEmbed': doc => rich(doc).insertEmbed(1, { image: 'y' }),
  'Y.Text insertEmbed of a type': doc => rich(doc).insertEmbed(1, new Y.Map()),
  'Y.Text setAttribute': doc => rich(doc).setAttribute('align', 'right'),
  'Y.Text removeAttribute': doc => rich(doc).removeAttribute('align'),
  'Y.Text insert in a new root': doc => doc.getText('new text').insert(0, 'x'),
  'nested Y.Text insert': doc => nestedText(doc).insert(3, 'x'),
  'nested Y.Text delete': doc => nestedText(doc).delete(3, 2),
  'nested Y.Text format': doc => nestedText(doc).format(3, 2, { bold: true }),
  'Y.XmlFragment insert': doc => xml(doc).insert(1, [new Y.XmlElement('q')]),
  'Y.XmlFragment insertAfter': doc => xml(doc).insertAfter(element(doc), [new Y.XmlText('q')]),
  'Y.XmlFragment push': doc => xml(doc).push([new Y.XmlElement('q')]),
  'Y.XmlFragment unshift': doc => xml(doc).unshift([new Y.XmlElement('q')]),
  'Y.XmlFragment delete': doc => xml(doc).delete(0, 2),
  'nested Y.XmlFragment insert': doc => inMap<Y.XmlFragment>('fragment')(doc).insert(0, [new Y.XmlText('q')]),
  'Y.XmlElement setAttribute': doc => element(doc).setAttribute('class', 'b'),
  'Y.XmlElement removeAttribute': doc => element(doc).removeAttribute('class'),
  'Y.XmlElement insert': doc => element(doc).insert(1, [new Y.XmlText('q')]),
  'Y.XmlElement delete': doc => element(doc).delete(0, 1),
  'root Y.XmlElement setAttribute': doc => doc.getXmlElement('root').setAttribute('id', 's'),
  'Y.XmlText insert': doc => xmlText(doc).insert(2, 'x'),
  'Y.XmlText delete': doc => xmlText(doc).delete(2, 3),
  'Y.XmlText format': doc => xmlText(doc).format(2, 3, { em: {} }),
  'Y.XmlText applyDelta': doc => xmlText(doc).applyDelta([{ delete: 2 }]),
  'Y.XmlText insertEmbed': doc => xmlText(doc).insertEmbed(0, { a: 1 }),
  'Y.XmlText setAttribute': doc => xmlText(doc).setAttribute('a', 'b'),
  'Y.XmlHook set': doc => hook(doc).set('a', 1),
  'Y.cleanupYTextFormatting that finds something': doc => void Y.cleanupYTextFormatting(doc.getText('untidy')),
  'a foreign applyUpdate': doc => Y.applyUpdate(doc, foreign()),
  'a foreign applyUpdate in a transaction': doc => doc.transact(() => Y.applyUpdate(doc, foreign())),
  'a foreign applyUpdateV2': doc => Y.applyUpdateV2(doc, Y.convertUpdateFormatV1ToV2(foreign())),
  'a foreign applyUpdate that would be pending': doc => Y.applyUpdate(doc, withoutBeginning()),
  'a foreign applyUpdate of deletions': doc => Y.applyUpdate(doc, deletions(doc)),
  'a foreign applyUpdate of collected structs': doc => Y.applyUpdate(doc, collected()),
  'a collected update in a transaction': doc => doc.transact(() => Y.applyUpdate(doc, collected())),
  'a foreign applyUpdate of what is known': doc => Y.applyUpdate(doc, Y.encodeStateAsUpdate(doc))
}

function foreign(): Uint8Array {
  const doc = new Y.Doc()
  doc.getMap('map').set('foreign', 1)
  return Y.encodeStateAsUpdate(doc)
}

function withoutBeginning(): Uint8Array {
  const doc = new Y.Doc()
  doc.getMap('map').set('foreign', 1)
  const known = Y.encodeStateVector(doc)
  doc.getMap('map').set('foreign', 2)
  return Y.encodeStateAsUpdate(doc, known)
}

function deletions(of: Y.Doc): Uint8Array {
  const doc = new Y.Doc()
  Y.applyUpdate(doc, Y.encodeStateAsUpdate(of))
  const known = Y.encodeStateVector(doc)
  doc.getText('plain').delete(0, 3)
  return Y.encodeStateAsUpdate(doc, known)
}

function collected(): Uint8Array {
  const doc = new Y.Doc()
  doc.getMap('map').set('foreign', new Y.Map([['a', new Y.Map()]]))
  doc.getMap('map').delete('foreign')
  return Y.encodeStateAsUpdate(doc)
}

const refusals = suite('documents/guard: writes')

for (const [what, write] of Object.entries(writes)) {
  refusals(`${what} is refused and changes nothing, twice, and the owner's next update arrives`, () => {
    const { owner, member, guard } = lent()
    guard.apply(untidy(owner), 'owner')
    refused(member, () => write(member))
    refused(member, () => write(member))
    const known = Y.encodeStateVector(owner)
    for (const edit of Object.values(edits)) edit(owner)
    guard.apply(Y.encodeStateAsUpdate(owner, known), 'owner')
    assert.is(bytes(member), bytes(owner))
    refused(member, () => write(member))
  })
}

/** Formats that say nothing, as two devices leave them that format the same text. */
function untidy(owner: Y.Doc): Uint8Array {
  const other = new Y.Doc()
  Y.applyUpdate(other, Y.encodeStateAsUpdate(owner))
  other.getText('untidy').format(0, 2, { em: true })
  owner.getText('untidy').format(0, 2, { em: true })
  applyEntry(owner, Y.encodeStateAsUpdate(other), 'other device')
  return Y.encodeStateAsUpdate(owner)
}

const edits: Record<string, (doc: Y.Doc) => void> = {
  map: doc => map(doc).set('value', 'owner'),
  deep: doc => deep(doc).set('value', 'owner'),
  array: doc => array(doc).insert(1, ['owner', 1]),
  arrayDelete: doc => array(doc).delete(3, 1),
  plain: doc => plain(doc).insert(2, 'owner'),
  plainDelete: doc => plain(doc).delete(1, 3),
  rich: doc => rich(doc).format(1, 4, { bold: null }),
  xml: doc => xmlText(doc).insert(4, 'owner'),
  root: doc => doc.getMap('new').set('owner', 1)
}

refusals('a transaction of several writes is refused at its first', () => {
  const { member } = lent()
  let reached = 0
  refused(member, () =>
    member.transact(() => {
      reached = 1
      map(member).set('a', 1)
      reached = 2
    })
  )
  assert.is(reached, 1)
})

refusals('a transaction that catches a refusal is refused at every further write', () => {
  const { owner, member, guard } = lent()
  guard.apply(untidy(owner), 'owner')
  const before = bytes(member)
  let count = 0
  member.transact(() => {
    for (const write of Object.values(writes)) {
      try {
        write(member)
      } catch (error) {
        if (error instanceof ReadOnlyError) count++
      }
    }
  })
  assert.is(count, Object.keys(writes).length)
  assert.is(bytes(member), before)
})

refusals('undo and redo of what the owner did are refused, and the undo stack stays', () => {
  const { owner, member, guard } = lent()
  const undo = new Y.UndoManager([map(member), plain(member)], {
    trackedOrigins: new Set(['owner']),
    captureTimeout: 0
  })
  assert.is(undo.undo(), null, 'an empty stack undoes nothing')
  const known = Y.encodeStateVector(owner)
  map(owner).delete('map')
  plain(owner).delete(0, 4)
  guard.apply(Y.encodeStateAsUpdate(owner, known), 'owner')
  assert.is(undo.undoStack.length, 1)
  refused(member, () => undo.undo())
  assert.is(undo.undoStack.length, 1)
  undo.redoStack.push(...undo.undoStack)
  refused(member, () => undo.redo())
  undo.clear()
  map(owner).set('value', 'after')
  guard.apply(Y.encodeStateAsUpdate(owner, Y.encodeStateVector(member)), 'owner')
  assert.is(map(member).get('value'), 'after')
})

refusals('a write from within an observer or a handler is refused there', () => {
  const errors: unknown[] = []
  const { owner, member, guard } = lent({ onHandlerError: error => errors.push(error) })
  map(member).observe(() => map(member).set('a', 1))
  const events = [
    'beforeAllTransactions',
    'beforeTransaction',
    'beforeObserverCalls',
    'afterTransaction',
    'afterTransactionCleanup',
    'update',
    'updateV2',
    'afterAllTransactions'
  ] as const
  for (const event of events) {
    member.once(event, () => map(member).set('b', 1))
    member.once(event, () => Y.applyUpdate(member, foreign()))
  }
  map(owner).set('value', 'owner')
  guard.apply(Y.encodeStateAsUpdate(owner, Y.encodeStateVector(member)), 'owner')
  assert.ok(errors.length > 2 * events.length)
  assert.ok(errors.every(error => error instanceof ReadOnlyError))
  assert.is(bytes(member), bytes(owner))
})

refusals('onRefused hears of each refusal, with the error that the writer gets', () => {
  const heard: ReadOnlyError[] = []
  const { member } = lent({ onRefused: error => heard.push(error) })
  assert.throws(
    () => map(member).set('a', 1),
    (error: unknown) => error === heard[0]
  )
  assert.is(heard.length, 1)
})

refusals('a write that would change nothing is not refused', () => {
  const { member } = lent()
  const before = bytes(member)
  map(member).delete('absent')
  array(member).insert(1, [])
  array(member).delete(1, 0)
  plain(member).insert(1, '')
  plain(member).format(1, 2, {})
  member.transact(() => {})
  assert.is(bytes(member), before)
})

refusals('a document that is not guarded is written as ever beside one that is', () => {
  const { owner, member } = lent()
  member.transact(() => {
    plain(owner).insert(5, 'x')
  })
  assert.is(plain(owner).toString(), 'one \ufffdx\ufffd two')
})

refusals.run()

const reading = suite('documents/guard: reads')

reading('event.delta of formats that say nothing is computed and deletes nothing', () => {
  const { owner, member, guard } = lent()
  const deltas: unknown[] = []
  rich(member).observe(event => deltas.push(event.delta, event.changes.delta))
  const other = new Y.Doc()
  Y.applyUpdate(other, Y.encodeStateAsUpdate(owner))
  rich(other).format(0, 8, { em: true })
  rich(other).insert(2, 'x')
  rich(owner).format(0, 6, { em: true })
  const from = (doc: Y.Doc): Uint8Array => Y.encodeStateAsUpdate(doc, Y.encodeStateVector(member))
  guard.apply(Y.mergeUpdates([from(owner), from(other)]), 'owner')
  applyEntry(owner, Y.encodeStateAsUpdate(other), 'other device')
  assert.is(deltas.length, 2)
  assert.equal(rich(member).toDelta(), rich(owner).toDelta())
  assert.is(bytes(member), bytes(owner))
})

reading('the tidying of formatted text that Yjs does by itself is off', () => {
  const { owner, member, guard } = lent()
  let transactions = 0
  member.on('afterTransaction', () => transactions++)
  guard.apply(untidy(owner), 'owner')
  assert.is(transactions, 1)
  assert.is(bytes(member), bytes(owner))
})

reading('new roots of every type, snapshots, positions and subdocuments can be read', () => {
  const owner = filled()
  const member = new Y.Doc({ gc: false })
  const guard = guardDocument(member)
  guard.apply(Y.encodeStateAsUpdate(owner), 'owner')
  const snapshot = Y.snapshot(member)
  plain(owner).insert(5, 'x')
  guard.apply(Y.encodeStateAsUpdate(owner, Y.encodeStateVector(member)), 'owner')
  const before = bytes(member)
  for (const type of [Y.Array, Y.Map, Y.Text, Y.XmlFragment, Y.XmlElement, Y.XmlText])
    member.get(`new ${type.name}`, type)
  assert.ok(rich(member).toDelta(snapshot).length > 0)
  assert.ok(plain(member).toDelta(Y.snapshot(member), snapshot).length > 0)
  const position = Y.createRelativePositionFromTypeIndex(plain(member), 3)
  assert.is(Y.createAbsolutePositionFromRelativePosition(position, member)?.index, 3)
  const subdoc = map(member).get('subdoc') as Y.Doc
  subdoc.load()
  subdoc.destroy()
  assert.is(member.getSubdocs().size, 1)
  assert.is(bytes(member), before)
})

reading('a handler or observer that throws breaks neither the update nor the next', () => {
  const errors: unknown[] = []
  const { owner, member, guard } = lent({ onHandlerError: error => errors.push(error) })
  const bug = new Error('bug in the app')
  const fail = (): never => {
    throw bug
  }
  for (const event of ['beforeTransaction', 'afterTransaction', 'update', 'afterAllTransactions'] as const)
    member.on(event, fail)
  map(member).observe(fail)
  map(member).observeDeep(fail)
  let heard = 0
  map(member).observe(() => heard++)
  for (const value of ['a', 'b']) {
    map(owner).set('value', value)
    guard.apply(Y.encodeStateAsUpdate(owner, Y.encodeStateVector(member)), 'owner')
    assert.is(bytes(member), bytes(owner))
  }
  assert.is(heard, 2)
  assert.is(errors.length, 10, 'in each update four handlers, and the observers as one')
  assert.ok(errors.every(error => error === bug))
  refused(member, () => map(member).set('value', 'c'))
})

reading('an error that nobody listens for becomes an unhandled rejection', async () => {
  const { owner, member, guard } = lent()
  const bug = new Error('bug in the app')
  member.on('update', () => {
    throw bug
  })
  map(owner).set('value', 'a')
  const rejected = new Promise(resolve => process.once('unhandledRejection', resolve))
  guard.apply(Y.encodeStateAsUpdate(owner, Y.encodeStateVector(member)), 'owner')
  assert.is(await rejected, bug)
})

reading('an update can be applied from an observer, but not inside a transaction', () => {
  const { owner, member, guard } = lent()
  const apply = (): void => guard.apply(Y.encodeStateAsUpdate(owner), 'owner')
  map(owner).set('value', 'a')
  assert.throws(() => member.transact(apply), /is in a transaction/)
  map(member).observe(() => {
    if (map(owner).get('value') === 'b') return
    map(owner).set('value', 'b')
    apply()
  })
  apply()
  assert.is(bytes(member), bytes(owner))
})

reading('an update that Yjs can not apply throws, and the document stays guarded', () => {
  const { member, guard } = lent()
  assert.throws(() => guard.apply(new Uint8Array([1, 1]), 'owner'))
  refused(member, () => map(member).set('a', 1))
})

reading('a document is guarded once, and only one of this yjs', () => {
  const { member } = lent()
  assert.throws(() => guardDocument(member), /already/)
  assert.throws(() => guardDocument(Object.create(null)), /another copy of yjs/)
  const writing = new Y.Doc()
  writing.transact(() => assert.throws(() => guardDocument(writing), /in a transaction/))
})

reading('the self-test passes with the installed yjs, which is the one that it names', () => {
  selfTestGuard()
  const file = new URL('../package.json', import.meta.resolve('yjs'))
  assert.is(JSON.parse(readFileSync(fileURLToPath(file), 'utf8')).version, GUARDED_YJS)
})

reading('the self-test fails where writing goes another way', () => {
  const held = Y.Item.prototype.delete
  Y.Item.prototype.delete = function () {
    this.markDeleted()
  }
  try {
    assert.throws(selfTestGuard, new RegExp(`made for yjs ${GUARDED_YJS} .*a deletion is not refused`))
  } finally {
    Y.Item.prototype.delete = held
  }
})

reading.run()
