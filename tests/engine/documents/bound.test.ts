import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { boundDocument } from '../../../packages/engine/src/documents/bound.ts'
import { LendError } from '../../../packages/engine/src/errors.ts'
import { NESTING_DEPTH_MAX } from '../../../packages/engine/src/limits.ts'

const bound = suite('documents/bound')
const BYTES_MAX = 10_000
const told: LendError[] = []

function bounded(): Y.Doc {
  const doc = new Y.Doc()
  boundDocument(doc, error => told.push(error), BYTES_MAX)
  return doc
}

function refusal(write: () => void): LendError | null {
  try {
    write()
    return null
  } catch (error) {
    if (error instanceof LendError) return error
    throw error
  }
}

bound('edits are taken up to the bound, and the one that passes it is refused at once and changes nothing', () => {
  const doc = bounded()
  const text = doc.getText('t')
  let error: LendError | null = null
  let before = Y.encodeStateAsUpdate(doc)
  for (let i = 0; i < 2000 && !error; i++) {
    before = Y.encodeStateAsUpdate(doc)
    error = refusal(() => text.insert(text.length >> 1, 'twelve bytes'))
  }
  assert.is(error?.code, 'DOCUMENT_TOO_BIG')
  assert.is(error?.limit, BYTES_MAX)
  assert.equal(Y.encodeStateAsUpdate(doc), before)
  assert.ok(before.length <= BYTES_MAX && before.length > BYTES_MAX * 0.9, `${before.length} bytes`)
})

bound('one edit over the bound is refused whatever kind it is, one just under it is taken', () => {
  const big = BYTES_MAX + 1
  const writes: Record<string, (doc: Y.Doc, bytes: number) => void> = {
    text: (doc, bytes) => doc.getText('t').insert(0, 'x'.repeat(bytes)),
    map: (doc, bytes) => doc.getMap('m').set('k', 'x'.repeat(bytes)),
    array: (doc, bytes) => doc.getArray('a').push([new Uint8Array(bytes)]),
    nested: (doc, bytes) => doc.getMap('m').set('k', new Y.Map([['deep', 'x'.repeat(bytes)]])),
    embed: (doc, bytes) => doc.getText('t').insertEmbed(0, { image: 'x'.repeat(bytes) })
  }
  for (const [kind, write] of Object.entries(writes)) {
    assert.is(refusal(() => write(bounded(), big))?.code, 'DOCUMENT_TOO_BIG', kind)
    assert.is(
      refusal(() => write(bounded(), BYTES_MAX - 400)),
      null,
      kind
    )
  }
})

bound('of a new nested text, which Yjs fills without telling what was thrown, the refusal is told', () => {
  const doc = bounded()
  const { error } = console
  console.error = () => {}
  try {
    told.length = 0
    doc.getMap('m').set('k', new Y.Text('x'.repeat(BYTES_MAX + 1)))
  } finally {
    console.error = error
  }
  assert.is(told[0]?.code, 'DOCUMENT_TOO_BIG')
  assert.ok(Y.encodeStateAsUpdate(doc).length < 100)
})

bound('what was deleted makes room', () => {
  const doc = bounded()
  const text = doc.getText('t')
  text.insert(0, 'x'.repeat(9_500))
  assert.is(refusal(() => text.insert(0, 'y'.repeat(2_000)))?.code, 'DOCUMENT_TOO_BIG')
  text.delete(0, 9_000)
  assert.is(
    refusal(() => text.insert(0, 'y'.repeat(2_000))),
    null
  )
  assert.is(text.length, 2_500)
})

bound('small edits in one transaction count together', () => {
  const doc = bounded()
  const array = doc.getArray('a')
  const error = refusal(() =>
    doc.transact(() => {
      for (let i = 0; i < 2_000; i++) array.push(['twelve bytes'])
    })
  )
  assert.is(error?.code, 'DOCUMENT_TOO_BIG')
  assert.ok(Y.encodeStateAsUpdate(doc).length <= BYTES_MAX)
})

bound(
  'what other devices wrote is never refused here, and a refused edit leaves reading and writing as they were',
  () => {
    const doc = bounded()
    const other = new Y.Doc()
    other.getText('t').insert(0, 'z'.repeat(BYTES_MAX * 2))
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(other))
    assert.is(doc.getText('t').length, BYTES_MAX * 2)
    assert.is(refusal(() => doc.getText('t').insert(5, 'one more'))?.code, 'DOCUMENT_TOO_BIG')
    doc.getText('t').delete(0, BYTES_MAX * 2 - 10)
    doc.getText('t').insert(0, 'one more')
    assert.is(doc.getText('t').toString(), `one more${'z'.repeat(10)}`)
  }
)

bound('what readers would put aside is refused at the edit with BAD_UPDATE, and changes nothing', () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)])
  /** The innermost of so many types. */
  const innermost = (doc: Y.Doc, depth: number): Y.Map<unknown> => {
    let map = doc.getMap<unknown>('m')
    for (let i = 1; i < depth; i++) {
      const inner = map.get('in')
      map = inner instanceof Y.Map ? inner : map.set('in', new Y.Map<unknown>())
    }
    return map
  }
  const writes: Record<string, (doc: Y.Doc) => void> = {
    'a key': doc => doc.getMap('m').set('__proto__', 1),
    'another key': doc => doc.getMap('m').set('constructor', 1),
    'a root': doc => doc.getArray('prototype').push([1]),
    'a key in a value': doc => doc.getMap('m').set('k', JSON.parse('{"__proto__":1}')),
    'a key in an embed': doc => doc.getText('t').insertEmbed(0, JSON.parse('{"__proto__":1}')),
    'a format': doc => doc.getText('t').insert(0, 'x', JSON.parse('{"constructor":true}')),
    'an element': doc => doc.getXmlFragment('x').insert(0, [new Y.XmlElement('__proto__')]),
    'an attribute': doc => doc.getXmlElement('x').setAttribute('__proto__', '1'),
    'values too deep': doc => doc.getMap('m').set('k', nested(NESTING_DEPTH_MAX + 1)),
    'types too deep': doc => innermost(doc, NESTING_DEPTH_MAX).set('in', new Y.Map())
  }
  for (const [what, write] of Object.entries(writes)) {
    const doc = new Y.Doc()
    const heard: LendError[] = []
    boundDocument(doc, error => heard.push(error))
    if (what === 'types too deep') innermost(doc, NESTING_DEPTH_MAX)
    const before = Y.encodeStateAsUpdate(doc)
    const error = refusal(() => write(doc))
    assert.is(error?.code, 'BAD_UPDATE', what)
    assert.equal(heard, [error], what)
    assert.equal(Y.encodeStateAsUpdate(doc), before, what)
    assert.is(
      refusal(() => doc.getMap('fine').set('k', { proto: 1 })),
      null
    )
  }
  assert.is(
    refusal(() => bounded().getMap('m').set('k', nested(NESTING_DEPTH_MAX))),
    null
  )
})

bound.run()
