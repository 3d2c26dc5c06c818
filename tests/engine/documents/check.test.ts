/** Updates that would harm a document or its reader are refused before Yjs sees them, and what Yjs writes is not. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { applyEntry } from '../../../packages/engine/src/documents/apply.ts'
import { applyChecked } from '../../../packages/engine/src/documents/check.ts'
import {
  CLOCK_JUMP_MAX,
  CLOCK_MAX,
  CONTENTION_MAX,
  NESTING_DEPTH_MAX,
  STRUCT_LENGTH_MAX,
  UPDATE_STRUCTS_MAX
} from '../../../packages/engine/src/limits.ts'
import { type Dice, dice, edit } from './random-edits.ts'
import {
  bytes,
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

const latin1 = (of: Uint8Array | string): string => Buffer.from(of).toString('latin1')
const state = (doc: Y.Doc): string => latin1(Y.encodeStateAsUpdate(doc))

function applied(of: Uint8Array, doc: Y.Doc): string | null {
  const before = state(doc)
  const error = applyChecked(doc, of, sound => applyEntry(doc, sound, 'log'))
  if (error !== null) assert.is(state(doc), before, 'a refused update leaves the document as it was')
  return error?.message ?? null
}

const bounds = suite('documents/check: bounds')

bounds('an update may be as long as its kind allows, and no longer', () => {
  const of = update(ofClient(1, 0, collected(1)))
  assert.is(verdict(of, empty, of.length), 'sound')
  assert.match(verdict(of, empty, of.length - 1), `${of.length} bytes are over ${of.length - 1}`)
})

bounds('structs are counted over all clients', () => {
  const half = (client: number, structs: number): Part => [
    structs,
    client,
    0,
    Uint8Array.from({ length: 2 * structs }, (_, i) => i % 2) // of one clock each, collected
  ]
  const one = UPDATE_STRUCTS_MAX / 2
  assert.is(verdict(bytes(2, half(1, one), half(2, one), 0)), 'sound')
  assert.match(verdict(bytes(2, half(1, one), half(2, one + 1), 0)), `structs are over ${UPDATE_STRUCTS_MAX}`)
})

bounds('deletions are counted over all clients', () => {
  const half = (client: number, ranges: number): Part => [
    client,
    ranges,
    Array.from({ length: ranges }, (_, i) => [2 * i, 1])
  ]
  const one = UPDATE_STRUCTS_MAX / 2
  assert.is(verdict(deleting(half(1, one), half(2, one))), 'sound')
  assert.match(verdict(deleting(half(1, one), half(2, one + 1))), `deletions are over ${UPDATE_STRUCTS_MAX}`)
})

bounds('a struct takes one clock at least and STRUCT_LENGTH_MAX at most', () => {
  for (const struct of [(n: number) => collected(n), (n: number) => inRoot(1, 'a', n)]) {
    assert.match(verdict(update(ofClient(1, 0, struct(0)))), 'is empty')
    assert.is(verdict(update(ofClient(1, 0, struct(1)))), 'sound')
    assert.is(verdict(update(ofClient(1, 0, struct(STRUCT_LENGTH_MAX)))), 'sound')
    assert.match(verdict(update(ofClient(1, 0, struct(STRUCT_LENGTH_MAX + 1)))), `over ${STRUCT_LENGTH_MAX}`)
  }
  for (const nothing of [inRoot(4, 'a', ''), inRoot(8, 'a', 0), inRoot(2, 'a', 0)]) {
    assert.match(verdict(update(ofClient(1, 0, nothing))), 'is empty')
  }
})

bounds('eleven bytes that claim 2^32 − 1 clocks are refused', () => {
  assert.match(verdict(update(ofClient(1, 0, collected(2 ** 32 - 1)))), 'a struct of 4294967295 clocks')
})

bounds('a client may start CLOCK_JUMP_MAX after what the document knows of it, and no later', () => {
  const doc = new Y.Doc()
  applyEntry(doc, update(ofClient(1, 0, collected(10))), 'log')
  assert.is(verdict(update(ofClient(1, 10, collected(1))), doc), 'sound')
  assert.is(verdict(update(ofClient(1, 10 + CLOCK_JUMP_MAX, collected(1))), doc), 'doubtful')
  assert.match(verdict(update(ofClient(1, 11 + CLOCK_JUMP_MAX, collected(1))), doc), `over ${CLOCK_JUMP_MAX}`)
})

bounds('no clock and no deletion ends after CLOCK_MAX', () => {
  assert.match(verdict(update(ofClient(1, CLOCK_MAX - 1, collected(1)))), 'jumps')
  assert.match(verdict(update(ofClient(1, CLOCK_MAX - 1, collected(2)))), `over ${CLOCK_MAX}`)
  assert.is(verdict(deleting([1, 1, CLOCK_MAX - 1, 1])), 'sound')
  assert.match(verdict(deleting([1, 1, CLOCK_MAX - 1, 2])), `over ${CLOCK_MAX}`)
})

bounds('a client id is an integer of at most 2^53 − 1', () => {
  assert.is(verdict(update(ofClient(Number.MAX_SAFE_INTEGER, 0, collected(1)))), 'sound')
  assert.match(verdict(update(ofClient(2 ** 53, 0, collected(1)))), 'over 2^53 − 1')
})

/** A map in a map, until the innermost is so deep; the root is 1 deep. */
function nested(depth: number): Uint8Array[] {
  const doc = new Y.Doc()
  const updates: Uint8Array[] = []
  doc.on('update', part => updates.push(part))
  let at = doc.getMap<unknown>('map')
  for (let i = 1; i < depth; i++) {
    const inner = new Y.Map<unknown>()
    at.set('inner', inner)
    at = inner
  }
  return updates
}

bounds(
  'types are NESTING_DEPTH_MAX deep at most: in one update, in many, and when they come together in the end',
  () => {
    const most = nested(NESTING_DEPTH_MAX)
    const over = nested(NESTING_DEPTH_MAX + 1)
    assert.is(verdict(Y.mergeUpdates(most)), 'sound')
    assert.match(verdict(Y.mergeUpdates(over)), `over ${NESTING_DEPTH_MAX}`)

    const inOrder = new Y.Doc()
    for (const part of over.slice(0, -1)) assert.is(applied(part, inOrder), null)
    assert.match(applied(over.at(-1) ?? new Uint8Array(), inOrder) ?? '', `over ${NESTING_DEPTH_MAX}`)

    for (const [parts, refusal] of [
      [most, null],
      [over, `over ${NESTING_DEPTH_MAX}`]
    ] as const) {
      const backwards = new Y.Doc()
      const [first = new Uint8Array(), ...rest] = parts
      assert.is(applied(Y.mergeUpdates(rest), backwards), null, 'it waits')
      const error = applied(first, backwards)
      if (refusal === null) assert.is(error, null)
      else assert.match(error ?? '', refusal)
    }
  }
)

bounds('a type is as deep as its neighbour, even where that one names no type', () => {
  const over = new Y.Doc()
  let at = over.getArray<unknown>('array')
  for (let i = 1; i < NESTING_DEPTH_MAX; i++) {
    const inner = new Y.Array<unknown>()
    at.push([i, inner])
    at = inner
  }
  assert.is(verdict(Y.encodeStateAsUpdate(over)), 'sound')
  at.push([1, new Y.Map()])
  assert.match(verdict(Y.encodeStateAsUpdate(over)), `over ${NESTING_DEPTH_MAX}`)
})

bounds('values are NESTING_DEPTH_MAX deep at most', () => {
  const array = (depth: number): unknown => (depth === 0 ? 1 : [array(depth - 1)])
  const object = (depth: number): unknown => (depth === 0 ? 1 : { a: object(depth - 1) })
  for (const value of [array, object]) {
    for (const set of [
      (doc: Y.Doc, depth: number) => doc.getMap('map').set('a', value(depth)),
      (doc: Y.Doc, depth: number) => doc.getText('text').insertEmbed(0, value(depth) as object),
      (doc: Y.Doc, depth: number) => doc.getText('text').insert(0, 'x', { a: value(depth) })
    ]) {
      const most = new Y.Doc()
      set(most, NESTING_DEPTH_MAX)
      assert.is(verdict(Y.encodeStateAsUpdate(most)), 'sound')
      const over = new Y.Doc()
      set(over, NESTING_DEPTH_MAX + 1)
      assert.match(verdict(Y.encodeStateAsUpdate(over)), `over ${NESTING_DEPTH_MAX}`)
    }
  }
  const brackets = '['.repeat(1_000_000)
  assert.match(verdict(update(ofClient(1, 0, inRoot(5, 'a', brackets + brackets.replaceAll('[', ']'))))), 'over')
})

bounds(
  'structs of one update contend for a place up to the bound; what is written one after the other never does',
  () => {
    const many = Math.sqrt(CONTENTION_MAX)
    const each = (n: number, of: (client: number) => Part) =>
      update(...Array.from({ length: n }, (_, i) => ofClient(n - i, 0, of(n - i))))
    const inOneRoot = (n: number) => each(n, () => inRoot(4, 'text', 'x'))
    assert.is(verdict(inOneRoot(many)), 'sound')
    assert.match(verdict(inOneRoot(many + 1)), `over ${CONTENTION_MAX}`)
    const atStart = (n: number) => each(n, client => (client > 1 ? [0x44, client - 1, 0, 'x'] : inRoot(4, 'text', 'x')))
    assert.is(verdict(atStart(2 * many)), 'sound')

    // One client, each to the left of another letter of what was there.
    const doc = new Y.Doc()
    doc.clientID = 9
    doc.getText('text').insert(0, 'x'.repeat(2 * many))
    const byOne = (n: number) =>
      update(ofClient(1, 0, ...Array.from({ length: n }, (_, i): Part => [Uint8Array.of(0xc4), 9, 0, 9, i + 2, 'y'])))
    assert.is(verdict(byOne(many), doc), 'sound')
    assert.match(verdict(byOne(many + 1), doc), `over ${CONTENTION_MAX}`)
  }
)

bounds('a text that many sessions wrote, each at its start and in its middle, is within the bound', () => {
  const whole = new Y.Doc()
  for (let session = 0; session < 3000; session++) {
    const text = whole.getText('text')
    whole.clientID = session + 1
    text.insert(0, 'ab')
    text.insert(Math.floor(text.length / 2), 'c')
    if (session % 3 === 0) text.delete(1, 1)
  }
  assert.is(verdict(Y.encodeStateAsUpdate(whole)), 'sound')
})

bounds.run()

const against = suite('documents/check: against the document')

against(
  'several values under one key are refused unless they are deleted, for their type could not be collected',
  () => {
    const type = inRoot(7, 'root', MAP)
    const two = underKey(8, 'root', 'key', 2, 126, 126)
    const inner = [8 | 0x20, 0, 1, 0, 'key', 2, 126, 126]
    assert.match(verdict(update(ofClient(1, 0, two))), '2 values are under one key')
    assert.match(verdict(update(ofClient(1, 0, type, inner))), '2 values are under one key')
    assert.is(verdict(bytes(1, ofClient(1, 0, type, inner), 1, [1, 1, 1, 2])), 'sound')
    assert.match(verdict(bytes(1, ofClient(1, 0, type, inner), 1, [1, 1, 2, 1])), '2 values are under one key')
    assert.is(verdict(update(ofClient(1, 0, underKey(8, 'root', 'key', 1, 126)))), 'sound')
  }
)

against(
  'the rest of a struct is refused at another place than its beginning, for it would tie two lists together',
  () => {
    const doc = new Y.Doc()
    applyEntry(doc, update(ofClient(1, 0, inRoot(4, 'one', 'abc'))), 'log')
    assert.is(verdict(update(ofClient(1, 0, inRoot(4, 'one', 'abcdef'))), doc), 'sound')
    assert.match(verdict(update(ofClient(1, 0, inRoot(4, 'two', 'abcdef'))), doc), 'goes on at another place')
    assert.match(
      verdict(
        update(
          ofClient(
            1,
            0,
            underKey(
              8,
              'one',
              'key',
              5,
              [1, 2, 3, 4, 5].map(() => 126)
            )
          )
        ),
        doc
      ),
      'another place'
    )
    assert.is(
      verdict(update(ofClient(1, 0, inRoot(4, 'two', 'abc'))), doc),
      'sound',
      'what is known already is not read'
    )
  }
)

against('the rest of a struct whose beginning was collected throws in Yjs, and is refused after a trial', () => {
  const doc = new Y.Doc()
  applyEntry(doc, update(ofClient(1, 0, collected(3))), 'log')
  const of = update(ofClient(1, 0, inRoot(4, 'one', 'abcdef')))
  const stock = new Y.Doc()
  applyEntry(stock, update(ofClient(1, 0, collected(3))), 'log')
  assert.throws(() => Y.applyUpdate(stock, of))
  assert.is(verdict(of, doc), 'doubtful')
  assert.match(applied(of, doc) ?? '', 'Yjs can not apply it')
  assert.is(applied(update(ofClient(1, 0, collected(6))), doc), null)
})

against('structs that refer to one another in a circle wait for ever', () => {
  const circle = update(ofClient(2, 0, inType(7, 1, 0, MAP)), ofClient(1, 0, inType(7, 2, 0, MAP)))
  const doc = new Y.Doc()
  assert.is(verdict(circle), 'doubtful')
  assert.is(applied(circle, doc), null)
  assert.ok(doc.store.pendingStructs !== null)
  assert.is(doc.store.clients.size, 0)
})

against('what must wait, and what ends a wait, is tried first and then applied', () => {
  const [first = new Uint8Array(), second = new Uint8Array()] = nested(3)
  const doc = new Y.Doc()
  assert.is(verdict(second, doc), 'doubtful')
  assert.is(applied(second, doc), null)
  assert.is(verdict(first, doc), 'doubtful')
  assert.is(applied(first, doc), null)
  assert.is(doc.store.pendingStructs, null)
  assert.equal(doc.getMap('map').toJSON(), { inner: { inner: {} } })
})

/** A few bytes changed at random, or a piece of another update put in. */
function mutated(of: Uint8Array, other: Uint8Array, roll: Dice): Uint8Array {
  const out = [...of]
  for (let i = 0; i <= roll(4); i++) {
    const at = roll(out.length)
    const verb = roll(6)
    if (verb === 0) out[at] = roll(256)
    else if (verb === 1) out[at] = roll(8)
    else if (verb === 2) out[at] = ((out[at] ?? 0) & 0xe0) | roll(11)
    else if (verb === 3) out.splice(at, 1)
    else if (verb === 4) out[at] = ((out[at] ?? 0) + 255 + 2 * roll(2)) & 255
    else out.splice(at, roll(12), ...other.subarray(roll(other.length)).subarray(0, roll(24)))
  }
  return Uint8Array.from(out)
}

against(
  'of mutated updates, none that passes makes Yjs throw: then, or at what the document goes through later',
  () => {
    let passed = 0
    let refused = 0
    for (let seed = 1; seed <= 60; seed++) {
      const roll = dice(seed)
      const devices = [1, 2, 3].map(clientID => Object.assign(new Y.Doc(), { clientID }))
      const log: Uint8Array[] = []
      for (const device of devices) device.on('update', (part, origin) => origin === 'log' || log.push(part))
      for (let i = 0; i < 6 + roll(30); i++) {
        const device = devices[roll(3)] ?? empty
        edit(device, roll)
        if (roll(3) > 0) continue
        for (const other of devices) if (other !== device) applyEntry(other, Y.encodeStateAsUpdate(device), 'log')
      }
      const known = roll(log.length)
      const doc = new Y.Doc()
      for (const part of log.slice(0, known)) applyEntry(doc, part, 'log')
      const sources = [...log.slice(known, known + 4), ...devices.map(device => Y.encodeStateAsUpdate(device))]
      for (let i = 0; i < 60; i++) {
        const [of = new Uint8Array(), other = new Uint8Array()] = [
          sources[roll(sources.length)],
          sources[roll(sources.length)]
        ]
        if (applied(mutated(of, other, roll), doc) === null) passed++
        else refused++
        state(doc)
        for (const root of doc.share.values()) root.toJSON()
      }
    }
    assert.ok(passed > 200 && refused > 200, `${passed} passed, ${refused} were refused`)
  }
)

against.run()
