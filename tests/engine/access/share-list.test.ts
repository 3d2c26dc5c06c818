/** The share's list: every rule of who may come in, who goes out and what that voids, with both sides. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { authorAccount } from '../../../packages/engine/src/access/authoring.ts'
import { deviceKeys } from '../../../packages/engine/src/access/keys.ts'
import { joinProofParts } from '../../../packages/engine/src/access/library-list.ts'
import {
  accountOfDevice,
  copyShare,
  foldShare,
  invitesVoidedBy,
  shareLogId
} from '../../../packages/engine/src/access/share-list.ts'
import { decodeStatement } from '../../../packages/engine/src/access/statement.ts'
import { type AccountId, entryId, hex } from '../../../packages/engine/src/bytes/ids.ts'
import { type Entry, signEntry } from '../../../packages/engine/src/entry/entry.ts'
import { MEMBERS_MAX, SHARE_ENTRIES_MAX } from '../../../packages/engine/src/limits.ts'
import { Refusal } from '../../../packages/engine/src/refusal.ts'
import { Account, crypto, HOUR_MS, known, Share, seededDice, statementOf, text } from '../world.ts'

const test = suite('access/share-list')

function world(seed: number) {
  const dice = seededDice(seed)
  const share = new Share(dice)
  return { dice, share, scribe: share.scribe, owner: share.owner, bob: new Account(dice), eve: new Account(dice) }
}

const READER = { timeMs: null, signatures: true } as const

const stateOf = (share: Share, keys: { id: Uint8Array }) => share.list.invites.get(hex(keys.id))?.state

test('only a device of the owner creates a share, at the log of that owner and nonce', () => {
  const dice = seededDice(1)
  const share = new Share(dice, new Account(dice), { created: false })
  const { scribe, owner } = share
  const creation = share.creation()
  const eve = new Account(dice)
  scribe.refuses(scribe.access(eve.device, creation), 'NOT_OWNER')
  scribe.refuses(scribe.access(eve.device, { ...creation, owner: eve.id, proof: eve.proof }), 'FOREIGN_LOG')
  scribe.refuses(scribe.access(owner.device, { ...creation, nonce: dice(32) }), 'FOREIGN_LOG')
  scribe.refuses(scribe.access(owner.device, { ...creation, proof: [] }), 'BAD_PROOF')
  scribe.refuses(scribe.access(owner.device, { ...creation, proof: eve.proof }), 'BAD_PROOF')
  scribe.refuses(scribe.access(owner.device, creation, { accessHead: entryId(dice(32)) }), 'ACCESS_CONFLICT')
  scribe.refuses(scribe.access(owner.device, { type: 'stop' }), 'NO_LOG')
  const unsigned = scribe.access(owner.device, creation)
  scribe.refuses(signEntry(crypto, unsigned, unsigned.payload, eve.device.signing.secretKey), 'BAD_SIGNATURE')
  scribe.take(share.create)
  assert.is(hex(share.list.log), hex(shareLogId(crypto, owner.id, share.nonce)))
  scribe.refuses(scribe.access(owner.device, creation), 'LOG_EXISTS')
})

test('every statement of the owner is refused from members and strangers', () => {
  const { share, scribe, bob, eve } = world(2)
  share.admit(bob)
  const { statement } = share.removal([bob])
  for (const s of [
    statementOf(share.invite().entry, 'invite'),
    { type: 'void', invite: known([...share.list.invites.values()][0]).id },
    statement,
    { type: 'lease', leaseMs: null },
    { type: 'until', member: bob.id, untilMs: null },
    { type: 'stop' }
  ] as const) {
    scribe.refuses(scribe.access(bob.device, s), 'NOT_OWNER')
    scribe.refuses(scribe.access(eve.device, s), 'NOT_OWNER')
  }
})

test('statements of libraries have no place in a share', () => {
  const { share, scribe, owner } = world(3)
  scribe.refuses(scribe.access(owner.device, owner.removal([], 'rotation').statement), 'BAD_STATEMENT')
  const { keys } = owner.invite()
  scribe.refuses(
    signEntry(
      crypto,
      { ...share.create, accessHead: scribe.head },
      owner.join(keys, owner.device).payload,
      owner.device.signing.secretKey
    ),
    'BAD_STATEMENT'
  )
})

test('an account joins by a link, and another device of it need not', () => {
  const { share, bob } = world(4)
  const second = bob.addDevice()
  share.admit(bob)
  assert.ok(share.list.members.has(hex(bob.id)))
  const again = share.invited()
  share.scribe.refuses(share.joining(again, bob), 'ALREADY_MEMBER')
  share.scribe.refuses(share.joining(again, bob, second), 'ALREADY_MEMBER')
})

test('a join is refused for an invite that is unknown, used up, void or expired at exactly its time', () => {
  const { dice, share, scribe, owner, bob, eve } = world(5)
  scribe.refuses(share.joining(share.invite().keys, bob), 'INVITE_UNKNOWN')
  const once = share.admit(bob)
  scribe.refuses(share.joining(once, eve), 'INVITE_USED')
  const dead = share.invited()
  scribe.take(scribe.access(owner.device, { type: 'void', invite: dead.id }))
  scribe.refuses(share.joining(dead, eve), 'INVITE_VOID')
  const timed = share.invited({ uses: 2, expiresMs: scribe.timeMs + HOUR_MS })
  scribe.timeMs += HOUR_MS - 1
  scribe.take(share.joining(timed, new Account(dice)))
  scribe.timeMs += 1
  scribe.refuses(share.joining(timed, eve), 'INVITE_EXPIRED')
})

test('a reader does not judge an invite’s expiry', () => {
  const { share, scribe, bob } = world(6)
  const keys = share.invited({ expiresMs: scribe.timeMs + 1 })
  const entry = share.joining(keys, bob)
  const late = scribe.timeMs + HOUR_MS
  const statement = statementOf(entry, 'join-share')
  const fold = (timeMs: number | null) =>
    foldShare(crypto, copyShare(share.list), entry, statement, late, { timeMs, signatures: true })
  assert.instance(fold(late), Refusal)
  assert.not.instance(fold(null), Refusal)
})

test('a dead link says so before the access head is asked', () => {
  const { share, scribe, bob } = world(7)
  const open = share.invited()
  const dead = share.invited()
  scribe.take(scribe.access(share.owner.device, { type: 'void', invite: dead.id }))
  const stale = (keys: typeof dead) => {
    const entry = share.joining(keys, bob)
    return signEntry(crypto, { ...entry, accessHead: share.create.id }, entry.payload, bob.device.signing.secretKey)
  }
  scribe.refuses(stale(dead), 'INVITE_VOID')
  scribe.refuses(stale(open), 'ACCESS_CONFLICT')
})

test('a bound invite is for one account, and the owner cannot join', () => {
  const { share, scribe, owner, bob, eve } = world(8)
  const bound = share.invited({ bound: bob.id })
  scribe.refuses(share.joining(bound, eve), 'INVITE_NOT_FOR_YOU')
  scribe.refuses(share.joining(share.invited(), owner), 'YOU_ARE_THE_OWNER')
  scribe.take(share.joining(bound, bob))
})

test('a join’s proof is good for one log, account, device and access head', () => {
  const { dice, share, scribe, bob, eve } = world(9)
  const second = bob.addDevice()
  const elsewhere = new Share(dice)
  const keys = share.invited()
  const sign = (...parts: Uint8Array[]) => crypto.sign(keys.signing.secretKey, 'join', ...parts)
  const right = [share.log, bob.id, bob.device.id, scribe.head] as const
  for (const proof of [
    sign(elsewhere.log, right[1], right[2], right[3]),
    sign(right[0], eve.id, right[2], right[3]),
    sign(right[0], right[1], second.id, right[3]),
    sign(right[0], right[1], right[2], share.create.id),
    crypto.sign(bob.device.signing.secretKey, 'join', ...right),
    crypto.sign(keys.signing.secretKey, 'invite peek', ...right),
    new Uint8Array(64)
  ]) {
    scribe.refuses(share.joining(keys, bob, bob.device, { proof }), 'BAD_PROOF')
  }
  scribe.take(share.joining(keys, bob, bob.device, { proof: sign(...right) }))
})

test('a seen join is of no use to another device, account or share', () => {
  const { share, scribe, bob, eve } = world(10)
  const keys = share.invited({ uses: 5 })
  const seen = share.joining(keys, bob)
  const stolen = (author: typeof eve.device, over = {}) =>
    scribe.access(author, { ...statementOf(seen, 'join-share'), ...over })
  scribe.refuses(stolen(eve.device), 'BAD_PROOF')
  scribe.refuses(stolen(eve.device, { account: eve.id, accountProof: eve.proof }), 'BAD_PROOF')
  scribe.take(seen)
  assert.is(known(share.list.invites.get(hex(keys.id))).left, 4)
})

test('a joiner shows a device list that holds its author', () => {
  const { dice, share, scribe, bob, eve } = world(11)
  const keys = share.invited()
  const outsider = deviceKeys(crypto, dice(32))
  scribe.refuses(share.joining(keys, bob, outsider), 'NOT_DEVICE')
  scribe.refuses(share.joining(keys, bob, bob.device, { accountProof: [] }), 'BAD_PROOF')
  scribe.refuses(share.joining(keys, bob, bob.device, { accountProof: eve.proof }), 'BAD_PROOF')
  const second = bob.addDevice()
  bob.remove([second])
  scribe.refuses(share.joining(keys, bob, second), 'NOT_DEVICE')
})

test('a share takes its most members and refuses one more', () => {
  const { share, scribe, bob } = world(12)
  const keys = share.invited()
  const entry = share.joining(keys, bob)
  const statement = statementOf(entry, 'join-share')
  const fill = (n: number) => {
    const member = {
      account: bob.id,
      entry: entry.id,
      invite: keys.id,
      joinedMs: 0,
      untilMs: null,
      sealedName: new Uint8Array(0),
      nameEpoch: 1
    }
    const members = new Map(Array.from({ length: n }, (_, i) => [`${i}`, member]))
    return foldShare(crypto, { ...copyShare(share.list), members }, entry, statement, scribe.timeMs, {
      timeMs: null,
      signatures: true
    })
  }
  assert.not.instance(fill(MEMBERS_MAX - 1), Refusal)
  const over = fill(MEMBERS_MAX)
  assert.is(over instanceof Refusal && over.code, 'LIMIT_MEMBERS')
})

test('an account entry needs its account in the share and one of its devices, or an owner’s, as author', () => {
  const { share, scribe, owner, bob, eve } = world(13)
  scribe.refuses(share.accountEntry(bob), 'NOT_MEMBER')
  share.admit(bob)
  share.admit(eve)
  scribe.refuses(share.accountEntry(bob, eve.device), 'NOT_DEVICE')
  scribe.refuses(share.accountEntry(owner, bob.device), 'NOT_DEVICE')
  const second = bob.addDevice()
  scribe.take(share.accountEntry(bob, second))
  assert.ok(share.list.accounts.get(hex(bob.id))?.devices.has(hex(second.id)))
  bob.addDevice()
  scribe.take(share.accountEntry(bob, owner.device))
  scribe.refuses(share.accountEntry(bob, bob.device, eve.proof), 'BAD_PROOF')
  share.remove(bob)
  scribe.refuses(share.accountEntry(bob), 'NOT_MEMBER')
})

test('an account entry brings something new and nothing that is folded already', () => {
  const { dice, share, scribe, owner, bob } = world(31)
  bob.addDevice()
  share.admit(bob)
  const folded = bob.proof.length
  scribe.refuses(share.accountEntry(bob, bob.device, []), 'ACCOUNT_STALE')
  for (const part of [bob.proof, bob.proof.slice(0, 1), bob.proof.slice(1), bob.proof.slice(-1)]) {
    scribe.refuses(share.accountEntry(bob, bob.device, part), 'ACCOUNT_STALE')
  }
  bob.addDevice()
  const junk = known(new Account(dice).proof[0])
  scribe.refuses(share.accountEntry(bob, bob.device, bob.proof), 'ACCOUNT_STALE')
  scribe.refuses(share.accountEntry(bob, bob.device, bob.proof.slice(folded - 1)), 'ACCOUNT_STALE')
  scribe.refuses(share.accountEntry(bob, bob.device, bob.proof.slice(folded + 1)), 'BAD_PROOF')
  for (const before of [[junk], [...bob.proof.slice(0, 1), junk], [...bob.proof.slice(folded - 1), junk]]) {
    scribe.refuses(share.accountEntry(bob, bob.device, [...before, ...bob.proof.slice(folded)]), 'BAD_PROOF')
  }
  scribe.refuses(share.accountEntry(bob, owner.device, [junk, ...bob.proof.slice(folded - 1)]), 'BAD_PROOF')
  scribe.take(share.accountEntry(bob))
  assert.is(text(share.list.accounts.get(hex(bob.id))), text(bob.library))
})

test('a device that went out comes back by no proof from before, as member or as one that joins again', () => {
  const { share, scribe, bob } = world(32)
  const thief = bob.addDevice()
  share.admit(bob)
  const stale = bob.proof
  const headThen = bob.scribe.head
  bob.remove([thief])
  scribe.take(share.accountEntry(bob))
  scribe.refuses(share.accountEntry(bob, thief, stale), 'ACCOUNT_STALE')
  scribe.refuses(scribe.access(thief, { type: 'leave' }), 'NOT_MEMBER')
  share.remove(bob)
  const back = share.invited({ uses: 2 })
  scribe.refuses(share.joining(back, bob, thief), 'NOT_DEVICE')
  for (const accountProof of [[], stale, stale.slice(0, 1)]) {
    const refusal = scribe.try(share.joining(back, bob, thief, { accountProof }))
    assert.ok(refusal instanceof Refusal && ['NOT_DEVICE', 'ACCOUNT_STALE'].includes(refusal.code))
  }
  // Its own way on from before it was put out is a fork of the library.
  const fork = bob.scribe.access(thief, statementOf(bob.invite().entry, 'invite'), { accessHead: headThen }).bytes
  for (const accountProof of [[fork], [...stale, fork]]) {
    scribe.refuses(share.joining(back, bob, thief, { accountProof }), 'BAD_PROOF')
  }
  scribe.take(share.joining(back, bob))
  assert.not(share.list.accounts.get(hex(bob.id))?.devices.has(hex(thief.id)))
})

test('what an account entry and a join carry is what the share lacks', () => {
  const { share, scribe, bob } = world(33)
  share.admit(bob)
  const early = { ...bob.library, ids: new Set(bob.library.ids), devices: new Map(bob.library.devices) }
  const earlyProof = bob.proof
  assert.is(authorAccount(share.list, bob.library, bob.proof), null)
  bob.addDevice()
  const entry = known(authorAccount(share.list, bob.library, bob.proof))
  assert.equal(entry.entries.map(hex), bob.proof.slice(1).map(hex))
  scribe.take(scribe.access(bob.device, entry))
  assert.is(authorAccount(share.list, bob.library, bob.proof), null)
  assert.is(authorAccount(share.list, early, earlyProof), null, 'a device that is behind has nothing to say')
  share.remove(bob)
  bob.addDevice()
  const join = statementOf(share.joining(share.invited(), bob), 'join-share')
  assert.equal(join.accountProof.map(hex), bob.proof.slice(3).map(hex))
})

test('a share lets nobody in from its most access entries on, and still takes back', () => {
  const { share, scribe, owner, bob, eve } = world(34)
  share.admit(bob)
  const keys = share.invited()
  const dead = share.invited()
  const full = (entry: Entry, length: number) => {
    const list = { ...copyShare(share.list), length }
    const folded = foldShare(crypto, list, entry, decodeStatement(entry.payload), scribe.timeMs, READER)
    return folded instanceof Refusal ? folded.code : 'taken'
  }
  const admits = [share.invite().entry, share.joining(keys, eve)]
  bob.addDevice()
  const takesBack = [
    scribe.access(owner.device, { type: 'void', invite: dead.id }),
    scribe.access(owner.device, share.removal([bob]).statement),
    scribe.access(bob.device, { type: 'leave' }),
    scribe.access(owner.device, { type: 'until', member: bob.id, untilMs: 1 }),
    scribe.access(owner.device, { type: 'stop' }),
    share.accountEntry(bob)
  ]
  for (const entry of [...admits, ...takesBack]) assert.is(full(entry, SHARE_ENTRIES_MAX - 1), 'taken')
  for (const entry of admits) assert.is(full(entry, SHARE_ENTRIES_MAX), 'LIMIT_ACCESS')
  for (const entry of takesBack) assert.is(full(entry, SHARE_ENTRIES_MAX + 9), 'taken')
  assert.is(share.list.length, 5, 'the list itself was left alone')
})

test('a device key that two accounts show counts for the one that showed it first, until that puts it out', () => {
  const { share, scribe, bob, eve } = world(35)
  const both = bob.addDevice()
  const { keys, entry } = eve.invite()
  eve.scribe.take(entry)
  eve.scribe.take(eve.join(keys, both))
  share.admit(bob)
  share.admit(eve)
  const accountOf = () => hex(known(accountOfDevice(share.list, both.id)).account)
  assert.is(accountOf(), hex(bob.id))
  bob.remove([both])
  scribe.take(share.accountEntry(bob))
  assert.is(accountOf(), hex(eve.id))
})

test('a new device makes no rotation due; a lost one and a new sealing key do', () => {
  const { share, scribe, bob } = world(14)
  share.admit(bob)
  const second = bob.addDevice()
  scribe.take(share.accountEntry(bob))
  assert.not(share.list.rotationDue)
  bob.scribe.take(bob.scribe.access(second, { type: 'leave' }))
  scribe.take(share.accountEntry(bob))
  assert.ok(share.list.rotationDue)
  share.remove()
  bob.remove([])
  scribe.take(share.accountEntry(bob))
  assert.ok(share.list.rotationDue)
})

test('leave puts the account out and makes a rotation due', () => {
  const { share, scribe, owner, bob, eve } = world(15)
  const second = bob.addDevice()
  share.admit(bob)
  scribe.refuses(scribe.access(eve.device, { type: 'leave' }), 'NOT_MEMBER')
  scribe.refuses(scribe.access(owner.device, { type: 'leave' }), 'NOT_MEMBER')
  share.leave(bob, second)
  assert.is(share.list.former.get(hex(bob.id))?.reason, 'left')
  assert.ok(share.list.rotationDue)
  scribe.refuses(scribe.access(bob.device, { type: 'leave' }), 'NOT_MEMBER')
  share.remove()
  assert.not(share.list.rotationDue)
})

test('a removal takes out members only, each once, and its reason fits', () => {
  const { share, scribe, owner, bob, eve } = world(16)
  share.admit(bob)
  const { statement } = share.removal([bob])
  const write = (over: Partial<typeof statement>) => scribe.access(owner.device, { ...statement, ...over })
  scribe.refuses(write({ who: [bob.id, bob.id] }), 'BAD_STATEMENT')
  scribe.refuses(write({ who: [eve.id] }), 'NOT_MEMBER')
  scribe.refuses(write({ who: [owner.id] }), 'NOT_MEMBER')
  scribe.refuses(write({ reason: 'rotation' }), 'BAD_STATEMENT')
  scribe.refuses(write({ who: [] }), 'BAD_STATEMENT')
  scribe.take(write({ reason: 'expired' }))
  const former = known(share.list.former.get(hex(bob.id)))
  assert.is(former.reason, 'expired')
  assert.is(hex(former.ended), hex(scribe.head))
  assert.is(share.list.epoch, 2)
})

test('a removal is incomplete without a seal for the owner or a member, or with one too many', () => {
  const { dice, share, scribe, owner, bob, eve } = world(17)
  const carol = new Account(dice)
  for (const account of [bob, eve, carol]) share.admit(account)
  const survives = share.invited({ bound: new Account(dice).id })
  const dies = share.invited()
  const { statement } = share.removal([bob])
  const expected = [owner.id, eve.id, carol.id, survives.id].map(hex).sort()
  assert.equal(statement.seals.map(seal => hex(seal.to)).sort(), expected)
  const write = (seals: typeof statement.seals) => scribe.access(owner.device, { ...statement, seals })
  for (const key of expected.filter(key => key !== hex(survives.id))) {
    scribe.refuses(write(statement.seals.filter(seal => hex(seal.to) !== key)), 'ROTATE_INCOMPLETE')
  }
  for (const to of [bob.id, dies.id, dice(32)]) {
    scribe.refuses(write([...statement.seals, { to, box: dice(80) }]), 'ROTATE_INCOMPLETE')
  }
  scribe.take(write(statement.seals))
  assert.is(stateOf(share, survives), 'open')
  assert.is(stateOf(share, dies), 'void')
})

test('an invite lives on by its seal in a removal, whatever the time, for relay and readers alike', () => {
  for (const sealed of [true, false]) {
    for (const laterMs of [0, 2 * HOUR_MS]) {
      const { share, scribe, owner } = world(18)
      const keys = share.invited({ expiresMs: scribe.timeMs + HOUR_MS })
      const { statement } = share.removal([])
      const seals = sealed ? statement.seals : statement.seals.filter(seal => hex(seal.to) !== hex(keys.id))
      const entry = scribe.access(owner.device, { ...statement, seals })
      const read = foldShare(crypto, copyShare(share.list), entry, { ...statement, seals }, 0, READER)
      scribe.timeMs += laterMs
      scribe.take(entry)
      assert.is(stateOf(share, keys), sealed ? 'open' : 'void')
      assert.is(share.list.open.size, sealed ? 1 : 0)
      assert.is(!(read instanceof Refusal) && read.invites.get(hex(keys.id))?.state, stateOf(share, keys))
    }
  }
})

test('a removal lets die the invites that have expired at exactly its author’s time, and says so', () => {
  for (const [beforeMs, state] of [
    [1, 'open'],
    [0, 'void']
  ] as const) {
    const { dice, share, scribe, bob } = world(118)
    const third = new Account(dice)
    share.admit(bob)
    const keys = share.invited({ bound: third.id, expiresMs: scribe.timeMs + HOUR_MS })
    scribe.timeMs += HOUR_MS - beforeMs
    const { voided } = share.remove(bob)
    assert.is(stateOf(share, keys), state)
    assert.equal(
      voided.map(({ id }) => hex(id)),
      state === 'void' ? [hex(keys.id)] : []
    )
  }
})

test('a removal voids unbound invites and those bound to who went out, and keeps the others', () => {
  const { dice, share, bob, eve } = world(19)
  const third = new Account(dice)
  share.admit(bob)
  share.admit(eve)
  const unbound = share.invited({ uses: 9 })
  const forBob = share.invited({ bound: bob.id })
  const forThird = share.invited({ bound: third.id })
  const { voided } = share.remove(bob)
  assert.equal(
    [unbound, forBob, forThird].map(keys => stateOf(share, keys)),
    ['void', 'void', 'open']
  )
  assert.equal(new Set(voided.map(invite => hex(invite.id))), new Set([unbound, forBob].map(keys => hex(keys.id))))
  share.scribe.take(share.joining(forThird, third))
})

test('an account that was removed comes back by an invite made after, which later rotations keep', () => {
  const { share, bob, eve } = world(20)
  share.admit(bob)
  share.admit(eve)
  const old = share.invited({ uses: 5 })
  share.remove(bob)
  share.scribe.refuses(share.joining(old, bob), 'INVITE_VOID')
  share.scribe.refuses(share.joining(old, new Account(share.dice)), 'INVITE_VOID')
  const back = share.invited({ bound: bob.id })
  share.remove()
  share.remove(eve)
  assert.is(stateOf(share, back), 'open')
  share.scribe.take(share.joining(back, bob))
  assert.not(share.list.former.has(hex(bob.id)))
  assert.ok(share.keysOf(bob).has(share.list.epoch))
})

test('a rotation after nobody went out voids nothing', () => {
  const { share, bob } = world(21)
  const keys = share.invited()
  const bound = share.invited({ bound: bob.id })
  const dead = share.invited()
  share.scribe.take(share.scribe.access(share.owner.device, { type: 'void', invite: dead.id }))
  assert.ok(share.list.rotationDue)
  share.remove()
  assert.equal([stateOf(share, keys), stateOf(share, bound)], ['open', 'open'])
  share.scribe.take(share.joining(keys, bob))
})

test('the rotation after a leave voids unbound invites and those bound to who left', () => {
  const { share, bob, eve } = world(22)
  share.admit(bob)
  const unbound = share.invited()
  const forBob = share.invited({ bound: bob.id })
  const forEve = share.invited({ bound: eve.id })
  share.leave(bob)
  assert.equal(
    [unbound, forBob, forEve].map(keys => stateOf(share, keys)),
    ['open', 'open', 'open']
  )
  share.remove()
  assert.equal(
    [unbound, forBob, forEve].map(keys => stateOf(share, keys)),
    ['void', 'void', 'open']
  )
})

test('the rotation after a member’s device went out voids unbound invites and those bound to that account', () => {
  const { share, bob, eve } = world(23)
  const second = bob.addDevice()
  share.admit(bob)
  bob.remove([second])
  share.scribe.take(share.accountEntry(bob))
  assert.ok(share.list.rotationDue)
  const unbound = share.invited()
  const forBob = share.invited({ bound: bob.id })
  const forEve = share.invited({ bound: eve.id })
  share.remove()
  assert.equal(
    [unbound, forBob, forEve].map(keys => stateOf(share, keys)),
    ['void', 'void', 'open']
  )
})

test('the rotation after an owner’s device went out voids every invite', () => {
  const { share, owner, bob, eve } = world(24)
  const second = owner.addDevice()
  share.scribe.take(share.accountEntry(owner))
  share.admit(bob)
  const forEve = share.invited({ bound: eve.id })
  owner.remove([second])
  share.scribe.take(share.accountEntry(owner))
  assert.equal(
    invitesVoidedBy(share.list, []).map(invite => hex(invite.id)),
    [hex(forEve.id)]
  )
  // A member's device that goes out later in the same epoch must not make it less.
  const third = bob.addDevice()
  bob.remove([third])
  share.scribe.take(share.accountEntry(bob))
  share.remove()
  assert.is(stateOf(share, forEve), 'void')
})

test('a new sealing key alone makes a rotation due and voids nothing', () => {
  const { share, bob, eve } = world(25)
  share.admit(bob)
  const open = share.invited({ bound: eve.id })
  const unbound = share.invited()
  bob.remove([])
  share.scribe.take(share.accountEntry(bob))
  assert.ok(share.list.rotationDue)
  share.remove()
  assert.equal([stateOf(share, open), stateOf(share, unbound)], ['open', 'open'])
})

test('an invite’s until becomes the member’s, and a policy changes it', () => {
  const { share, scribe, owner, bob, eve } = world(26)
  const untilMs = scribe.timeMs + HOUR_MS
  share.admit(bob, { untilMs })
  assert.is(share.list.members.get(hex(bob.id))?.untilMs, untilMs)
  const until = (member: AccountId, at: number | null) =>
    scribe.access(owner.device, { type: 'until', member, untilMs: at })
  scribe.take(until(bob.id, null))
  assert.is(share.list.members.get(hex(bob.id))?.untilMs, null)
  scribe.refuses(until(eve.id, untilMs), 'NOT_MEMBER')
  scribe.take(scribe.access(owner.device, { type: 'lease', leaseMs: null }))
  assert.is(share.list.leaseMs, null)
})

test('after the stop nothing is taken any more', () => {
  const { share, scribe, owner, bob, eve } = world(27)
  share.admit(bob)
  const keys = share.invited()
  const { statement } = share.removal([bob])
  scribe.take(scribe.access(owner.device, { type: 'stop' }))
  assert.is(hex(known(share.list.stopped)), hex(scribe.head))
  scribe.refuses(share.joining(keys, eve), 'STOPPED')
  scribe.refuses(scribe.access(bob.device, { type: 'leave' }), 'STOPPED')
  scribe.refuses(scribe.access(owner.device, statement), 'STOPPED')
  scribe.refuses(scribe.access(owner.device, { type: 'stop' }), 'STOPPED')
})

test('a member whose sealing key is of small order cannot keep the owner from removing anyone', () => {
  const { share, scribe, owner, bob, eve } = world(28)
  share.admit(bob)
  share.admit(eve)
  const { statement, epochKey } = eve.removal([], 'rotation')
  eve.scribe.take(eve.scribe.access(eve.device, { ...statement, accountSealingKey: new Uint8Array(32) }))
  eve.epochKeys.push(epochKey)
  scribe.take(share.accountEntry(eve))
  share.remove(bob)
  assert.ok(share.keysOf(owner).has(2))
  assert.not(share.keysOf(eve).has(2))
})

test('a join’s proof parts are log, account, device and access head', () => {
  const { share, bob } = world(29)
  const entry = share.joining(share.invited(), bob)
  assert.equal(joinProofParts(entry, bob.id).map(hex), [share.log, bob.id, bob.device.id, entry.accessHead].map(hex))
})

test.run()
