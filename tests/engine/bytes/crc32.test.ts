import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crc32 } from '../../../packages/engine/src/bytes/crc32.ts'

const test = suite('bytes/crc32')

test('it is the CRC-32 of IEEE 802.3, by its published check value', () => {
  assert.is(crc32(new TextEncoder().encode('123456789')), 0xcbf43926)
  assert.is(crc32(new Uint8Array(0)), 0)
})

test.run()
