/** What a copy is given of an item: all that the item says, nothing of what it once said. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { applyEntry } from '../../../packages/engine/src/documents/apply.ts'
import { difference } from '../../../packages/engine/src/documents/mirror.ts'

const SECRET = 'a-marker-that-must-not-leave'

const latin1 = (update: Uint8Array | null): string => Buffer.from(update ?? []).toString('latin1')

/** A reader who has only ever seen what was published. */
function readerOf(published: readonly (Uint8Array | null)[]): Y.Doc {
  const reader = new Y.Doc()
  for (const update of published) if (update !== null) applyEntry(reader, update, 'log')
  return reader
}

const state = (doc: Y.Doc): string => Buffer.from(Y.encodeStateAsUpdate(doc)).toString('hex')

const test = suite('documents/mirror')

test('a copy is brought up to the item, and a reader of what was published has the same document', () => {
  const item = new Y.Doc()
  const copy = new Y.Doc()
  const published: (Uint8Array | null)[] = []
  item.getMap('map').set('name', 'Door')
  item.getText('text').insert(0, 'one two', { bold: true })
  published.push(difference(item, copy))
  item.getText('text').format(1, 3, { bold: null })
  item.getMap('map').set('list', Y.Array.from([1, 2]))
  published.push(difference(item, copy))
  assert.is(state(copy), state(item))
  assert.is(state(readerOf(published)), state(item))
})

test('a copy that lacks nothing gives nothing to publish', () => {
  const item = new Y.Doc()
  const copy = new Y.Doc()
  assert.is(difference(item, copy), null)
  item.getMap('map').set('name', 'Door')
  assert.instance(difference(item, copy), Uint8Array)
  assert.is(difference(item, copy), null)
})

test('a deletion alone is published once', () => {
  const item = new Y.Doc()
  const copy = new Y.Doc()
  item.getMap('map').set('name', 'Door')
  const published = [difference(item, copy)]
  item.getMap('map').delete('name')
  published.push(difference(item, copy))
  assert.ok(published[1] instanceof Uint8Array)
  assert.is(difference(item, copy), null)
  assert.is(readerOf(published).getMap('map').size, 0)
})

test('nothing that was overwritten or deleted before leaves the library', () => {
  const item = new Y.Doc()
  item.getMap('map').set('password', SECRET)
  item.getMap('map').set('password', 'new')
  item.getText('text').insert(0, `keep ${SECRET} keep`)
  item.getText('text').delete(5, SECRET.length)
  item.getArray('list').insert(0, [new Y.Map([['in', SECRET]])])
  item.getArray('list').delete(0, 1)
  const copy = new Y.Doc()
  const published = difference(item, copy)
  assert.not.ok(latin1(published).includes(SECRET))
  assert.not.ok(latin1(Y.encodeStateAsUpdate(copy)).includes(SECRET))
  assert.is(readerOf([published]).getText('text').toString(), 'keep  keep')
})

test('not even what an UndoManager of the item holds', () => {
  const item = new Y.Doc()
  const undo = new Y.UndoManager(item, { captureTimeout: 0 })
  item.getMap('map').set('password', SECRET)
  item.getMap('map').delete('password')
  item.getText('text').insert(0, SECRET)
  item.getText('text').delete(0, SECRET.length)
  assert.ok(latin1(Y.encodeStateAsUpdate(item)).includes(SECRET), 'the item itself holds it')
  const copy = new Y.Doc()
  const published = [difference(item, copy)]
  assert.not.ok(latin1(published[0] ?? null).includes(SECRET))
  assert.not.ok(latin1(Y.encodeStateAsUpdate(copy)).includes(SECRET))
  undo.undo()
  published.push(difference(item, copy))
  assert.is(readerOf(published).getText('text').toString(), SECRET, 'what is undone is there again')
})

test('nor what waits in the item for an update that has not come', () => {
  const device = new Y.Doc()
  device.getMap('map').set('name', 'Door')
  const known = Y.encodeStateVector(device)
  device.getMap('map').set('password', SECRET)
  const second = Y.encodeStateAsUpdate(device, known)
  device.getMap('map').set('password', 'new')

  const item = new Y.Doc()
  const copy = new Y.Doc()
  applyEntry(item, second, 'log')
  assert.ok(latin1(Y.encodeStateAsUpdate(item)).includes(SECRET))
  assert.is(difference(item, copy), null)
  assert.is(copy.store.pendingStructs, null)
  applyEntry(item, Y.encodeStateAsUpdate(device), 'log')
  const published = difference(item, copy)
  assert.not.ok(latin1(published).includes(SECRET))
  assert.is(readerOf([published]).getMap('map').get('password'), 'new')
})

test('what waited is given once it is there', () => {
  const device = new Y.Doc()
  const updates: Uint8Array[] = []
  device.on('update', update => updates.push(update))
  device.getArray('list').push(['first'])
  device.getArray('list').push(['second'])
  const item = new Y.Doc()
  const copy = new Y.Doc()
  for (const update of updates.reverse()) {
    applyEntry(item, update, 'log')
    difference(item, copy)
  }
  assert.equal(copy.getArray('list').toArray(), ['first', 'second'])
})

test('formatted text that two devices wrote gives one update and no deletions of its own', () => {
  const one = new Y.Doc()
  const two = new Y.Doc()
  one.getText('text').insert(0, 'some text')
  applyEntry(two, Y.encodeStateAsUpdate(one), 'log')
  one.getText('text').format(0, 6, { bold: true })
  two.getText('text').format(0, 6, { bold: true })
  applyEntry(one, Y.encodeStateAsUpdate(two), 'log')
  const copy = new Y.Doc()
  const published = difference(one, copy)
  assert.is(state(copy), state(one))
  assert.is(state(readerOf([published])), state(one))
  assert.is(difference(one, copy), null)
})

test('two devices that mirror the same item give readers one document', () => {
  const item = new Y.Doc()
  const copies = [new Y.Doc(), new Y.Doc()] as const
  item.getMap('map').set('a', 1)
  const published = copies.map(copy => difference(item, copy))
  item.getMap('map').set('a', 2)
  published.push(difference(item, copies[1]), difference(item, copies[0]))
  assert.is(state(readerOf(published)), state(item))
})

test('a copy without gc is refused, for it would publish what was deleted', () => {
  assert.throws(() => difference(new Y.Doc(), new Y.Doc({ gc: false })), /without gc/)
})

test('the copy is left without a listener', () => {
  const copy = new Y.Doc()
  const item = new Y.Doc()
  item.getMap('map').set('a', 1)
  difference(item, copy)
  assert.is(copy._observers.has('update'), false)
  assert.is(copy._observers.has('afterTransaction'), false)
})

test.run()
