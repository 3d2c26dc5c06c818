/** Heads: a relay knows its own word, and the running hash tells two logs apart. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { entryId, incarnation, logId } from '../../../packages/engine/src/bytes/ids.ts'
import {
  decodeHead,
  encodeHead,
  HEAD_BYTES,
  type Head,
  nextRunningHash,
  ownHead,
  RUNNING_HASH_START
} from '../../../packages/engine/src/log/head.ts'
import { crypto, decodedOrRefused, provesCodec, seededDice, text } from '../world.ts'

const test = suite('log/head')

const dice = seededDice(61)
const macKey = dice(32)
const head: Head = {
  log: logId(dice(32)),
  incarnation: incarnation(dice(16)),
  seq: 12,
  runningHash: dice(32),
  accessHead: entryId(dice(32)),
  timeMs: 1_700_000_000_000
}
const bytes = encodeHead(crypto, head, macKey)

test('a head comes back, and nothing shorter, longer or mutated breaks its reader', () => {
  assert.is(bytes.length, HEAD_BYTES)
  assert.is(text(decodeHead(bytes)), text(head))
  const reencode = (b: Uint8Array) =>
    Uint8Array.of(
      ...encodeHead(crypto, decodeHead(b), macKey).subarray(0, HEAD_BYTES - 32),
      ...b.subarray(HEAD_BYTES - 32)
    )
  provesCodec(
    bytes,
    b => ({ b, head: decodeHead(b) }),
    ({ b }) => reencode(b),
    10_000
  )
})

test('what a relay keeps of a head does not keep the frame that it came in', () => {
  const frame = new Uint8Array(100_000)
  frame.set(bytes, 500)
  const own = ownHead(crypto, frame.subarray(500, 500 + HEAD_BYTES), macKey)
  assert.is(own?.accessHead.buffer.byteLength, HEAD_BYTES)
})

test('a relay knows its own head and no other', () => {
  assert.is(text(ownHead(crypto, bytes, macKey)), text(head))
  assert.is(ownHead(crypto, bytes, dice(32)), null)
  for (let at = 0; at < HEAD_BYTES; at++) {
    const changed = bytes.slice()
    changed[at] = (changed[at] ?? 0) ^ 1
    const own = decodedOrRefused(() => ownHead(crypto, changed, macKey))
    assert.ok(own === null || own instanceof Error)
  }
})

test('the running hash depends on every id and on their order', () => {
  const [a, b] = [entryId(dice(32)), entryId(dice(32))]
  const run = (...ids: (typeof a)[]) =>
    ids.reduce((running, id) => nextRunningHash(crypto, running, id), RUNNING_HASH_START)
  assert.equal(run(a, b), run(a, b))
  assert.not.equal(run(a, b), run(b, a))
  assert.not.equal(run(a), run(a, a))
  assert.not.equal(run(a), RUNNING_HASH_START)
})

test.run()
