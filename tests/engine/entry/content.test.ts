/** Contents: sealed with the header as associated data, in one padding, within their bounds; covers in one order. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { deviceKeys } from '../../../packages/engine/src/access/keys.ts'
import { deviceId, entryId, hex, logId, SHARE_DOCUMENT } from '../../../packages/engine/src/bytes/ids.ts'
import { concat, Writer } from '../../../packages/engine/src/bytes/writer.ts'
import { pad, paddedBytes } from '../../../packages/engine/src/crypto/padding.ts'
import {
  type Cover,
  coversOf,
  openContent,
  sealSnapshot,
  sealUpdate
} from '../../../packages/engine/src/entry/content.ts'
import {
  decodeEntry,
  type Entry,
  encodeHeader,
  type Header,
  PAYLOAD_BYTES_MAX,
  signEntry
} from '../../../packages/engine/src/entry/entry.ts'
import { COVERS_MAX, SNAPSHOT_BYTES_MAX, UPDATE_BYTES_MAX } from '../../../packages/engine/src/limits.ts'
import { crypto, decodedOrRefused, equalBytes, mutate, seededDice, seededInts, throwsRefusal } from '../world.ts'

const test = suite('entry/content')

const dice = seededDice(31)
const device = deviceKeys(crypto, dice(32))
const keys = { dataKey: dice(32), secretKey: device.signing.secretKey }
const place: Omit<Header, 'kind'> = {
  log: logId(dice(32)),
  author: device.id,
  document: SHARE_DOCUMENT,
  ctr: 9,
  epoch: 1,
  accessHead: entryId(dice(32))
}
const cover = (author = dice(32), ctr = 4): Cover => ({ author: deviceId(author), ctr, id: entryId(dice(32)) })
const update = (content: Uint8Array) => sealUpdate(crypto, { ...place, kind: 'update' }, content, keys, dice)
const snapshot = (covers: readonly Cover[], content: Uint8Array) =>
  sealSnapshot(crypto, { ...place, kind: 'snapshot' }, covers, content, keys, dice)

/** A snapshot with these bytes for its payload. */
const withPayload = (payload: Uint8Array, kind: 'update' | 'snapshot' = 'snapshot'): Entry =>
  signEntry(crypto, { ...place, kind }, payload, keys.secretKey)

test('updates and snapshots of any length open to what was sealed', () => {
  for (const length of [0, 1, 60, 61, 252, 253, 1020, 1021, 4092, 4093, 10_000]) {
    const content = dice(length)
    const one = update(content)
    equalBytes(openContent(crypto, one, keys.dataKey), content)
    assert.is(one.payload.length, 40 + paddedBytes(length))
    assert.equal(coversOf(one), [])
    const many = snapshot([cover(), cover()], content)
    equalBytes(openContent(crypto, many, keys.dataKey), content)
    assert.is(coversOf(many).length, 2)
  }
})

test('an update of the most bytes is sealed and one more is our own bug', () => {
  const most = new Uint8Array(UPDATE_BYTES_MAX)
  assert.is(openContent(crypto, update(most), keys.dataKey).length, UPDATE_BYTES_MAX)
  assert.throws(
    () => update(new Uint8Array(UPDATE_BYTES_MAX + 1)),
    (error: unknown) => error instanceof RangeError
  )
})

test('a snapshot of the most bytes with the most covers is sealed and one more of either is our own bug', () => {
  const covers = Array.from({ length: COVERS_MAX }, () => cover())
  const most = snapshot(covers, new Uint8Array(SNAPSHOT_BYTES_MAX))
  assert.is(most.payload.length, PAYLOAD_BYTES_MAX.snapshot)
  assert.is(openContent(crypto, most, keys.dataKey).length, SNAPSHOT_BYTES_MAX)
  assert.is(coversOf(most).length, COVERS_MAX)
  const isRange = (error: unknown) => error instanceof RangeError
  assert.throws(() => snapshot([], new Uint8Array(SNAPSHOT_BYTES_MAX + 1)), isRange)
  assert.throws(() => snapshot([...covers, cover()], dice(3)), isRange)
})

test('a reader refuses an update over the most bytes that a hostile author sealed', () => {
  const sealedOf = (length: number) => {
    const header: Header = { ...place, kind: 'update' }
    const bytes = encodeHeader(header, 40 + paddedBytes(length))
    return withPayload(crypto.seal(keys.dataKey, pad(new Uint8Array(length)), bytes, dice), 'update')
  }
  assert.is(openContent(crypto, sealedOf(UPDATE_BYTES_MAX), keys.dataKey).length, UPDATE_BYTES_MAX)
  throwsRefusal(() => openContent(crypto, sealedOf(UPDATE_BYTES_MAX + 1), keys.dataKey), 'BAD_ENTRY')
})

test('a content opens under its own key and header only', () => {
  const one = update(dice(20))
  throwsRefusal(() => openContent(crypto, one, dice(32)), 'BAD_ENTRY')
  for (const over of [{ ctr: 10 }, { epoch: 2 }, { log: logId(dice(32)) }, { accessHead: entryId(dice(32)) }]) {
    const moved = signEntry(crypto, { ...place, kind: 'update', ...over }, one.payload, keys.secretKey)
    throwsRefusal(() => openContent(crypto, moved, keys.dataKey), 'BAD_ENTRY')
  }
})

test('the covers are associated data: a snapshot with others does not open', () => {
  const one = snapshot([cover()], dice(20))
  const other = new Writer().u16(1).bytes(dice(32)).u53(4).bytes(dice(32)).finish()
  const swapped = withPayload(concat(other, one.payload.subarray(other.length)))
  assert.is(coversOf(swapped).length, 1)
  throwsRefusal(() => openContent(crypto, swapped, keys.dataKey), 'BAD_ENTRY')
})

test('covers come back in the order of their device, whatever order they were given in', () => {
  const covers = Array.from({ length: 20 }, () => cover())
  const inOrder = [...covers].sort((a, b) => (hex(a.author) < hex(b.author) ? -1 : 1))
  assert.equal(
    coversOf(snapshot(covers, dice(3))).map(c => [hex(c.author), c.ctr, hex(c.id)]),
    inOrder.map(c => [hex(c.author), c.ctr, hex(c.id)])
  )
})

test('covers out of order, twice, of nothing or too many are refused', () => {
  const payload = (covers: readonly Cover[], count = covers.length) => {
    const w = new Writer().u16(count)
    for (const { author, ctr, id } of covers) w.bytes(author).u53(ctr).bytes(id)
    return w.bytes(dice(104)).finish()
  }
  const low = cover(new Uint8Array(32).fill(1))
  const high = cover(new Uint8Array(32).fill(2))
  assert.is(coversOf(withPayload(payload([low, high]))).length, 2)
  throwsRefusal(() => coversOf(withPayload(payload([high, low]))), 'BAD_ENTRY')
  throwsRefusal(() => coversOf(withPayload(payload([low, low]))), 'BAD_ENTRY')
  throwsRefusal(() => coversOf(withPayload(payload([cover(dice(32), 0)]))), 'BAD_ENTRY')
  throwsRefusal(() => coversOf(withPayload(payload([], COVERS_MAX + 1))), 'BAD_ENTRY')
  throwsRefusal(() => coversOf(withPayload(new Uint8Array(1))), 'BAD_ENTRY')
})

test('a content with other padding is refused after it opened', () => {
  const header: Header = { ...place, kind: 'update' }
  for (const padded of [new Uint8Array(64).fill(1), new Uint8Array(65), new Uint8Array(0), pad(dice(3)).fill(9, 60)]) {
    const bytes = encodeHeader(header, 40 + padded.length)
    const entry = withPayload(crypto.seal(keys.dataKey, padded, bytes, dice), 'update')
    throwsRefusal(() => openContent(crypto, entry, keys.dataKey), 'BAD_ENTRY')
  }
})

test('ten thousand mutated payloads open to nothing and throw nothing but a Refusal', () => {
  const int = seededInts(33)
  const one = snapshot([cover(), cover()], dice(100))
  for (let i = 0; i < 10_000; i++) {
    const payload = mutate(one.payload, int)
    if (hex(payload) === hex(one.payload)) continue
    const bytes = concat(encodeHeader({ ...place, kind: 'snapshot' }, payload.length), payload, new Uint8Array(64))
    const entry = decodeEntry(crypto, bytes)
    decodedOrRefused(() => coversOf(entry))
    throwsRefusal(() => openContent(crypto, entry, keys.dataKey), 'BAD_ENTRY')
  }
})

test.run()
