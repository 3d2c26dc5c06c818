import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { boundDocument } from '../../../packages/engine/src/documents/bound.ts'
import { LendError } from '../../../packages/engine/src/errors.ts'

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

bound.run()
