/** Keys: who can open which epoch. A removed account opens none that came after; who joins late opens all. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { InviteKeys } from '../../../packages/engine/src/access/invite.ts'
import {
  accountSealingKeys,
  commitment,
  dataKey,
  deviceKeys,
  openName,
  rootKeys,
  sealName
} from '../../../packages/engine/src/access/keys.ts'
import { hex, logId } from '../../../packages/engine/src/bytes/ids.ts'
import { pad } from '../../../packages/engine/src/crypto/padding.ts'
import { openContent } from '../../../packages/engine/src/entry/content.ts'
import { NAME_BYTES_MAX } from '../../../packages/engine/src/limits.ts'
import { Account, crypto, equalBytes, HOUR_MS, known, Share, seededDice, seededInts, throwsRefusal } from '../world.ts'

const test = suite('access/keys')

const epochsOf = (keys: ReadonlyMap<number, Uint8Array>) => [...keys.keys()].sort((a, b) => a - b)

/** Every key of an epoch that the fixture says it has. */
function areRight(share: Share, keys: ReadonlyMap<number, Uint8Array>): void {
  for (const [epoch, key] of keys) equalBytes(key, known(share.epochKeys[epoch - 1]))
}

test('every derived key comes from its own label', () => {
  const seed = seededDice(1)(32)
  const device = deviceKeys(crypto, seed)
  const root = rootKeys(crypto, seed)
  const all = [
    device.signing.secretKey,
    device.sealing.secretKey,
    root.signing.secretKey,
    root.recovery.secretKey,
    accountSealingKeys(crypto, seed).secretKey,
    dataKey(crypto, seed),
    seed
  ]
  assert.is(new Set(all.map(key => hex(key.subarray(0, 32)))).size, all.length)
  equalBytes(device.id, device.signing.publicKey)
})

test('a commitment is of one log, epoch and key', () => {
  const dice = seededDice(2)
  const [log, key] = [logId(dice(32)), dice(32)]
  const all = [
    commitment(crypto, log, 1, key),
    commitment(crypto, log, 2, key),
    commitment(crypto, logId(dice(32)), 1, key),
    commitment(crypto, log, 1, dice(32))
  ]
  assert.is(new Set(all.map(hex)).size, 4)
})

test('names open in their share and epoch, up to their bound', () => {
  const dice = seededDice(3)
  const [log, key] = [logId(dice(32)), dice(32)]
  for (const name of ['', 'Zoë', '\ufeffmark', 'x'.repeat(NAME_BYTES_MAX)]) {
    assert.is(openName(crypto, log, key, sealName(crypto, log, key, name, dice)), name)
  }
  assert.throws(
    () => sealName(crypto, log, key, 'x'.repeat(NAME_BYTES_MAX + 1), dice),
    (e: unknown) => e instanceof RangeError
  )
  const sealed = sealName(crypto, log, key, 'Zoë', dice)
  assert.is(openName(crypto, log, dice(32), sealed), null)
  assert.is(openName(crypto, logId(dice(32)), key, sealed), null)
  assert.is(openName(crypto, log, key, new Uint8Array(0)), null)
})

test('a name that is no text is null', () => {
  const dice = seededDice(4)
  const [log, key] = [logId(dice(32)), dice(32)]
  const sealed = crypto.seal(crypto.mac(key, 'name key'), pad(Uint8Array.of(0xff)), log, dice)
  assert.is(openName(crypto, log, key, sealed), null)
})

test('owner, members and the link’s holder open the epoch, and strangers and the relay nothing', () => {
  const share = new Share(seededDice(5))
  const bob = new Account(share.dice)
  const invite = share.admit(bob)
  for (const keys of [share.keysOf(share.owner), share.keysOf(bob), share.keysOf(null, invite)]) {
    assert.equal(epochsOf(keys), [1])
    areRight(share, keys)
  }
  assert.is(share.keysOf(new Account(share.dice)).size, 0)
  assert.is(share.keysOf(null).size, 0)
})

test('who joins late opens every earlier epoch', () => {
  const share = new Share(seededDice(6))
  for (let n = 0; n < 5; n++) share.remove()
  const bob = new Account(share.dice)
  share.admit(bob)
  assert.equal(epochsOf(share.keysOf(bob)), [1, 2, 3, 4, 5, 6])
  areRight(share, share.keysOf(bob))
})

test('a removed account keeps the epochs it had and opens none after', () => {
  const share = new Share(seededDice(7))
  const bob = new Account(share.dice)
  share.remove()
  const invite = share.admit(bob)
  share.remove(bob)
  share.remove()
  assert.equal(epochsOf(share.keysOf(bob, invite)), [1, 2])
  const entry = share.update()
  for (const key of share.keysOf(bob, invite).values())
    throwsRefusal(() => openContent(crypto, entry, dataKey(crypto, key)), 'BAD_ENTRY')
  assert.equal(epochsOf(share.keysOf(share.owner)), [1, 2, 3, 4])
})

test('a link to a dead invite opens no epoch after its end', () => {
  const share = new Share(seededDice(8))
  const dead = share.invited()
  share.scribe.take(share.scribe.access(share.owner.device, { type: 'void', invite: dead.id }))
  share.remove()
  assert.equal(epochsOf(share.keysOf(null, dead)), [1])
})

test('a key that does not match its commitment is not taken', () => {
  const share = new Share(seededDice(9))
  const bob = new Account(share.dice)
  const keys = share.invited()
  const box = crypto.sealTo(bob.library.sealingKey, share.dice(32), share.dice)
  share.scribe.take(share.joining(keys, bob, bob.device, { box }))
  assert.is(share.keysOf(bob).size, 0)
  const { statement, epochKey } = share.removal([])
  const previous = crypto.seal(crypto.mac(epochKey, 'previous epoch'), share.dice(32), share.log, share.dice)
  share.scribe.take(share.scribe.access(share.owner.device, { ...statement, previous }))
  assert.equal(epochsOf(share.keysOf(bob)), [2])
})

test('a lost device’s keys open no epoch of a share after its account and the share were rotated', () => {
  const share = new Share(seededDice(10))
  const bob = new Account(share.dice)
  const lost = bob.addDevice()
  share.admit(bob)
  const had = [...bob.sealingKeys]
  bob.remove([lost])
  share.scribe.take(share.accountEntry(bob))
  share.remove()
  assert.equal(epochsOf(share.keysOf(bob)), [1, 2])
  const thief = { account: bob.id, sealingKeys: had, invite: null }
  const opened = share.scribe.statements
    .flatMap(s => (s.type === 'remove-members' ? s.seals : []))
    .map(seal => thief.sealingKeys.map(pair => crypto.openSealed(pair, seal.box)))
  assert.ok(opened.flat().every(key => key === null))
})

test('in random histories members open everything, and who went out nothing later', () => {
  for (let seed = 100; seed < 125; seed++) {
    const int = seededInts(seed)
    const share = new Share(seededDice(seed))
    const accounts = Array.from({ length: 4 }, () => new Account(share.dice))
    const links = new Map<Account, InviteKeys[]>(accounts.map(account => [account, []]))
    /** The last epoch of each account's last membership, 0 before the first. */
    const until = new Map<Account, number>(accounts.map(account => [account, 0]))
    const members = () => accounts.filter(account => share.list.members.has(hex(account.id)))
    for (let n = 0; n < 14; n++) {
      const account = known(accounts[int(4)])
      const isMember = share.list.members.has(hex(account.id))
      const act = int(6)
      if (!isMember && act < 3) {
        const keys = share.admit(account, {
          uses: 1 + int(3),
          bound: int(2) === 0 ? account.id : null,
          expiresMs: share.scribe.timeMs + HOUR_MS
        })
        links.get(account)?.push(keys)
      } else if (isMember && act < 3) {
        until.set(account, share.list.epoch)
        share.remove(account)
      } else if (isMember && act === 3) {
        until.set(account, share.list.epoch)
        share.leave(account)
        share.remove()
      } else if (act === 4) share.remove()
      else if (isMember) {
        account.remove([])
        share.scribe.take(share.accountEntry(account))
        share.remove()
      }
    }
    const all = share.epochKeys.map((_, i) => i + 1)
    for (const account of [share.owner, ...members()]) {
      assert.equal(epochsOf(share.keysOf(account)), all, `seed ${seed}`)
      areRight(share, share.keysOf(account))
    }
    for (const account of accounts.filter(one => !members().includes(one))) {
      const last = known(until.get(account))
      for (const link of [null, ...known(links.get(account))]) {
        const epochs = epochsOf(share.keysOf(account, link))
        assert.ok(
          epochs.every(epoch => epoch <= last),
          `seed ${seed}: epoch ${epochs.at(-1)} after ${last}`
        )
      }
    }
  }
})

test.run()
