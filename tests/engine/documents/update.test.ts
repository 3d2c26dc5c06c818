/** What an update may hold is what Yjs writes: whole and nothing else. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { applyEntry } from '../../../packages/engine/src/documents/apply.ts'
import { checkUpdate } from '../../../packages/engine/src/documents/check.ts'
import { dice, edit } from './random-edits.ts'
import {
  collected,
  deleting,
  empty,
  inRoot,
  inType,
  MAP,
  ofClient,
  type Part,
  underKey,
  update,
  verdict
} from './updates-by-hand.ts'

// --- Names ---

const names = suite('documents/check: names')

for (const name of ['__proto__', 'constructor', 'prototype']) {
  const places: Record<string, (doc: Y.Doc, name: string) => void> = {
    'the name of a root': (doc, at) => doc.getArray(at).push([1]),
    'a key of a map': (doc, at) => doc.getMap('map').set(at, 1),
    'an attribute of a text': (doc, at) => doc.getText('text').setAttribute(at, 1),
    'a format': (doc, at) => doc.getText('text').insert(0, 'x', { [at]: true }),
    'an element': (doc, at) => doc.getXmlFragment('xml').push([new Y.XmlElement(at)]),
    'a hook': (doc, at) => doc.getXmlFragment('xml').push([new Y.XmlHook(at) as unknown as Y.XmlText])
  }
  for (const [what, write] of Object.entries(places)) {
    names(`${name} is refused as ${what}`, () => {
      const bad = new Y.Doc()
      write(bad, name)
      assert.match(verdict(Y.encodeStateAsUpdate(bad)), `a name is ${name}`)
      const good = new Y.Doc()
      write(good, `${name}_`)
      assert.is(verdict(Y.encodeStateAsUpdate(good)), 'sound')
    })
  }
}

names('__proto__ is refused in a value, at any depth; constructor is a word like others there', () => {
  const value = (key: string): unknown => JSON.parse(`{"a": [{"${key}": 1}]}`)
  for (const set of [
    (doc: Y.Doc, key: string) => doc.getMap('map').set('a', value(key)),
    (doc: Y.Doc, key: string) => doc.getText('text').insertEmbed(0, value(key) as object)
  ]) {
    const bad = new Y.Doc()
    set(bad, '__proto__')
    assert.match(verdict(Y.encodeStateAsUpdate(bad)), 'a name is __proto__')
    const good = new Y.Doc()
    set(good, 'constructor')
    assert.is(verdict(Y.encodeStateAsUpdate(good)), 'sound')
  }
})

names.run()

// --- Format ---

/** A document with every kind of struct that Yjs writes. */
function full(): Y.Doc {
  const doc = new Y.Doc()
  for (let seed = 1; seed < 4; seed++) for (let i = 0; i < 40; i++) edit(doc, dice(seed * 1000 + i))
  const sub = new Y.Doc({ gc: false, autoLoad: true, meta: { a: 1 } })
  doc.getMap('map').set('subdoc', sub)
  doc.getMap('map').set('big', 10n ** 15n)
  doc.getMap('map').set('float', 0.1)
  doc
    .getArray('array')
    .push([undefined, null, true, false, -5, 1.5, 'x', { a: [1] }].filter(value => value !== undefined))
  doc
    .getXmlFragment('xml')
    .push([new Y.XmlHook('hook') as unknown as Y.XmlText, new Y.XmlElement('p'), new Y.XmlText('text')])
  return doc
}

const format = suite('documents/check: format')

format('what Yjs writes is sound: whole, in parts, merged, uncollected, held by an UndoManager, deleted', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const roll = dice(seed)
    const doc = new Y.Doc({ gc: seed % 3 > 0 })
    if (seed % 5 === 0) new Y.UndoManager(doc)
    const parts: Uint8Array[] = []
    const reader = new Y.Doc()
    doc.on('update', part => {
      parts.push(part)
      assert.is(verdict(part, reader), 'sound')
      applyEntry(reader, part, 'log')
    })
    for (let i = 0; i < 30; i++) doc.transact(() => Array.from({ length: 1 + roll(4) }, () => edit(doc, roll)))
    assert.is(verdict(Y.mergeUpdates(parts)), 'sound')
    assert.is(verdict(Y.encodeStateAsUpdate(doc)), 'sound')
    assert.is(verdict(Y.encodeStateAsUpdate(doc), reader), 'sound')
    const half = new Y.Doc()
    for (const part of parts.slice(0, parts.length / 2)) applyEntry(half, part, 'log')
    assert.is(verdict(Y.encodeStateAsUpdate(doc, Y.encodeStateVector(half)), half), 'sound')
    assert.is(verdict(Y.mergeUpdates(parts), half), 'sound')
  }
  assert.is(verdict(Y.encodeStateAsUpdate(full())), 'sound')
  assert.is(verdict(Y.encodeStateAsUpdate(empty)), 'sound')
})

format('an update that is cut anywhere is refused', () => {
  const whole = Y.encodeStateAsUpdate(full())
  for (let length = 0; length < whole.length; length++) {
    assert.match(verdict(whole.subarray(0, length)), /^the update is refused/, `${length} of ${whole.length}`)
  }
})

format('a byte after the end is refused', () => {
  assert.match(verdict(Uint8Array.from([...Y.encodeStateAsUpdate(full()), 0])), '1 bytes are left after its end')
  assert.match(verdict(Uint8Array.from([0, 0, 0])), '1 bytes are left after its end')
})

format('the format V2 is refused', () => {
  assert.not.equal(verdict(Y.encodeStateAsUpdateV2(empty)), 'sound')
  assert.not.equal(verdict(Y.encodeStateAsUpdateV2(full())), 'sound')
  for (let seed = 1; seed <= 300; seed++) {
    const doc = new Y.Doc()
    for (let i = 0; i < 1 + (seed % 9); i++) edit(doc, dice(seed * 100 + i))
    assert.match(verdict(Y.encodeStateAsUpdateV2(doc)), /^the update is refused/)
  }
})

format('a kind that Yjs does not write is refused', () => {
  for (let content = 11; content < 32; content++) {
    assert.match(verdict(update(ofClient(1, 0, inRoot(content, 'a', 1)))), `content ${content} is unknown`)
  }
  assert.match(verdict(update(ofClient(1, 0, underKey(0, 'a', 'b', 1)))), 'content 0 is unknown')
  assert.match(verdict(update(ofClient(1, 0, inRoot(7, 'a', 7)))), 'type 7 is unknown')
  assert.is(verdict(update(ofClient(1, 0, inRoot(7, 'a', 6)))), 'sound')
  assert.match(verdict(update(ofClient(1, 0, inRoot(8, 'a', 1, 115)))), 'kind 115 is unknown')
  assert.match(verdict(update(ofClient(1, 0, inRoot(5, 'a', '{no JSON')))), 'can not be read')
})

format('the options of a subdocument are those that Yjs writes', () => {
  const subdoc = (...options: Part[]): string => verdict(update(ofClient(1, 0, inRoot(9, 'a', 'guid', ...options))))
  assert.is(subdoc(118, 0), 'sound')
  assert.is(subdoc(118, 3, 'gc', 121, 'autoLoad', 120, 'meta', 119, 'x'), 'sound')
  assert.match(subdoc(126), 'has no options')
  assert.match(subdoc(117, 0), 'has no options')
  assert.match(subdoc(118, 1, 'gcFilter', 120), 'is unknown')
  assert.match(subdoc(118, 1, 'gc', 126), 'is unknown')
})

format('clients come once, deletions in order, and neither is empty', () => {
  assert.match(verdict(update(ofClient(1, 0, collected(1)), ofClient(1, 1, collected(1)))), 'a client comes twice')
  assert.match(verdict(update(ofClient(1, 0))), 'no structs')
  assert.match(verdict(deleting([1, 1, 0, 1], [1, 1, 5, 1])), 'a client comes twice')
  assert.match(verdict(deleting([1, 2, 5, 1, 5, 1])), 'not in order')
  assert.is(verdict(deleting([1, 2, 5, 1, 6, 1])), 'sound')
  assert.match(verdict(deleting([1, 1, 5, 0])), 'a deletion is empty')
})

format('a struct refers to what was before it', () => {
  assert.match(verdict(update(ofClient(1, 0, inType(7, 1, 0, MAP)))), 'refers to itself')
  assert.match(verdict(update(ofClient(1, 0, inRoot(7, 'a', MAP), inType(7, 1, 1, MAP)))), 'refers to itself')
  assert.is(verdict(update(ofClient(1, 0, inRoot(7, 'a', MAP), inType(7, 1, 0, MAP)))), 'sound')
  const circle = update(ofClient(2, 0, inType(7, 1, 0, MAP)), ofClient(1, 0, inType(7, 2, 0, MAP)))
  assert.is(verdict(circle), 'doubtful')
})

format('a refusal holds no content', () => {
  const secret = 'a-secret-word'
  for (const of of [
    update(ofClient(1, 0, inRoot(5, 'a', `{"${secret}`))),
    update(ofClient(1, 0, inRoot(4, secret, ''))),
    update(ofClient(1, 0, underKey(8, 'a', secret, 1, 119, secret)), [secret])
  ]) {
    const judged = checkUpdate(of, empty)
    if (judged.verdict !== 'bad') throw new Error('it passed')
    assert.not.ok(judged.error.message.includes(secret))
    assert.is(judged.error.cause, undefined)
  }
})

format.run()
