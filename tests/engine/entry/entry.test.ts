/** Entries: one encoding, a signature over all of it, and typed refusals for everything else. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { deviceKeys } from '../../../packages/engine/src/access/keys.ts'
import { entryId, logId, NO_DOCUMENT, SHARE_DOCUMENT } from '../../../packages/engine/src/bytes/ids.ts'
import {
  decodeEntry,
  ENTRY_BYTES_MIN,
  type Entry,
  encodeHeader,
  HEADER_BYTES,
  type Header,
  KINDS,
  PAYLOAD_BYTES_MAX,
  signEntry,
  verifyEntry
} from '../../../packages/engine/src/entry/entry.ts'
import { Refusal } from '../../../packages/engine/src/refusal.ts'
import {
  crypto,
  decodedOrRefused,
  equalBytes,
  mutate,
  provesCodec,
  seededDice,
  seededInts,
  throwsRefusal
} from '../world.ts'

const test = suite('entry/entry')

const dice = seededDice(21)
const device = deviceKeys(crypto, dice(32))
const data: Header = {
  kind: 'update',
  log: logId(dice(32)),
  author: device.id,
  document: SHARE_DOCUMENT,
  ctr: 7,
  epoch: 3,
  accessHead: entryId(dice(32))
}
const access: Header = { ...data, kind: 'access', document: NO_DOCUMENT, ctr: 0, epoch: 0 }
const sign = (header: Header, payload: Uint8Array): Entry =>
  signEntry(crypto, header, payload, device.signing.secretKey)
const samples = [
  sign(data, dice(90)),
  sign(access, dice(5)),
  sign({ ...data, kind: 'snapshot' }, dice(200)),
  sign({ ...data, kind: 'drop' }, new Uint8Array(0))
]
const decode = (bytes: Uint8Array) => decodeEntry(crypto, bytes)

/** From the fields alone, so that it shows what decoding kept. */
const encode = (e: Entry) => Uint8Array.of(...encodeHeader(e, e.payload.length), ...e.payload, ...e.signature)

/** An entry with these bytes at this place of its header, signature and all else as it was. */
function patched(at: number, ...bytes: number[]): Uint8Array {
  const changed = samples[0]?.bytes.slice() ?? new Uint8Array(0)
  changed.set(bytes, at)
  return changed
}

test('an entry of every kind comes back, and nothing shorter, longer or mutated breaks the decoder', () => {
  for (const [i, sample] of samples.entries()) provesCodec(sample.bytes, decode, encode, 3000, i)
})

test('the header is 132 bytes and its parts are views of the entry', () => {
  assert.is(HEADER_BYTES, encodeHeader(data, 0).length)
  assert.is(ENTRY_BYTES_MIN, 196)
  for (const { bytes, header, payload, signature } of samples) {
    assert.is(bytes.length, ENTRY_BYTES_MIN + payload.length)
    equalBytes(Uint8Array.of(...header, ...payload, ...signature), bytes)
    assert.is(payload.buffer, bytes.buffer)
  }
})

test('versions but 1, kinds but 1 to 4 and flags but 0 are refused by name', () => {
  for (const version of [0, 2, 255]) throwsRefusal(() => decode(patched(0, version)), 'UNKNOWN_VERSION')
  for (const kind of [0, 5, 255]) throwsRefusal(() => decode(patched(1, kind)), 'UNKNOWN_KIND')
  for (const flags of [
    [0, 1],
    [1, 0],
    [255, 255]
  ])
    throwsRefusal(() => decode(patched(2, ...flags)), 'BAD_FLAGS')
})

test('a payload of a kind’s most bytes is read and one more is refused', () => {
  for (const kind of ['update', 'drop', 'access'] as const) {
    const header = kind === 'access' ? access : { ...data, kind }
    assert.is(sign(header, new Uint8Array(PAYLOAD_BYTES_MAX[kind])).payload.length, PAYLOAD_BYTES_MAX[kind])
    throwsRefusal(() => sign(header, new Uint8Array(PAYLOAD_BYTES_MAX[kind] + 1)), 'ENTRY_TOO_BIG')
  }
  const big = Uint8Array.of(...encodeHeader({ ...data, kind: 'snapshot' }, PAYLOAD_BYTES_MAX.snapshot + 1))
  throwsRefusal(() => decode(big), 'ENTRY_TOO_BIG')
  throwsRefusal(
    () => decode(Uint8Array.of(...encodeHeader({ ...data, kind: 'snapshot' }, PAYLOAD_BYTES_MAX.snapshot))),
    'BAD_ENTRY'
  )
})

test('access entries have document, ctr and epoch zero, data entries none of them', () => {
  for (const over of [{ document: SHARE_DOCUMENT }, { ctr: 1 }, { epoch: 1 }]) {
    throwsRefusal(() => sign({ ...access, ...over }, dice(3)), 'BAD_ENTRY')
  }
  for (const over of [{ document: NO_DOCUMENT }, { ctr: 0 }, { epoch: 0 }]) {
    throwsRefusal(() => sign({ ...data, ...over }, dice(3)), 'BAD_ENTRY')
  }
})

test('a ctr of 2^53 − 1 is read and a higher one is refused', () => {
  assert.is(sign({ ...data, ctr: Number.MAX_SAFE_INTEGER }, dice(3)).ctr, Number.MAX_SAFE_INTEGER)
  throwsRefusal(() => decode(patched(84, 0, 0x20, 0, 0, 0, 0, 0, 0)), 'BAD_ENTRY')
})

test('no change of any bit passes as the author’s, nor as that of another', () => {
  for (const { bytes, id } of samples.slice(0, 2)) {
    assert.ok(verifyEntry(crypto, decode(bytes)))
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice()
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const entry = decodedOrRefused(() => decode(changed))
      if (entry instanceof Refusal) continue
      assert.not.equal(entry.id, id)
      assert.not(verifyEntry(crypto, entry))
    }
  }
})

test('ten thousand random mutations of an entry are refused or fail its signature', () => {
  const int = seededInts(22)
  const sample = samples[0]?.bytes ?? new Uint8Array(0)
  for (let i = 0; i < 10_000; i++) {
    const mutant = mutate(sample, int)
    const entry = decodedOrRefused(() => decode(mutant))
    if (entry instanceof Refusal || Buffer.compare(mutant, sample) === 0) continue
    assert.not(verifyEntry(crypto, entry))
  }
})

test('two entries with different bytes have different ids, even if only the signature differs', () => {
  const [one] = samples
  const resigned = decode(patched((one?.bytes.length ?? 0) - 64, ...dice(64)))
  assert.not.equal(resigned.id, one?.id)
  equalBytes(resigned.payloadHash, one?.payloadHash ?? null)
})

test('an entry signed with the key of another is not its author’s', () => {
  const other = deviceKeys(crypto, dice(32))
  const entry = signEntry(crypto, data, dice(9), other.signing.secretKey)
  assert.not(verifyEntry(crypto, entry))
})

test('an entry inside a larger buffer reads the same', () => {
  const bytes = samples[0]?.bytes ?? new Uint8Array(0)
  const whole = Uint8Array.of(1, 2, 3, ...bytes, 4)
  const entry = decode(whole.subarray(3, 3 + bytes.length))
  equalBytes(entry.id, samples[0]?.id ?? null)
  assert.ok(verifyEntry(crypto, entry))
})

test('the kinds are numbered 1 to 4', () => {
  assert.equal(KINDS, { access: 1, update: 2, snapshot: 3, drop: 4 })
})

test.run()
