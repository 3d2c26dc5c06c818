/** Ids: fixed lengths, their hexadecimal form, and when two are the same. */
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  accountId,
  deviceId,
  documentId,
  entryId,
  hex,
  incarnation,
  inviteId,
  logId,
  NO_DOCUMENT,
  SHARE_DOCUMENT,
  same,
  short
} from '../../../packages/engine/src/bytes/ids.ts'

const test = suite('bytes/ids')

test('an id of another length is our own bug', () => {
  for (const [make, length] of [
    [accountId, 32],
    [deviceId, 32],
    [logId, 32],
    [documentId, 16],
    [entryId, 32],
    [inviteId, 32],
    [incarnation, 16]
  ] as const) {
    assert.is(make(new Uint8Array(length)).length, length)
    for (const wrong of [0, length - 1, length + 1]) {
      assert.throws(
        () => make(new Uint8Array(wrong)),
        (error: unknown) => error instanceof RangeError
      )
    }
  }
})

test('the two fixed document ids are zero and one', () => {
  assert.is(hex(NO_DOCUMENT), '00000000000000000000000000000000')
  assert.is(hex(SHARE_DOCUMENT), '00000000000000000000000000000001')
})

test('hexadecimal is lower case with two digits a byte, and short is its first eight', () => {
  fc.assert(fc.property(fc.uint8Array(), bytes => assert.is(hex(bytes), Buffer.from(bytes).toString('hex'))))
  const every = Uint8Array.from({ length: 256 * 4096 }, (_, i) => i)
  assert.is(hex(every), Buffer.from(every).toString('hex'), 'however many')
  assert.is(short(SHARE_DOCUMENT), '00000000')
  assert.is(short(Uint8Array.of(0xab, 1, 2, 3, 4)), 'ab010203')
})

test('two ids are the same when all bytes are', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
      assert.is(same(a, b), Buffer.compare(a, b) === 0)
      assert.ok(same(a, Uint8Array.from(a)))
    })
  )
  assert.not(same(Uint8Array.of(1), Uint8Array.of(1, 0)))
})

test.run()
