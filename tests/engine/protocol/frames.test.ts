/** Frames: every type comes back, bounds have both sides, and hostile bytes end in a Refusal. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { deviceId, entryId, incarnation, inviteId, logId } from '../../../packages/engine/src/bytes/ids.ts'
import { PAYLOAD_BYTES_MAX } from '../../../packages/engine/src/entry/entry.ts'
import {
  FRAME_BYTES_MAX,
  FRAME_ENTRIES_MAX,
  PROOF_ENTRIES_MAX,
  REQUEST_ENTRIES_MAX,
  SENTENCE_BYTES_MAX,
  SNAPSHOT_BYTES_MAX
} from '../../../packages/engine/src/limits.ts'
import { HEAD_BYTES } from '../../../packages/engine/src/log/head.ts'
import {
  decodeFrame,
  encodeFrame,
  FRAME_NUMBERS,
  type Frame,
  STANDINGS
} from '../../../packages/engine/src/protocol/frames.ts'
import { RECEIPT_REASONS } from '../../../packages/engine/src/protocol/receipt.ts'
import { REFUSALS, type RefusalCode } from '../../../packages/engine/src/refusal.ts'
import { known, provesCodec, seededDice, text, throwsRefusal } from '../world.ts'

const test = suite('protocol/frames')

const dice = seededDice(71)
const log = logId(dice(32))
const life = incarnation(dice(16))
const head = dice(HEAD_BYTES)
const id = entryId(dice(32))
const device = deviceId(dice(32))
const receipt = { device, accessHead: id, reason: 'removed', timeMs: 5, signature: dice(64) } as const
const follow = { type: 'follow', log, cursor: null, head: null, invite: null, accountProof: [] } as const
const refused = {
  type: 'refused',
  log: null,
  entry: null,
  code: 'BAD_FRAME',
  retryAfterMs: null,
  sentence: '',
  top: null
} as const

const frames: Frame[] = [
  { type: 'hello', nonce: dice(32) },
  { type: 'greeting', relayKey: dice(32), nonce: dice(32), timeMs: 7, signature: dice(64) },
  { type: 'prove', device, signature: dice(64) },
  { type: 'welcome', timeMs: Number.MAX_SAFE_INTEGER },
  follow,
  {
    ...follow,
    cursor: { incarnation: life, seq: 9 },
    head,
    invite: { id: inviteId(dice(32)), signature: dice(64) },
    accountProof: [dice(3), dice(0)]
  },
  { type: 'following', log, standing: 'member', incarnation: life, from: 0, entriesTotal: 3, bytesTotal: 999, head },
  { type: 'unfollow', log },
  { type: 'entries', log, incarnation: life, upTo: 4, head, entries: [] },
  {
    type: 'entries',
    log,
    incarnation: life,
    upTo: 4,
    head,
    entries: [
      { seq: 3, timeMs: 1, bytes: dice(200) },
      { seq: 4, timeMs: 2, bytes: dice(0) }
    ]
  },
  { type: 'append', log, incarnation: life, entries: [dice(10), dice(20)] },
  { type: 'ack', log, head, ids: [id, entryId(dice(32))] },
  { type: 'offer', log, incarnation: life, entries: [dice(10)] },
  { type: 'ready', log, incarnation: life },
  refused,
  { ...refused, log, code: 'NO_ACCESS', retryAfterMs: 100, sentence: 'geht nicht: é' },
  { ...refused, log, entry: id, code: 'CTR_GAP', sentence: 'no', top: { ctr: 3, id } },
  { type: 'receipts', log, receipts: [receipt, { ...receipt, reason: 'signed-out' }] },
  { type: 'receipts-stored', log, devices: [device] },
  { type: 'ping' },
  { type: 'pong', timeMs: 0 }
]

const passes = (frame: Frame) => assert.is(text(decodeFrame(encodeFrame(frame))), text(frame))
const badly = (frame: Frame) => throwsRefusal(() => decodeFrame(encodeFrame(frame)), 'BAD_FRAME')

test('there is a sample of every frame', () => {
  assert.equal(new Set(frames.map(frame => frame.type)), new Set(Object.keys(FRAME_NUMBERS)))
})

test('every frame comes back, and nothing shorter, longer or mutated breaks the decoder', () => {
  for (const [i, frame] of frames.entries()) {
    passes(frame)
    assert.is(encodeFrame(frame)[0], FRAME_NUMBERS[frame.type])
    provesCodec(encodeFrame(frame), decodeFrame, encodeFrame, 1000, i)
  }
})

test('types without a frame are refused by name, ephemeral ones too', () => {
  for (const number of [0, 18, 31, 32, 47, 255])
    throwsRefusal(() => decodeFrame(Uint8Array.of(number)), 'UNKNOWN_FRAME')
  throwsRefusal(() => decodeFrame(new Uint8Array(0)), 'BAD_FRAME')
})

test('a protocol version but 1 is refused by name', () => {
  for (const at of [0, 1]) {
    const bytes = encodeFrame(known(frames[at]))
    bytes[1] = 2
    throwsRefusal(() => decodeFrame(bytes), 'UNKNOWN_VERSION')
  }
})

test('a frame of the most bytes is read and one more is refused before it is looked at', () => {
  const bytes = encodeFrame({ type: 'append', log, incarnation: life, entries: [dice(100)] })
  decodeFrame(bytes, bytes.length)
  throwsRefusal(() => decodeFrame(bytes, bytes.length - 1), 'FRAME_TOO_BIG')
  throwsRefusal(() => decodeFrame(new Uint8Array(FRAME_BYTES_MAX + 1)), 'FRAME_TOO_BIG')
  throwsRefusal(() => decodeFrame(new Uint8Array(FRAME_BYTES_MAX)), 'UNKNOWN_FRAME')
})

test('the largest entry fits a frame, both ways', () => {
  const bytes = new Uint8Array(PAYLOAD_BYTES_MAX.snapshot + 196)
  assert.ok(bytes.length > SNAPSHOT_BYTES_MAX)
  for (const frame of [
    { type: 'append', log, incarnation: life, entries: [bytes] },
    { type: 'entries', log, incarnation: life, upTo: 1, head, entries: [{ seq: 1, timeMs: 1, bytes }] }
  ] as const) {
    assert.ok(encodeFrame(frame).length <= FRAME_BYTES_MAX)
    assert.is(decodeFrame(encodeFrame(frame)).type, frame.type)
  }
})

test('lists and sentences take their bound and refuse one more', () => {
  const many = (n: number) => Array.from({ length: n }, () => new Uint8Array(1))
  passes({ type: 'append', log, incarnation: life, entries: many(REQUEST_ENTRIES_MAX) })
  passes({ type: 'offer', log, incarnation: life, entries: many(REQUEST_ENTRIES_MAX) })
  badly({ type: 'append', log, incarnation: life, entries: many(REQUEST_ENTRIES_MAX + 1) })
  badly({ type: 'offer', log, incarnation: life, entries: many(REQUEST_ENTRIES_MAX + 1) })
  badly({ type: 'ack', log, head, ids: Array.from({ length: FRAME_ENTRIES_MAX + 1 }, () => id) })
  passes({ ...follow, accountProof: many(PROOF_ENTRIES_MAX) })
  badly({ ...follow, accountProof: many(PROOF_ENTRIES_MAX + 1) })
  passes({ type: 'receipts', log, receipts: Array.from({ length: 1024 }, () => receipt) })
  badly({ type: 'receipts', log, receipts: Array.from({ length: 1025 }, () => receipt) })
  passes({ ...refused, sentence: 'x'.repeat(SENTENCE_BYTES_MAX) })
  badly({ ...refused, sentence: 'x'.repeat(SENTENCE_BYTES_MAX + 1) })
})

test('every refusal, standing and receipt reason travels, and unknown numbers are refused', () => {
  for (const code of Object.keys(REFUSALS) as RefusalCode[]) passes({ ...refused, code })
  for (const standing of Object.keys(STANDINGS) as (keyof typeof STANDINGS)[]) {
    passes({ type: 'following', log, standing, incarnation: life, from: 0, entriesTotal: 0, bytesTotal: 0, head })
  }
  for (const reason of Object.keys(RECEIPT_REASONS) as (keyof typeof RECEIPT_REASONS)[]) {
    passes({ type: 'receipts', log, receipts: [{ ...receipt, reason }] })
  }
  const at = (frame: Frame, offset: number, value: number) => {
    const bytes = encodeFrame(frame)
    bytes[offset] = value
    throwsRefusal(() => decodeFrame(bytes), 'BAD_FRAME')
  }
  at(refused, 3, 0)
  at(refused, 3, 255)
  at(known(frames[6]), 33, 0)
  at(known(frames[6]), 33, 6)
  at({ type: 'receipts', log, receipts: [receipt] }, 37 + 64, 7)
})

test('a refused entry names its log', () => {
  badly({ ...refused, entry: id })
  passes({ ...refused, entry: id, log })
})

test('refusal numbers are their own', () => {
  const numbers = Object.values(REFUSALS).map(([number]) => number)
  assert.is(new Set(numbers).size, numbers.length)
  assert.ok(numbers.every(number => number > 0 && number < 256))
})

test.run()
