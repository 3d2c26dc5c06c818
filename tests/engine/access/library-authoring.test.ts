/** Library statements from intents: null when there is nothing to do, and else what the fold takes. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { authorAccount, isAccountDue } from '../../../packages/engine/src/access/authoring.ts'
import { deviceKeys } from '../../../packages/engine/src/access/keys.ts'
import {
  authorDeviceJoin,
  authorDeviceRemoval,
  authorReset
} from '../../../packages/engine/src/access/library-authoring.ts'
import type { Reason } from '../../../packages/engine/src/access/statement.ts'
import { hex } from '../../../packages/engine/src/bytes/ids.ts'
import { PROOF_ENTRIES_MAX } from '../../../packages/engine/src/limits.ts'
import { Account, crypto, equalBytes, known, Share, seededDice, text } from '../world.ts'

const test = suite('access/library-authoring')

function world(seed: number) {
  const dice = seededDice(seed)
  const account = new Account(dice)
  const fresh = () => deviceKeys(crypto, dice(32))
  const removal = (who: ReturnType<typeof fresh>[], o: { reason?: Reason; rotate?: boolean } = {}) => {
    const given = { who: who.map(({ id }) => id), reason: 'removed' as const, epochKey: account.epochKey, ...o }
    return authorDeviceRemoval(crypto, account.library, given, dice)
  }
  const { scribe } = account
  const reset = (device: ReturnType<typeof fresh>, timeMs = scribe.timeMs) => {
    const given = { entropy: account.entropy, device, epochKey: dice(32), earlier: new Map(), timeMs }
    return authorReset(crypto, account.library, given, dice)
  }
  return { dice, account, scribe, fresh, removal, reset }
}

test('a device’s join is taken, and is null once it is in', () => {
  const { dice, account, scribe, fresh } = world(1)
  const { keys, entry } = account.invite({ uses: 2 })
  scribe.take(entry)
  const device = fresh()
  const join = () => authorDeviceJoin(crypto, account.library, { keys, device, epochKey: account.epochKey }, dice)
  scribe.take(scribe.access(device, known(join())))
  assert.is(join(), null)
  assert.ok(account.library.devices.has(hex(device.id)))
})

test('a removal takes out who is in of those named, and is null when nobody is and nothing is due', () => {
  const { account, scribe, fresh, removal } = world(2)
  const [second, third] = [account.addDevice(), account.addDevice()]
  assert.is(removal([]), null)
  assert.is(removal([fresh()]), null)
  const { statement, epochKey } = known(removal([second, fresh()], { reason: 'cloned' }))
  assert.is(text(statement.who), text([second.id]))
  assert.is(statement.reason, 'cloned')
  scribe.take(scribe.access(account.device, statement))
  account.epochKeys.push(epochKey)
  assert.is(removal([second]), null)
  assert.is(account.library.gone.get(hex(second.id))?.reason, 'cloned')
  assert.ok(account.library.devices.has(hex(third.id)))
})

test('a rotation is written when it is due or wanted, and names no reason', () => {
  const { account, scribe, removal } = world(3)
  const second = account.addDevice()
  const wanted = known(removal([], { rotate: true }))
  assert.is(wanted.statement.reason, 'rotation')
  scribe.take(scribe.access(account.device, wanted.statement))
  account.epochKeys.push(wanted.epochKey)
  scribe.take(scribe.access(second, { type: 'leave' }))
  const due = known(removal([second]))
  assert.is(due.statement.reason, 'rotation')
  scribe.take(scribe.access(account.device, due.statement))
  account.epochKeys.push(due.epochKey)
  assert.is(removal([second]), null)
})

test('of a stopped library nobody is removed and nothing is rotated', () => {
  const { account, removal, reset } = world(4)
  const second = account.addDevice()
  account.stop()
  assert.is(removal([second]), null)
  assert.is(removal([], { rotate: true }), null)
  account.scribe.take(account.scribe.access(account.root, known(reset(second))))
})

test('a reset is taken, null once its device is in, and numbered above the last one and at least by the time', () => {
  const { account, scribe, fresh, reset } = world(5)
  const device = fresh()
  const first = known(reset(device))
  assert.is(first.number, scribe.timeMs)
  assert.is(first.epoch, account.library.epoch + PROOF_ENTRIES_MAX)
  equalBytes(first.recoverySealingKey, account.root.sealing.publicKey)
  assert.is(reset(account.device), null)
  scribe.take(scribe.access(account.root, first))
  assert.is(reset(device), null)
  assert.is(known(reset(fresh(), scribe.timeMs - 1)).number, scribe.timeMs + 1)
  assert.is(known(reset(fresh(), scribe.timeMs + 1)).number, scribe.timeMs + 1)
  assert.is(known(reset(fresh(), scribe.timeMs + 2)).number, scribe.timeMs + 2)
})

test('an account is due when the share has other devices or another sealing key of it, and null when it lacks nothing', () => {
  const { dice, account } = world(6)
  const share = new Share(dice, account)
  const due = () => isAccountDue(share.list, account.library)
  const news = () => authorAccount(share.list, account.library, account.proof)
  const tell = () => share.scribe.take(share.scribe.access(account.device, known(news())))
  assert.is(news(), null)
  assert.not(due())
  // An invite changes neither: it is shown with what comes next.
  account.scribe.take(account.invite().entry)
  assert.not(due())
  assert.is(news()?.entries.length, 1)
  for (const change of [() => account.addDevice(), () => account.remove([]), () => account.reset()]) {
    change()
    assert.ok(due())
    tell()
    assert.is(news(), null)
    assert.not(due())
  }
  const second = account.addDevice()
  tell()
  account.remove([second])
  assert.ok(due())
})

test('an account is not due to who knows less of it than the share, nor of an account that has no part in it', () => {
  const { dice, account } = world(7)
  const share = new Share(dice, account)
  const behind = new Account(dice, account)
  account.addDevice()
  share.scribe.take(share.accountEntry(account))
  assert.not(isAccountDue(share.list, behind.library))
  assert.is(authorAccount(share.list, behind.library, behind.proof), null)
  behind.reset()
  account.reset({ timeMs: account.scribe.timeMs + 1 })
  share.scribe.take(share.accountEntry(account))
  assert.not(isAccountDue(share.list, behind.library))
  assert.is(authorAccount(share.list, behind.library, behind.proof), null)
  assert.not(isAccountDue(share.list, new Account(dice).library))
})

test.run()
