/** Padding hides lengths in few steps and has one form for each content. */
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { pad, paddedBytes, unpad } from '../../../packages/engine/src/crypto/padding.ts'
import { equalBytes, known } from '../world.ts'

const test = suite('crypto/padding')

test('the steps are 64, 256, 1 Ki, 4 Ki, then every 4 Ki, length included', () => {
  for (const [content, padded] of [
    [0, 64],
    [1, 64],
    [60, 64],
    [61, 256],
    [252, 256],
    [253, 1024],
    [1020, 1024],
    [1021, 4096],
    [4092, 4096],
    [4093, 8192],
    [8188, 8192],
    [8189, 12288]
  ] as const) {
    assert.is(paddedBytes(content), padded)
    assert.is(pad(new Uint8Array(content)).length, padded)
  }
})

test('content comes back from its padding', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 9000, size: 'max' }), content => equalBytes(unpad(pad(content)), content))
  )
})

test('any other padding of a content is refused', () => {
  const padded = pad(Uint8Array.of(1, 2, 3))
  assert.is(unpad(padded.slice(0, 63)), null)
  assert.is(unpad(new Uint8Array([...padded, 0])), null)
  assert.is(unpad(new Uint8Array(256).fill(0, 0)), null)
  for (let at = 7; at < 64; at++) {
    const changed = padded.slice()
    changed[at] = 1
    assert.is(unpad(changed), null)
  }
  for (const length of [61, 64, 0xffff_ffff]) {
    const changed = padded.slice()
    new DataView(changed.buffer).setUint32(0, length)
    assert.is(unpad(changed), null)
  }
})

test('whatever is unpadded pads to the same bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.integer({ min: 0, max: 70 }), (bytes, length) => {
      const zeroed = bytes.slice().fill(0, Math.min(64, 4 + (length >> 1)))
      new DataView(zeroed.buffer).setUint32(0, length)
      for (const candidate of [bytes, zeroed]) {
        const content = unpad(candidate)
        if (content) equalBytes(pad(content), candidate)
      }
    })
  )
})

test('padded bytes inside a larger buffer are read at their own offset', () => {
  const whole = new Uint8Array(100)
  whole.set(pad(Uint8Array.of(7)), 9)
  equalBytes(known(unpad(whole.subarray(9, 73))), Uint8Array.of(7))
})

test.run()
