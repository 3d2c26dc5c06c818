/** Statements: one encoding each, bounded lists, and nothing but BAD_STATEMENT for the rest. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  decodeStatement,
  encodeStatement,
  KEY_BOX_BYTES,
  PREVIOUS_BYTES,
  type Seal,
  STATEMENT_NUMBERS,
  type Statement
} from '../../../packages/engine/src/access/statement.ts'
import { accountId, inviteId } from '../../../packages/engine/src/bytes/ids.ts'
import { SEALED_BYTES } from '../../../packages/engine/src/crypto/suite.ts'
import {
  EARLIER_KEYS_MAX,
  INVITE_USES_MAX,
  INVITES_MAX,
  LEASE_MS_MAX,
  LEASE_MS_MIN,
  MEMBERS_MAX,
  PROOF_ENTRIES_MAX
} from '../../../packages/engine/src/limits.ts'
import { equalBytes, everyStatement, known, provesCodec, seededDice, text, throwsRefusal } from '../world.ts'

const test = suite('access/statement')

const dice = seededDice(41)
const statements = everyStatement(dice)

/** Encoded, then decoded, with other values than the type's bounds allow. */
const passes = (s: Statement) => assert.is(text(decodeStatement(encodeStatement(s))), text(s))
const refused = (s: Statement) => throwsRefusal(() => decodeStatement(encodeStatement(s)), 'BAD_STATEMENT')

function sample<T extends Statement['type']>(type: T): Statement & { type: T } {
  return known(statements.find((s): s is Statement & { type: T } => s.type === type))
}

test('there is a sample of every type, with and without each optional part', () => {
  assert.equal(new Set(statements.map(s => s.type)), new Set(Object.keys(STATEMENT_NUMBERS)))
})

test('every statement comes back, and nothing shorter, longer or mutated breaks the decoder', () => {
  for (const [i, s] of statements.entries()) {
    passes(s)
    provesCodec(encodeStatement(s), decodeStatement, encodeStatement, 800, i)
  }
})

test('the first byte is the statement’s number, and numbers without a statement are refused', () => {
  for (const s of statements) assert.is(encodeStatement(s)[0], STATEMENT_NUMBERS[s.type])
  for (const number of [0, 15, 255]) {
    throwsRefusal(() => decodeStatement(Uint8Array.of(number)), 'BAD_STATEMENT')
  }
  throwsRefusal(() => decodeStatement(new Uint8Array(0)), 'BAD_STATEMENT')
})

test('a lease has its bounds', () => {
  for (const leaseMs of [LEASE_MS_MIN, LEASE_MS_MAX, null]) passes({ type: 'lease', leaseMs })
  for (const leaseMs of [0, LEASE_MS_MIN - 1, LEASE_MS_MAX + 1]) {
    refused({ type: 'lease', leaseMs })
    refused({ ...sample('create-share'), leaseMs })
  }
})

test('an invite has one use to a million', () => {
  for (const uses of [1, INVITE_USES_MAX]) passes({ ...sample('invite'), uses })
  for (const uses of [0, INVITE_USES_MAX + 1]) refused({ ...sample('invite'), uses })
})

test('seals stand in order of their recipient, each once', () => {
  const seal = (n: number): Seal => ({ to: new Uint8Array(32).fill(n), box: dice(KEY_BOX_BYTES) })
  const s = sample('remove-members')
  const [one, two] = [seal(1), seal(2)]
  equalBytes(encodeStatement({ ...s, seals: [two, one] }), encodeStatement({ ...s, seals: [one, two] }))
  refused({ ...s, seals: [one, one] })
  const bytes = encodeStatement({ ...s, seals: [one, two] })
  const swapped = bytes.slice()
  const at = bytes.length - PREVIOUS_BYTES - 2 * (32 + KEY_BOX_BYTES)
  swapped.set(bytes.subarray(at + 32 + KEY_BOX_BYTES, at + 2 * (32 + KEY_BOX_BYTES)), at)
  swapped.set(bytes.subarray(at, at + 32 + KEY_BOX_BYTES), at + 32 + KEY_BOX_BYTES)
  throwsRefusal(() => decodeStatement(swapped), 'BAD_STATEMENT')
})

test('lists take their bound and refuse one more', () => {
  const ids = (n: number) =>
    Array.from({ length: n }, (_, i) => accountId(Uint8Array.of(i >> 8, i & 255, ...new Uint8Array(30))))
  const seals = (n: number) => ids(n).map(to => ({ to, box: new Uint8Array(KEY_BOX_BYTES) }))
  const s = sample('remove-members')
  passes({ ...s, who: ids(MEMBERS_MAX) })
  refused({ ...s, who: ids(MEMBERS_MAX + 1) })
  passes({ ...s, seals: seals(MEMBERS_MAX + INVITES_MAX + 1) })
  refused({ ...s, seals: seals(MEMBERS_MAX + INVITES_MAX + 2) })
  const entries = (n: number) => Array.from({ length: n }, () => new Uint8Array(1))
  passes({ ...sample('account'), entries: entries(PROOF_ENTRIES_MAX) })
  refused({ ...sample('account'), entries: entries(PROOF_ENTRIES_MAX + 1) })
})

test('sealed names and previews have their bounds', () => {
  passes({ ...sample('join-share'), name: new Uint8Array(40 + 256) })
  refused({ ...sample('join-share'), name: new Uint8Array(40 + 257) })
  passes({ ...sample('invite'), preview: new Uint8Array(40 + 4096) })
  refused({ ...sample('invite'), preview: new Uint8Array(40 + 4097) })
})

test('a reset has a number under 2^53 and the keys of a bounded number of epochs', () => {
  const s = sample('reset')
  for (const number of [0, Number.MAX_SAFE_INTEGER]) passes({ ...s, number })
  const over = encodeStatement(s)
  over[2] = 0x20
  throwsRefusal(() => decodeStatement(over), 'BAD_STATEMENT')
  for (const epoch of [0, 2 ** 32 - 1]) passes({ ...s, epoch })
  const bytes = SEALED_BYTES + 36 * EARLIER_KEYS_MAX
  for (const length of [0, bytes]) passes({ ...s, earlier: new Uint8Array(length) })
  refused({ ...s, earlier: new Uint8Array(bytes + 1) })
})

test('reasons beyond the last are refused', () => {
  const bytes = encodeStatement({ ...sample('remove-members'), who: [] })
  for (const reason of [0, 4]) {
    bytes[5] = reason
    decodeStatement(bytes)
  }
  for (const reason of [5, 255]) {
    bytes[5] = reason
    throwsRefusal(() => decodeStatement(bytes), 'BAD_STATEMENT')
  }
})

test('optional parts take 0 and 1 for their flag and nothing else', () => {
  const bytes = encodeStatement({ type: 'void', invite: inviteId(dice(32)) })
  assert.is(bytes.length, 33)
  const until = encodeStatement({ type: 'until', member: accountId(dice(32)), untilMs: null })
  until[33] = 2
  throwsRefusal(() => decodeStatement(until), 'BAD_STATEMENT')
})

test.run()
