/** Receipts: a device's own word about one log, which nobody else can give. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { deviceKeys } from '../../../packages/engine/src/access/keys.ts'
import { entryId, logId } from '../../../packages/engine/src/bytes/ids.ts'
import { Reader } from '../../../packages/engine/src/bytes/reader.ts'
import { Writer } from '../../../packages/engine/src/bytes/writer.ts'
import {
  RECEIPT_REASONS,
  type Receipt,
  readReceipt,
  signReceipt,
  verifyReceipt,
  writeReceipt
} from '../../../packages/engine/src/protocol/receipt.ts'
import { crypto, provesCodec, seededDice, text } from '../world.ts'

const test = suite('protocol/receipt')

const dice = seededDice(91)
const device = deviceKeys(crypto, dice(32))
const log = logId(dice(32))
const unsigned = { device: device.id, accessHead: entryId(dice(32)), reason: 'removed', timeMs: 1000 } as const
const receipt = signReceipt(crypto, log, unsigned, device.signing.secretKey)

const encode = (r: Receipt) => {
  const w = new Writer()
  writeReceipt(w, r)
  return w.finish()
}
const decode = (bytes: Uint8Array) => {
  const r = new Reader(bytes, 'BAD_FRAME', 'receipt')
  const read = readReceipt(r)
  r.end()
  return read
}

test('a receipt of every reason comes back, and nothing shorter, longer or mutated breaks its reader', () => {
  for (const reason of Object.keys(RECEIPT_REASONS) as (keyof typeof RECEIPT_REASONS)[]) {
    assert.is(text(decode(encode({ ...receipt, reason }))), text({ ...receipt, reason }))
  }
  provesCodec(encode(receipt), decode, encode, 10_000)
})

test('a receipt is good for its log and as it was signed', () => {
  assert.ok(verifyReceipt(crypto, log, receipt))
  assert.not(verifyReceipt(crypto, logId(dice(32)), receipt))
  for (const over of [
    { device: deviceKeys(crypto, dice(32)).id },
    { accessHead: entryId(dice(32)) },
    { reason: 'left' },
    { timeMs: 1001 },
    { signature: dice(64) }
  ] as const) {
    assert.not(verifyReceipt(crypto, log, { ...receipt, ...over }))
  }
})

test.run()
