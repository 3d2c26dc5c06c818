/** The library's list: whose devices there are, proved by its entries alone. Each rule with both sides. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Invite } from '../../../packages/engine/src/access/invite.ts'
import { addInvite, close } from '../../../packages/engine/src/access/invites.ts'
import { deviceKeys } from '../../../packages/engine/src/access/keys.ts'
import { authorLibrary } from '../../../packages/engine/src/access/library-authoring.ts'
import { copyLibrary, foldLibrary } from '../../../packages/engine/src/access/library-list.ts'
import { decodeStatement } from '../../../packages/engine/src/access/statement.ts'
import { entryId, hex, logId } from '../../../packages/engine/src/bytes/ids.ts'
import { type Entry, signEntry } from '../../../packages/engine/src/entry/entry.ts'
import {
  INVITES_MAX,
  LIBRARY_BYTES_MAX,
  LIBRARY_ENTRIES_MAX,
  PROOF_BYTES_MAX,
  PROOF_ENTRIES_MAX
} from '../../../packages/engine/src/limits.ts'
import { Refusal } from '../../../packages/engine/src/refusal.ts'
import { Account, crypto, HOUR_MS, known, Scribe, Share, seededDice, statementOf } from '../world.ts'

const test = suite('access/library-list')

const JUDGE = { timeMs: null, signatures: true } as const

test('create makes the first device, at the log of the root key only', () => {
  const dice = seededDice(1)
  const account = new Account(dice)
  assert.equal([...account.library.devices.keys()], [hex(account.device.id)])
  assert.is(hex(account.library.account), hex(account.scribe.log))
  const other = new Scribe(logId(dice(32)), dice)
  const o = { log: other.log, entropy: account.entropy, device: account.device, epochKey: dice(32), name: 'x' }
  const statement = authorLibrary(crypto, o, dice)
  other.refuses(other.access(account.device, statement), 'FOREIGN_LOG')
})

test('create by a device that the root key has not signed is refused', () => {
  const dice = seededDice(2)
  const account = new Account(dice)
  const thief = deviceKeys(crypto, dice(32))
  const o = { log: account.scribe.log, entropy: account.entropy, device: account.device, epochKey: dice(32), name: 'x' }
  const statement = authorLibrary(crypto, o, dice)
  const fresh = new Scribe(account.scribe.log, dice)
  fresh.refuses(fresh.access(thief, statement), 'BAD_PROOF')
  fresh.refuses(fresh.access(account.device, { ...statement, deviceSealingKey: dice(32) }), 'BAD_PROOF')
  fresh.refuses(fresh.access(account.device, { ...statement, rootKey: dice(32) }), 'FOREIGN_LOG')
  fresh.refuses(fresh.access(account.device, statement, { accessHead: entryId(dice(32)) }), 'ACCESS_CONFLICT')
  fresh.refuses(fresh.access(account.device, { type: 'leave' }), 'NO_LOG')
  fresh.take(fresh.access(account.device, statement))
  fresh.refuses(fresh.access(account.device, statement), 'LOG_EXISTS')
})

test('an entry that its author has not signed is refused last', () => {
  const dice = seededDice(3)
  const account = new Account(dice)
  const { entry } = account.invite()
  const thief = deviceKeys(crypto, dice(32))
  account.scribe.refuses(signEntry(crypto, entry, entry.payload, thief.signing.secretKey), 'BAD_SIGNATURE')
  account.scribe.take(entry)
})

test('a device joins by an invite’s proof for itself, this account and this head', () => {
  const dice = seededDice(4)
  const account = new Account(dice)
  const other = new Account(dice)
  const device = deviceKeys(crypto, dice(32))
  const { keys, entry } = account.invite({ uses: 2 })
  account.scribe.refuses(account.join(keys, device), 'INVITE_UNKNOWN')
  account.scribe.take(entry)
  const sign = (...parts: Uint8Array[]) => crypto.sign(keys.signing.secretKey, 'join', ...parts)
  const { log, head } = account.scribe
  for (const proof of [
    dice(64),
    sign(other.scribe.log, account.id, device.id, head),
    sign(log, other.id, device.id, head),
    sign(log, account.id, account.device.id, head),
    sign(log, account.id, device.id, dice(32))
  ]) {
    account.scribe.refuses(account.join(keys, device, { proof }), 'BAD_PROOF')
  }
  account.scribe.take(account.join(keys, device))
  assert.ok(account.library.devices.has(hex(device.id)))
  account.scribe.refuses(account.join(keys, device), 'KNOWN_DEVICE')
})

test('a device invite is used up, expires exactly at its time, and can be voided', () => {
  const dice = seededDice(5)
  const account = new Account(dice)
  const fresh = () => deviceKeys(crypto, dice(32))
  const once = account.invite()
  account.scribe.take(once.entry)
  account.scribe.take(account.join(once.keys, fresh()))
  account.scribe.refuses(account.join(once.keys, fresh()), 'INVITE_USED')
  const timed = account.invite({ expiresMs: account.scribe.timeMs + HOUR_MS, uses: 2 })
  account.scribe.take(timed.entry)
  account.scribe.timeMs += HOUR_MS - 1
  account.scribe.take(account.join(timed.keys, fresh()))
  account.scribe.timeMs++
  account.scribe.refuses(account.join(timed.keys, fresh()), 'INVITE_EXPIRED')
  const dead = account.invite()
  account.scribe.take(dead.entry)
  account.scribe.take(account.scribe.access(account.device, { type: 'void', invite: dead.keys.id }))
  account.scribe.refuses(account.join(dead.keys, fresh()), 'INVITE_VOID')
  account.scribe.refuses(account.scribe.access(account.device, { type: 'void', invite: dead.keys.id }), 'INVITE_VOID')
  assert.ok(account.library.rotationDue)
  account.scribe.refuses(
    account.scribe.access(account.device, { type: 'void', invite: account.invite().keys.id }),
    'INVITE_UNKNOWN'
  )
})

test('a device that left or was removed writes no more and joins no more', () => {
  const account = new Account(seededDice(6))
  const second = account.addDevice()
  const third = account.addDevice()
  account.scribe.take(account.scribe.access(second, { type: 'leave' }))
  account.devices.splice(1, 1)
  assert.ok(account.library.rotationDue)
  assert.is(account.library.gone.get(hex(second.id))?.reason, 'left')
  account.remove([third], 'cloned')
  assert.is(account.library.gone.get(hex(third.id))?.reason, 'cloned')
  assert.not(account.library.rotationDue)
  for (const gone of [second, third]) {
    account.scribe.refuses(account.scribe.access(gone, { type: 'leave' }), 'NOT_OWNER')
    const { keys, entry } = account.invite()
    account.scribe.take(entry)
    account.scribe.refuses(account.join(keys, gone), 'KNOWN_DEVICE')
  }
})

test('a removal starts an epoch with a new sealing key and voids every open invite', () => {
  const account = new Account(seededDice(7))
  const second = account.addDevice()
  const { keys, entry } = account.invite()
  account.scribe.take(entry)
  const before = copyLibrary(account.library)
  account.remove([second])
  assert.is(account.library.epoch, before.epoch + 1)
  assert.not.equal(account.library.sealingKey, before.sealingKey)
  assert.is(account.library.invites.get(hex(keys.id))?.state, 'void')
})

test('a removal has a seal for each device that remains and for nobody else', () => {
  const dice = seededDice(8)
  const account = new Account(dice)
  const second = account.addDevice()
  const third = account.addDevice()
  const { statement } = account.removal([third], 'removed')
  const write = (over: Partial<typeof statement>) => account.scribe.access(account.device, { ...statement, ...over })
  const [one, two] = statement.seals
  account.scribe.refuses(write({ seals: [known(one)] }), 'ROTATE_INCOMPLETE')
  account.scribe.refuses(write({ seals: [known(two)] }), 'ROTATE_INCOMPLETE')
  account.scribe.refuses(write({ seals: [] }), 'ROTATE_INCOMPLETE')
  account.scribe.refuses(write({ seals: [...statement.seals, { to: third.id, box: dice(80) }] }), 'ROTATE_INCOMPLETE')
  account.scribe.refuses(write({ seals: [...statement.seals, { to: dice(32), box: dice(80) }] }), 'ROTATE_INCOMPLETE')
  account.scribe.refuses(write({ who: [third.id, third.id] }), 'BAD_STATEMENT')
  account.scribe.refuses(write({ who: [deviceKeys(crypto, dice(32)).id] }), 'NOT_DEVICE')
  account.scribe.refuses(write({ reason: 'rotation' }), 'BAD_STATEMENT')
  account.scribe.refuses(write({ who: [], reason: 'removed' }), 'BAD_STATEMENT')
  account.scribe.refuses(account.scribe.access(deviceKeys(crypto, dice(32)), statement), 'NOT_OWNER')
  account.scribe.take(write({}))
  assert.ok(account.library.devices.has(hex(second.id)))
})

test('statements of shares and another log’s entries have no place in a library', () => {
  const dice = seededDice(9)
  const account = new Account(dice)
  const share = new Share(dice, account)
  account.scribe.refuses(account.scribe.access(account.device, share.creation()), 'LOG_EXISTS')
  const invite = share.invited()
  const join = share.joining(invite, new Account(dice))
  account.scribe.refuses(
    signEntry(
      crypto,
      { ...join, log: account.scribe.log, author: account.device.id, accessHead: account.scribe.head },
      join.payload,
      account.device.signing.secretKey
    ),
    'BAD_STATEMENT'
  )
  for (const statement of [
    { type: 'lease', leaseMs: null },
    { type: 'account', account: account.id, entries: [] }
  ] as const) {
    account.scribe.refuses(account.scribe.access(account.device, statement), 'BAD_STATEMENT')
  }
  account.scribe.refuses(account.scribe.access(account.device, { type: 'leave' }, { log: share.log }), 'FOREIGN_LOG')
})

test('an access head that is not the newest is a conflict', () => {
  const account = new Account(seededDice(10))
  const { entry } = account.invite()
  const later = account.invite()
  account.scribe.take(entry)
  account.scribe.refuses(later.entry, 'ACCESS_CONFLICT')
})

test('an invite’s id is good once', () => {
  const account = new Account(seededDice(11))
  const { entry } = account.invite()
  account.scribe.take(entry)
  account.scribe.refuses(
    signEntry(crypto, { ...entry, accessHead: account.scribe.head }, entry.payload, account.device.signing.secretKey),
    'INVITE_EXISTS'
  )
})

test('a device and its end name the entries that brought them', () => {
  const account = new Account(seededDice(21))
  const history = account.scribe.state.access
  account.scribe.timeMs += HOUR_MS
  const second = account.addDevice()
  const joined = known(account.library.devices.get(hex(second.id)))
  assert.is(hex(joined.entry), hex(account.scribe.head))
  assert.is(history.timeOf(joined.entry), account.scribe.timeMs)
  const first = known(account.library.devices.get(hex(account.device.id)))
  assert.is(history.timeOf(first.entry), account.scribe.timeMs - HOUR_MS)
  account.remove([second])
  assert.is(hex(known(account.library.gone.get(hex(second.id))).entry), hex(account.scribe.head))
  assert.is(history.timeOf(entryId(new Uint8Array(32))), null)
})

test('an invite of a library has no end of membership and is bound to nobody', () => {
  const account = new Account(seededDice(22))
  const statement = statementOf(account.invite().entry, 'invite')
  const write = (over: Partial<typeof statement>) => account.scribe.access(account.device, { ...statement, ...over })
  account.scribe.refuses(write({ untilMs: account.scribe.timeMs + HOUR_MS }), 'BAD_STATEMENT')
  account.scribe.refuses(write({ bound: account.id }), 'BAD_STATEMENT')
  account.scribe.take(write({}))
})

test('a library lets no device in from its bound on, takes back to the bound of a proof, and nothing beyond', () => {
  const dice = seededDice(23)
  const account = new Account(dice)
  const second = account.addDevice()
  const { keys, entry } = account.invite()
  account.scribe.take(entry)
  const admits = [account.invite().entry, account.join(keys, deviceKeys(crypto, dice(32)))]
  const takesBack = [
    account.scribe.access(account.device, account.removal([second], 'removed').statement),
    account.scribe.access(account.device, { type: 'void', invite: keys.id }),
    account.scribe.access(second, { type: 'leave' })
  ]
  const code = (entry: Entry, at: { length?: number; bytes?: number }) => {
    const list = { ...copyLibrary(account.library), ...at }
    const folded = foldLibrary(crypto, list, entry, decodeStatement(entry.payload), JUDGE)
    return folded instanceof Refusal ? folded.code : 'taken'
  }
  for (const [entries, entriesMax, bytesMax] of [
    [admits, LIBRARY_ENTRIES_MAX, LIBRARY_BYTES_MAX],
    [takesBack, PROOF_ENTRIES_MAX, PROOF_BYTES_MAX]
  ] as const) {
    for (const entry of entries) {
      assert.is(code(entry, { length: entriesMax - 1 }), 'taken')
      assert.is(code(entry, { length: entriesMax }), 'LIMIT_ACCESS')
      assert.is(code(entry, { bytes: bytesMax - entry.bytes.length }), 'taken')
      assert.is(code(entry, { bytes: bytesMax - entry.bytes.length + 1 }), 'LIMIT_ACCESS')
    }
  }
})

test('a thousand open invites are the most, and a dead one makes room', () => {
  const account = new Account(seededDice(16))
  const statement = statementOf(account.invite().entry, 'invite')
  const list = { invites: new Map<string, Invite>(), open: new Set<string>(), rotationDue: false }
  const add = (s: typeof statement) => {
    const change = addInvite(list, s)
    if (change instanceof Refusal) return change.code
    change(list)
    return 'open'
  }
  for (let n = 0; n < INVITES_MAX - 1; n++) list.open.add(`${n}`)
  assert.is(add(statement), 'open')
  const another = statementOf(account.invite().entry, 'invite')
  assert.is(add(another), 'LIMIT_INVITES')
  close(list, [hex(statement.invite)])
  assert.is(add(another), 'open')
})

test.run()
