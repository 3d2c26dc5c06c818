/** `reset`: the root key's word heals a library that was lost, taken over, filled or forked, here and in every share. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { foldProof } from '../../../packages/engine/src/access/account-proof.ts'
import { authorAccount, isAccountDue } from '../../../packages/engine/src/access/authoring.ts'
import type { InviteKeys } from '../../../packages/engine/src/access/invite.ts'
import { openInvites } from '../../../packages/engine/src/access/invites.ts'
import { deviceKeys } from '../../../packages/engine/src/access/keys.ts'
import {
  copyLibrary,
  foldLibrary,
  type Judge,
  type LibraryList,
  resetParts
} from '../../../packages/engine/src/access/library-list.ts'
import { standingOf, writers } from '../../../packages/engine/src/access/standing.ts'
import { decodeStatement, type Statement } from '../../../packages/engine/src/access/statement.ts'
import { accountId, entryId, hex, SHARE_DOCUMENT } from '../../../packages/engine/src/bytes/ids.ts'
import { decodeEntry, type Entry, signEntry } from '../../../packages/engine/src/entry/entry.ts'
import {
  LIBRARY_BYTES_MAX,
  LIBRARY_ENTRIES_MAX,
  PROOF_BYTES_MAX,
  PROOF_ENTRIES_MAX,
  RESETS_MAX
} from '../../../packages/engine/src/limits.ts'
import { Refusal } from '../../../packages/engine/src/refusal.ts'
import { Account, crypto, dump, known, Scribe, Share, seededDice, seededInts, statementOf, text } from '../world.ts'
import { randomAct } from './random-library.ts'

const test = suite('access/reset')

const READER: Judge = { timeMs: null, signatures: true }
const RELAY: Judge = { timeMs: 0, signatures: true }

/** What a relay or a reader says of an entry after this list, which stays as it is. */
function codeOf(list: LibraryList, entry: Entry, judge: Judge): string {
  const folded = foldLibrary(crypto, copyLibrary(list), entry, decodeStatement(entry.payload), judge)
  return folded instanceof Refusal ? folded.code : 'taken'
}

/** All that says who is in, and by which what comes next is judged. */
function digest(list: LibraryList): string {
  const { ids, gone, invites, reset, ...rest } = list
  return text({ ...rest, reset: reset && [reset.number, reset.entry], open: openInvites(list) })
}

const ended = (account: Account, device: { readonly id: Uint8Array }) => known(account.library.gone.get(hex(device.id)))

test('a reset lets one new device in, puts all others out, voids every invite and starts an epoch', () => {
  const account = new Account(seededDice(1))
  const second = account.addDevice()
  const { keys, entry } = account.invite({ uses: 3 })
  account.scribe.take(entry)
  account.scribe.take(account.scribe.access(second, { type: 'leave' }))
  const third = account.addDevice()
  const before = copyLibrary(account.library)
  const first = account.device
  const device = account.reset()
  const { library, scribe } = account
  assert.equal([...library.devices.keys()], [hex(device.id)])
  for (const out of [first, third]) {
    assert.is(ended(account, out).reason, 'device-removed')
    assert.is(hex(ended(account, out).entry), hex(scribe.head))
  }
  assert.is(ended(account, second).reason, 'left')
  assert.is(library.invites.get(hex(keys.id))?.state, 'void')
  assert.is(library.open.size, 0)
  assert.ok(before.rotationDue)
  assert.not(library.rotationDue)
  assert.ok(library.epoch > before.epoch)
  assert.not.equal(library.sealingKey, before.sealingKey)
  assert.is(text(library.reset), text({ number: scribe.timeMs, entry: scribe.head, count: 1 }))
  assert.is(library.length, 1)
  assert.is(library.bytes, known(scribe.all.at(-1)).entry.bytes.length)
  assert.is(library.ids.size, before.ids.size + 1)
  assert.is(dump(scribe.refold()), dump(scribe.state))
})

test('who a reset has put out can write nothing and come back by nothing', () => {
  const dice = seededDice(2)
  const account = new Account(dice)
  const second = account.addDevice()
  const old = account.invite({ uses: 3 })
  account.scribe.take(old.entry)
  const out = [account.device, second]
  const taken = account.removal([], 'rotation').statement
  account.reset()
  const fresh = account.invite({ uses: 3 })
  const update = (by: typeof second) => account.scribe.data(by, 'update', SHARE_DOCUMENT)
  account.scribe.take(fresh.entry)
  for (const device of out) {
    const statements: Statement[] = [
      statementOf(account.invite().entry, 'invite'),
      { type: 'void', invite: fresh.keys.id },
      { type: 'leave' },
      { type: 'stop' },
      taken
    ]
    for (const statement of statements) account.scribe.refuses(account.scribe.access(device, statement), 'NOT_OWNER')
    account.scribe.refuses(update(device), 'NOT_OWNER')
    account.scribe.refuses(account.join(old.keys, device), 'INVITE_VOID')
    account.scribe.refuses(account.join(fresh.keys, device), 'KNOWN_DEVICE')
  }
  account.scribe.refuses(account.join(old.keys, deviceKeys(crypto, dice(32))), 'INVITE_VOID')
  account.scribe.take(account.join(fresh.keys, deviceKeys(crypto, dice(32))))
  account.scribe.take(update(account.device))
})

test('only the root key of this account resets it', () => {
  const dice = seededDice(3)
  const account = new Account(dice)
  const other = new Account(dice)
  const { entry } = account.resetting()
  for (const by of [account.device, other.root, deviceKeys(crypto, dice(32))]) {
    account.scribe.refuses(account.resetting({}, { by }).entry, 'NOT_OWNER')
  }
  const forged = signEntry(crypto, entry, entry.payload, account.device.signing.secretKey)
  account.scribe.refuses(forged, 'BAD_SIGNATURE')
  account.scribe.refuses(signEntry(crypto, { ...entry, log: other.scribe.log }, entry.payload, dice(64)), 'FOREIGN_LOG')
  account.scribe.take(entry)
})

test('a device is let in only by its own word for this account, this reset and its sealing key', () => {
  const dice = seededDice(4)
  const account = new Account(dice)
  const victim = new Account(dice)
  const device = deviceKeys(crypto, dice(32))
  const number = account.scribe.timeMs
  const parts = { number, deviceSealingKey: device.sealing.publicKey }
  const sign = (by: typeof device, of: Account, over: Partial<typeof parts> = {}) =>
    crypto.sign(by.signing.secretKey, 'reset', ...resetParts(accountId(of.id), { ...parts, ...over }))
  for (const over of [
    { device: victim.device.id },
    { device: victim.device.id, deviceSignature: sign(victim.device, victim) },
    { deviceSignature: dice(64) },
    { deviceSignature: sign(account.device, account) },
    { deviceSignature: sign(account.root, account) },
    { deviceSignature: sign(device, victim) },
    { deviceSignature: sign(device, account, { number: number + 1 }) },
    { deviceSignature: sign(device, account, { deviceSealingKey: dice(32) }) },
    { deviceSealingKey: dice(32) }
  ]) {
    account.scribe.refuses(account.resetting(over, { device }).entry, 'BAD_PROOF')
  }
  account.scribe.take(account.resetting({}, { device }).entry)
})

test('of two resets the one with the higher number wins, whichever is told first', () => {
  const dice = seededDice(5)
  const account = new Account(dice)
  const { timeMs } = account.scribe
  const [low, high] = [account.resetting(), account.resetting({}, { timeMs: timeMs + 1 })]
  const branch = new Account(dice, account)
  account.scribe.take(low.entry)
  account.scribe.refuses(account.resetting({ number: timeMs }).entry, 'RESET_OLD')
  branch.scribe.take(high.entry)
  branch.scribe.refuses(low.entry, 'RESET_OLD')
  assert.is(codeOf(account.library, high.entry, READER), 'taken')
  // The relay that orders the log asks for an epoch of its own.
  account.scribe.refuses(high.entry, 'EPOCH_STALE')
  account.scribe.take(account.resetting().entry)
  assert.is(known(account.library.reset).number, timeMs + 1)
})

test('a reset may follow any entry, and what comes after it follows it', () => {
  const dice = seededDice(6)
  const account = new Account(dice)
  account.addDevice()
  const heads = [...account.scribe.all.map(({ entry }) => entry.id), entryId(new Uint8Array(32)), entryId(dice(32))]
  for (const accessHead of heads) {
    const branch = new Account(dice, account)
    const { entry, device } = branch.resetting({}, { accessHead })
    branch.scribe.take(entry)
    const invite = statementOf(branch.invite().entry, 'invite')
    branch.scribe.refuses(branch.scribe.access(device, invite, { accessHead }), 'ACCESS_CONFLICT')
    branch.scribe.take(branch.scribe.access(device, invite))
  }
})

test('a library’s log does not begin with a reset', () => {
  const account = new Account(seededDice(7))
  const { entry } = account.resetting()
  new Scribe(account.scribe.log, account.scribe.dice).refuses(entry, 'NO_LOG')
})

test('no device gets in the way of a reset, however many epochs it starts meanwhile', () => {
  const account = new Account(seededDice(8))
  const { entry } = account.resetting()
  const { epoch } = account.library
  const full = { length: PROOF_ENTRIES_MAX, bytes: PROOF_BYTES_MAX }
  const at = (epochs: number) => ({ ...account.library, ...full, epoch: epoch + epochs })
  assert.is(codeOf(at(PROOF_ENTRIES_MAX - 1), entry, RELAY), 'taken')
  assert.is(codeOf(at(PROOF_ENTRIES_MAX), entry, RELAY), 'EPOCH_STALE')
  assert.is(codeOf(at(PROOF_ENTRIES_MAX), entry, READER), 'taken')
})

test('a library that takes nothing any more is reset, and has all its room again', () => {
  const account = new Account(seededDice(9))
  const list = { ...account.library, length: PROOF_ENTRIES_MAX, bytes: PROOF_BYTES_MAX }
  assert.is(codeOf(list, account.scribe.access(account.device, { type: 'leave' }), RELAY), 'LIMIT_ACCESS')
  assert.is(codeOf(list, account.scribe.access(account.device, { type: 'stop' }), RELAY), 'LIMIT_ACCESS')
  const { entry, device } = account.resetting()
  const reset = foldLibrary(crypto, copyLibrary(list), entry, decodeStatement(entry.payload), RELAY)
  if (reset instanceof Refusal) throw reset
  account.scribe.take(entry)
  const invite = account.scribe.access(device, statementOf(account.invite().entry, 'invite'))
  const [length, bytes] = [1, entry.bytes.length]
  assert.is(text([reset.length, reset.bytes]), text([length, bytes]))
  for (const [at, code] of [
    [{}, 'taken'],
    [{ length: LIBRARY_ENTRIES_MAX - 1 }, 'taken'],
    [{ length: LIBRARY_ENTRIES_MAX }, 'LIMIT_ACCESS'],
    [{ bytes: LIBRARY_BYTES_MAX - invite.bytes.length }, 'taken'],
    [{ bytes: LIBRARY_BYTES_MAX - invite.bytes.length + 1 }, 'LIMIT_ACCESS']
  ] as const) {
    assert.is(codeOf({ ...reset, ...at }, invite, RELAY), code)
  }
})

test('a library is reset a bounded number of times', () => {
  const account = new Account(seededDice(10))
  for (let n = 0; n < RESETS_MAX; n++) account.reset({ timeMs: account.scribe.timeMs + n })
  assert.is(account.library.reset?.count, RESETS_MAX)
  account.scribe.refuses(account.resetting().entry, 'LIMIT_ACCESS')
  account.addDevice()
})

test('a reset names the device that is in already, which stays', () => {
  const account = new Account(seededDice(11))
  const second = account.addDevice()
  const first = account.device
  const device = deviceKeys(crypto, account.scribe.dice(32))
  const { entry } = account.resetting({}, { device })
  const { keys, entry: invite } = account.invite()
  account.scribe.take(invite)
  account.scribe.take(account.join(keys, device))
  account.scribe.take(entry)
  assert.equal([...account.library.devices.keys()], [hex(device.id)])
  assert.equal(new Set(account.library.gone.keys()), new Set([hex(first.id), hex(second.id)]))
})

test('a stopped library takes nothing, keeps its access entries and is revived by a reset alone', () => {
  const account = new Account(seededDice(12))
  const second = account.addDevice()
  const { scribe } = account
  const { keys, entry } = account.invite()
  scribe.take(entry)
  const data = scribe.take(scribe.data(second, 'update', SHARE_DOCUMENT))
  const next = scribe.data(second, 'update', SHARE_DOCUMENT)
  const before = new Set(writers(account.library))
  account.stop()
  assert.is(hex(known(account.library.stopped)), hex(scribe.head))
  assert.is(scribe.stored.size, scribe.state.access.records.length)
  assert.is(scribe.state.entries, 0)
  for (const refused of [
    next,
    scribe.access(account.device, { type: 'stop' }),
    scribe.access(account.device, { type: 'leave' }),
    scribe.access(account.device, account.removal([second], 'removed').statement),
    account.invite().entry,
    account.join(keys, deviceKeys(crypto, scribe.dice(32)))
  ]) {
    scribe.refuses(refused, 'STOPPED')
  }
  for (const device of [account.device, second]) {
    const standing = { is: 'former', account: account.id, ended: scribe.head }
    assert.is(text(standingOf(account.library, device.id)), text(standing))
  }
  assert.is(standingOf(account.library, account.root.id).is, 'owner')
  assert.equal(writers(account.library), before)
  assert.is(dump(scribe.refold()), dump(scribe.state))
  assert.is(dump(scribe.refold(scribe.all)), dump(scribe.state))
  const device = account.reset()
  assert.is(account.library.stopped, null)
  scribe.refuses(data, 'NOT_OWNER')
  scribe.take(scribe.data(device, 'update', SHARE_DOCUMENT))
  assert.is(dump(scribe.refold()), dump(scribe.state))
})

test('the stop of a library changes nothing in its shares', () => {
  const { share, owner } = world(13)
  owner.stop()
  assert.not(isAccountDue(share.list, owner.library))
  share.scribe.take(share.accountEntry(owner))
  share.scribe.take(share.update())
  assert.is(standingOf(share.list, owner.device.id).is, 'owner')
  owner.reset()
  assert.ok(isAccountDue(share.list, owner.library))
  share.scribe.take(share.accountEntry(owner))
})

test('the root key may read its library and write nothing but a reset, and is a stranger to shares', () => {
  const { share, owner } = world(14)
  const { root, scribe } = owner
  assert.is(text(standingOf(owner.library, root.id)), text({ is: 'owner', account: owner.id }))
  assert.is(standingOf(share.list, root.id).is, 'stranger')
  assert.not(writers(owner.library).has(hex(root.id)))
  const statements: Statement[] = [
    statementOf(owner.invite().entry, 'invite'),
    { type: 'leave' },
    { type: 'stop' },
    owner.removal([owner.device], 'removed').statement
  ]
  for (const statement of statements) scribe.refuses(scribe.access(root, statement), 'NOT_OWNER')
  for (const kind of ['update', 'drop'] as const) {
    scribe.refuses(scribe.data(root, kind, SHARE_DOCUMENT), kind === 'drop' ? 'BAD_ENTRY' : 'NOT_OWNER')
  }
  share.scribe.refuses(share.scribe.access(root, { type: 'stop' }), 'NOT_OWNER')
  const { statement } = share.removal([])
  share.scribe.refuses(share.scribe.access(root, statement), 'NOT_OWNER')
  share.scribe.refuses(share.scribe.access(root, statementOf(owner.resetting().entry, 'reset')), 'BAD_STATEMENT')
})

// --- In shares ---

function world(seed: number) {
  const dice = seededDice(seed)
  const share = new Share(dice)
  const bob = new Account(dice)
  share.admit(bob)
  return { dice, share, owner: share.owner, bob }
}

test('a reset of the owner, told by its new device, puts the others out of the share and voids every invite next', () => {
  const { share, owner, bob } = world(20)
  const { scribe } = share
  const first = owner.device
  share.invited()
  share.invited({ bound: bob.id })
  const device = owner.reset()
  scribe.take(share.accountEntry(owner))
  assert.equal([...writers(share.list)], [hex(device.id)])
  assert.ok(share.list.rotationDue)
  assert.is(share.list.outSince, 2)
  assert.is(text(standingOf(share.list, first.id)), text({ is: 'former', account: owner.id, ended: scribe.head }))
  scribe.refuses(share.update(first), 'NOT_OWNER')
  scribe.refuses(share.invite({}, first).entry, 'NOT_OWNER')
  scribe.refuses(share.update(device), 'EPOCH_STALE')
  share.remove()
  assert.is(share.list.open.size, 0)
  scribe.take(share.update(device))
})

test('a reset of a member voids the invites that its devices could have seen, and no others', () => {
  const { share, owner, bob, dice } = world(21)
  const carol = new Account(dice)
  const [open, his, hers] = [{}, { bound: bob.id }, { bound: carol.id }].map(o => share.invited(o))
  const first = bob.device
  const device = bob.reset()
  share.scribe.take(share.accountEntry(bob, owner.device))
  assert.is(standingOf(share.list, device.id).is, 'member')
  assert.is(standingOf(share.list, first.id).is, 'former')
  share.remove()
  assert.equal([...share.list.open], [hex(known(hers).id)])
  for (const dead of [open, his]) assert.is(share.list.invites.get(hex(known(dead).id))?.state, 'void')
})

test('a reset is a removal, though the one device that is in stays in', () => {
  const { dice, share, bob } = world(22)
  const before = new Account(dice, bob)
  const device = bob.reset()
  share.scribe.take(share.accountEntry(bob))
  share.remove()
  const timeMs = bob.scribe.timeMs + 1
  const again = statementOf(before.resetting({}, { device, timeMs }).entry, 'reset')
  bob.scribe.take(bob.scribe.access(bob.root, { ...again, epoch: bob.library.epoch + 1 }))
  assert.equal([...bob.library.devices.keys()], [hex(device.id)])
  share.scribe.take(share.accountEntry(bob))
  assert.is(share.list.outSince, 1)
  assert.ok(share.list.rotationDue)
})

test('a share that has folded another branch is healed by a reset and by nothing else', () => {
  for (const whose of ['owner', 'bob'] as const) {
    const { dice, share, ...accounts } = world(23)
    const account = accounts[whose]
    const { scribe } = share
    const branch = new Account(dice, account)
    const stray = branch.addDevice()
    scribe.take(share.accountEntry(branch))
    const second = account.addDevice()
    account.remove([second])
    assert.is(authorAccount(share.list, account.library, account.proof), null)
    assert.not(isAccountDue(share.list, account.library))
    for (const from of [0, 1, 2]) {
      const entries = account.proof.slice(from)
      scribe.refuses(scribe.access(account.device, { type: 'account', account: account.id, entries }), 'BAD_PROOF')
    }
    const device = account.reset()
    account.addDevice()
    assert.ok(isAccountDue(share.list, account.library))
    const news = known(authorAccount(share.list, account.library, account.proof))
    assert.is(text(news.entries), text(account.proof.slice(-3)))
    scribe.take(scribe.access(device, news))
    assert.is(authorAccount(share.list, account.library, account.proof), null)
    assert.not(isAccountDue(share.list, account.library))
    assert.is(digest(known(share.list.accounts.get(hex(account.id)))), digest(account.library))
    assert.is(standingOf(share.list, stray.id).is, 'former')
    assert.is(standingOf(share.list, device.id).is, whose === 'owner' ? 'owner' : 'member')
    // What the other branch says now is over, and so is what came before.
    branch.addDevice()
    const late = authorAccount(share.list, branch.library, branch.proof)
    assert.is(late, null)
    const entries = branch.proof.slice(-2)
    scribe.refuses(scribe.access(device, { type: 'account', account: account.id, entries }), 'BAD_PROOF')
    account.remove([])
    scribe.take(share.accountEntry(account))
    assert.is(digest(known(share.list.accounts.get(hex(account.id)))), digest(account.library))
    share.remove()
    assert.is(dump(scribe.refold()), dump(scribe.state))
  }
})

test('a statement shows of an account nothing that is folded, and nothing from before a reset that it carries', () => {
  const { dice, share, bob } = world(24)
  const { scribe } = share
  bob.addDevice()
  bob.reset()
  const { proof } = bob
  const write = (entries: readonly Uint8Array[]) =>
    scribe.access(bob.device, { type: 'account', account: bob.id, entries })
  for (const entries of [
    proof,
    proof.slice(1),
    proof.slice(-2),
    [known(new Account(dice).proof[0]), ...proof.slice(-1)]
  ])
    scribe.refuses(write(entries), 'ACCOUNT_STALE')
  scribe.take(write(proof.slice(-1)))
  scribe.refuses(write(proof.slice(-1)), 'ACCOUNT_STALE')
  const carol = new Account(dice)
  carol.addDevice()
  carol.reset()
  const keys = share.invited()
  scribe.refuses(share.joining(keys, carol, carol.device, { accountProof: carol.proof }), 'ACCOUNT_STALE')
  scribe.take(share.joining(keys, carol))
  const owner = new Account(dice)
  owner.reset()
  const later = new Share(dice, owner, { created: false })
  const create = statementOf(later.create, 'create-share')
  later.scribe.refuses(later.scribe.access(owner.device, { ...create, proof: owner.proof }), 'ACCOUNT_STALE')
  later.scribe.take(later.create)
  assert.is(create.proof.length, 1)
})

test('a reset shown by itself proves an account: its devices come and go as in the library', () => {
  const { share, dice } = world(25)
  const account = new Account(dice)
  const first = account.addDevice()
  account.reset()
  const second = account.addDevice()
  share.admit(account)
  assert.equal([...known(share.list.accounts.get(hex(account.id))).devices.keys()], [...account.library.devices.keys()])
  assert.is(standingOf(share.list, first.id).is, 'stranger')
  account.remove([second])
  share.scribe.take(share.accountEntry(account))
  assert.is(standingOf(share.list, second.id).is, 'former')
  const { entry } = new Account(dice).resetting()
  const folded = foldProof(crypto, null, account.id, [entry.bytes], READER)
  assert.instance(folded, Refusal)
})

test('what a reset has ended does not reach beyond it: a share with another past takes what the library takes', () => {
  const { dice, share, bob } = world(26)
  const branch = new Account(dice, bob)
  const known1 = branch.addDevice()
  const used = branch.invite({ uses: 9 })
  branch.scribe.take(used.entry)
  branch.remove([known1])
  share.scribe.take(share.accountEntry(branch))
  bob.reset()
  // The same invite and the same device, which this branch has never seen.
  const again = statementOf(used.entry, 'invite')
  bob.scribe.take(bob.scribe.access(bob.device, again))
  bob.scribe.take(bob.join(used.keys, known1))
  share.scribe.take(share.accountEntry(bob))
  assert.is(standingOf(share.list, known1.id).is, 'member')
  bob.devices.push(known1)
  bob.remove([known1])
  share.scribe.take(share.accountEntry(bob))
  assert.is(standingOf(share.list, known1.id).is, 'former')
  assert.is(digest(known(share.list.accounts.get(hex(bob.id)))), digest(bob.library))
})

test('a device that a relay let back in and that went out again went out', () => {
  const { share, bob } = world(27)
  const out = bob.addDevice()
  bob.remove([out])
  share.scribe.take(share.accountEntry(bob))
  share.remove()
  const { keys, entry } = bob.invite()
  bob.scribe.take(entry)
  const joined = bob.join(keys, out)
  assert.is(codeOf(bob.library, joined, RELAY), 'KNOWN_DEVICE')
  // As a reader folds it, in place.
  foldLibrary(crypto, bob.library, joined, decodeStatement(joined.payload), READER)
  assert.ok(bob.library.devices.has(hex(out.id)))
  assert.not(bob.library.gone.has(hex(out.id)))
  const removed = bob.scribe.access(bob.device, bob.removal([out], 'removed').statement)
  const entries = [entry, joined, removed].map(({ bytes }) => bytes)
  share.scribe.take(share.scribe.access(bob.device, { type: 'account', account: bob.id, entries }))
  assert.ok(share.list.rotationDue)
  assert.is(share.list.outSince, 1)
})

// --- Properties ---

test('after random lives of two branches a reset of one leaves one state, for whoever had folded what', () => {
  for (let seed = 200; seed < 230; seed++) {
    const int = seededInts(seed)
    const dice = seededDice(seed)
    const mine = new Account(dice)
    for (let n = int(6); n > 0; n--) randomAct(mine, int)
    const other = new Account(dice, mine)
    for (const account of [mine, other]) {
      account.scribe.timeMs++
      for (let n = int(12); n > 0; n--) {
        if (int(8) > 0) randomAct(account, int)
        else account.reset({ timeMs: account.scribe.timeMs + int(3) })
      }
    }
    const number = Math.max(mine.library.reset?.number ?? 0, other.library.reset?.number ?? 0) + 1
    const at = mine.proof.length
    mine.reset({ timeMs: number })
    const lists = [other.library, new Account(dice, other).library, null].map(list => {
      const folded = foldProof(crypto, list, mine.id, mine.proof.slice(at), READER)
      if (folded instanceof Refusal) throw new Error(`seed ${seed}: ${folded.message}`)
      return folded
    })
    for (let n = 0; n < 10; n++) {
      for (const [i, list] of lists.entries()) {
        assert.is(digest(list), digest(mine.library), `seed ${seed}, list ${i}`)
      }
      const folded = mine.proof.length
      randomAct(mine, int)
      for (const bytes of mine.proof.slice(folded)) {
        const entry = decodeEntry(crypto, bytes)
        for (const list of lists) {
          const result = foldLibrary(crypto, list, entry, decodeStatement(entry.payload), READER)
          assert.not.instance(result, Refusal, `seed ${seed}`)
        }
      }
    }
  }
})

test('shares follow random lives of forked accounts, and a reset makes them one again', () => {
  for (let seed = 300; seed < 315; seed++) {
    const int = seededInts(seed)
    const dice = seededDice(seed)
    const share = new Share(dice)
    const { scribe } = share
    const bob = new Account(dice)
    share.admit(bob)
    const links: InviteKeys[] = []
    for (const account of [share.owner, bob]) {
      const branch = new Account(dice, account)
      for (let n = 2 + int(4); n > 0; n--) randomAct(branch, int)
      branch.addDevice()
      scribe.take(share.accountEntry(branch))
      const strays = [...branch.devices]
      for (let n = int(6); n > 0; n--) randomAct(account, int)
      account.addDevice()
      assert.is(share.newsOf(account).length, 0, `seed ${seed}`)
      if (!share.list.rotationDue) links.push(share.invited({ uses: 5 }))
      account.reset()
      for (let n = int(5); n > 0; n--) randomAct(account, int)
      scribe.take(share.accountEntry(account))
      const nested = known(share.list.accounts.get(hex(account.id)))
      assert.is(digest(nested), digest(account.library), `seed ${seed}`)
      assert.ok(share.list.rotationDue)
      for (const device of strays) {
        assert.is(standingOf(share.list, device.id).is, 'former', `seed ${seed}`)
        scribe.refuses(scribe.access(device, { type: 'leave' }), 'NOT_MEMBER')
        scribe.refuses(share.invite({}, device).entry, 'NOT_OWNER')
        scribe.refuses(share.update(device), 'NOT_OWNER')
      }
      share.remove()
    }
    for (const keys of links) {
      scribe.refuses(share.joining(keys, new Account(dice)), 'INVITE_VOID')
    }
    assert.is(dump(scribe.refold()), dump(scribe.state))
  }
})

test.run()
