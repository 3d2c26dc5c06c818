/** The epoch keys of a library: who can open which, and what a device that is out can't. Shares: keys.test.ts. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type LibraryKeyHolder, libraryEpochKeys } from '../../../packages/engine/src/access/epoch-keys.ts'
import type { InviteKeys } from '../../../packages/engine/src/access/invite.ts'
import {
  accountSealingKeys,
  commitment,
  type DeviceKeys,
  deviceKeys,
  openEarlier,
  sealEarlier
} from '../../../packages/engine/src/access/keys.ts'
import { authorReset } from '../../../packages/engine/src/access/library-authoring.ts'
import { hex, logId } from '../../../packages/engine/src/bytes/ids.ts'
import type { KeyPair } from '../../../packages/engine/src/crypto/suite.ts'
import { EARLIER_KEYS_MAX } from '../../../packages/engine/src/limits.ts'
import { Account, crypto, equalBytes, known, Scribe, seededDice, seededInts, statementOf, text } from '../world.ts'
import { randomAct } from './random-library.ts'

const test = suite('access/epoch-keys')

const NOBODY: LibraryKeyHolder = { device: null, recovery: null, invite: null }

function keysOf(account: Account, holder: Partial<LibraryKeyHolder>, had?: ReadonlyMap<number, Uint8Array>) {
  return libraryEpochKeys(crypto, account.scribe.log, account.scribe.statements, { ...NOBODY, ...holder }, had)
}

const ofDevice = (account: Account, device: DeviceKeys) => keysOf(account, { device })
const ofRoot = (account: Account) => keysOf(account, { recovery: account.root.sealing })
const epochsOf = (keys: ReadonlyMap<number, Uint8Array>) => [...keys.keys()].sort((a, b) => a - b)

/** They are the keys of all epochs that there were. */
function hasAll(account: Account, keys: ReadonlyMap<number, Uint8Array>, note = ''): void {
  const inOrder = epochsOf(keys).map(epoch => known(keys.get(epoch)))
  assert.is(text(inOrder), text(account.epochKeys), note)
  assert.is(epochsOf(keys).at(-1), account.library.epoch, note)
}

test('the first device and the recovery key open the first epoch, and strangers nothing', () => {
  const dice = seededDice(1)
  const account = new Account(dice)
  hasAll(account, ofDevice(account, account.device))
  hasAll(account, ofRoot(account))
  assert.is(keysOf(account, {}).size, 0)
  assert.is(ofDevice(account, deviceKeys(crypto, dice(32))).size, 0)
  assert.is(keysOf(account, { recovery: new Account(dice).root.sealing }).size, 0)
})

test('a device that joins late opens every earlier epoch, and so does the holder of its link before', () => {
  const account = new Account(seededDice(2))
  for (let n = 0; n < 3; n++) account.remove([])
  const { keys, entry } = account.invite()
  account.scribe.take(entry)
  hasAll(account, keysOf(account, { invite: keys }))
  const device = deviceKeys(crypto, account.scribe.dice(32))
  account.scribe.take(account.join(keys, device))
  hasAll(account, ofDevice(account, device))
  account.devices.push(device)
  account.remove([])
  hasAll(account, ofDevice(account, device))
  assert.equal(epochsOf(keysOf(account, { invite: keys })), [1, 2, 3, 4])
})

test('a removed device keeps what it had and opens nothing later, nor does its link', () => {
  const account = new Account(seededDice(3))
  account.remove([])
  const { keys, entry } = account.invite({ uses: 2 })
  account.scribe.take(entry)
  const device = account.addDevice()
  account.remove([device])
  account.remove([])
  account.reset()
  account.addDevice()
  assert.equal(epochsOf(keysOf(account, { device, invite: keys })), [1, 2])
})

test('after a reset the new device, those that join it and the recovery key open all, and the old ones nothing new', () => {
  const account = new Account(seededDice(4))
  account.remove([])
  const old = [account.device, account.addDevice()]
  const had = account.library.epoch
  account.reset()
  hasAll(account, ofDevice(account, account.device))
  account.remove([])
  const second = account.addDevice()
  for (const n of [1, 2]) account.reset({ timeMs: account.scribe.timeMs + n })
  const third = account.addDevice()
  for (const device of [account.device, third]) hasAll(account, ofDevice(account, device))
  hasAll(account, ofRoot(account))
  for (const device of old) assert.is(epochsOf(ofDevice(account, device)).at(-1), had)
  assert.equal(ofDevice(account, second).size, 4)
})

test('a key that does not match its commitment is not taken, wherever it comes from', () => {
  const account = new Account(seededDice(5))
  const { dice, log } = account.scribe
  const wrong = new Map([
    [1, dice(32)],
    [7, dice(32)]
  ])
  hasAll(account, keysOf(account, { device: account.device }, wrong))
  const { entry, device, epochKey } = account.resetting()
  const earlier = sealEarlier(crypto, log, epochKey, wrong, dice)
  const deviceBox = crypto.sealTo(device.sealing.publicKey, dice(32), dice)
  const statement = statementOf(entry, 'reset')
  const statements = account.scribe.statements
  const open = (over: Partial<typeof statement>, had?: ReadonlyMap<number, Uint8Array>) =>
    libraryEpochKeys(crypto, log, [...statements, { ...statement, ...over }], { ...NOBODY, device }, had)
  assert.equal(epochsOf(open({ earlier })), [statement.epoch])
  assert.is(open({ deviceBox }).size, 0)
  assert.is(open({ deviceBox, commitment: commitment(crypto, log, statement.epoch + 1, epochKey) }).size, 0)
  assert.is(open({}).size, 2)
  // What is known already opens the rest.
  assert.is(open({ deviceBox }, new Map([[statement.epoch, epochKey]])).size, 2)
})

test('earlier keys open under their log and key, and what is cut off is null', () => {
  const dice = seededDice(6)
  const [log, key] = [logId(dice(32)), dice(32)]
  for (const epochs of [[], [1], [3, 1, 2 ** 32 - 1]]) {
    const keys = new Map(epochs.map(epoch => [epoch, dice(32)]))
    const sealed = sealEarlier(crypto, log, key, keys, dice)
    const sorted = [...keys].sort(([a], [b]) => a - b)
    assert.is(text([...known(openEarlier(crypto, log, key, sealed))]), text(sorted))
    assert.is(openEarlier(crypto, log, dice(32), sealed), null)
    assert.is(openEarlier(crypto, logId(dice(32)), key, sealed), null)
    assert.is(openEarlier(crypto, log, key, sealed.slice(1)), null)
    for (const bytes of [1, 35, 37]) {
      const other = crypto.seal(crypto.mac(key, 'earlier epochs'), dice(bytes), log, dice)
      assert.is(openEarlier(crypto, log, key, other), null)
    }
  }
})

test('a reset carries the newest keys up to its bound', () => {
  const account = new Account(seededDice(7))
  const { dice, log } = account.scribe
  const epochKey = dice(32)
  for (const count of [EARLIER_KEYS_MAX, EARLIER_KEYS_MAX + 1]) {
    const earlier = new Map(Array.from({ length: count }, (_, i) => [i + 1, dice(32)]))
    const device = deviceKeys(crypto, dice(32))
    const o = { entropy: account.entropy, device, epochKey, earlier, timeMs: account.scribe.timeMs }
    const statement = known(authorReset(crypto, account.library, o, dice))
    const opened = known(openEarlier(crypto, log, epochKey, statement.earlier))
    assert.is(opened.size, EARLIER_KEYS_MAX)
    assert.is(Math.min(...opened.keys()), count - EARLIER_KEYS_MAX + 1)
    account.scribe.take(account.scribe.access(account.root, statement))
    account.scribe.timeMs++
  }
})

/** All epoch keys that someone comes by who tries every key on every box, for as long as there is something new. */
function everythingOpened(account: Account, pairs: readonly KeyPair[], keys: readonly Uint8Array[]): Set<string> {
  const { log, statements } = account.scribe
  const found = new Map(keys.map(key => [hex(key), key]))
  const sealed: Uint8Array[] = []
  for (const s of statements) {
    const boxes =
      s.type === 'remove-devices'
        ? [...s.seals.map(seal => seal.box), s.recoveryBox]
        : s.type === 'create-library' || s.type === 'reset'
          ? [s.deviceBox, s.recoveryBox]
          : s.type === 'invite' || s.type === 'join-library'
            ? [s.box]
            : []
    sealed.push(...boxes)
  }
  for (let before = -1; before < found.size; ) {
    before = found.size
    const all = [...pairs, ...[...found.values()].map(key => accountSealingKeys(crypto, key))]
    const opened = sealed.flatMap(box => all.map(pair => crypto.openSealed(pair, box)))
    for (const s of statements) {
      for (const key of found.values()) {
        if (s.type === 'remove-devices') opened.push(crypto.open(crypto.mac(key, 'previous epoch'), s.previous, log))
        if (s.type === 'reset') opened.push(...(openEarlier(crypto, log, key, s.earlier)?.values() ?? []))
      }
    }
    for (const key of opened) if (key) found.set(hex(key), key)
  }
  return new Set(found.keys())
}

test('in random lives every device that is in opens all, and who went out nothing later with all it has', () => {
  for (let seed = 100; seed < 115; seed++) {
    const int = seededInts(seed)
    const account = new Account(seededDice(seed))
    /** Of each device that went out: how many epochs there were, and what it had. */
    const out = new Map<DeviceKeys, { epochs: number; had: Uint8Array[]; links: InviteKeys[] }>()
    const links: InviteKeys[] = []
    for (let n = 0; n < 16; n++) {
      const before = [...account.devices]
      const had = [...account.epochKeys]
      const act = int(8)
      if (act === 0) account.reset({ timeMs: account.scribe.timeMs + n })
      else if (act === 1) {
        const { keys, entry } = account.invite({ uses: 5 })
        account.scribe.take(entry)
        links.push(keys)
      } else randomAct(account, int)
      for (const device of before) {
        if (account.devices.includes(device)) continue
        // Whoever leaves is in the epoch still: the next one shuts it out.
        if (account.library.rotationDue) account.remove([])
        out.set(device, { epochs: had.length, had, links: [...links] })
      }
    }
    for (const device of account.devices) hasAll(account, ofDevice(account, device), `seed ${seed}`)
    hasAll(account, ofRoot(account), `seed ${seed}`)
    for (const [device, { epochs, had, links: held }] of out) {
      const later = account.epochKeys.slice(epochs).map(hex)
      assert.ok(later.length > 0)
      for (const invite of [null, ...held]) {
        const keys = keysOf(account, { device, invite }, new Map(had.map((key, i) => [i + 1, key])))
        assert.ok(
          [...keys.values()].every(key => !later.includes(hex(key))),
          `seed ${seed}`
        )
      }
      const pairs = [device.sealing, ...held.map(keys => keys.sealing)]
      const all = everythingOpened(account, pairs, had)
      assert.is(all.size, had.length, `seed ${seed}`)
      assert.ok(later.every(key => !all.has(key)))
    }
  }
})

test('the attack that finds nothing finds everything with the keys of who is in', () => {
  const account = new Account(seededDice(8))
  account.remove([])
  account.reset()
  const second = account.addDevice()
  account.remove([])
  const all = everythingOpened(account, [second.sealing], [])
  assert.equal(all, new Set(account.epochKeys.map(hex)))
})

test('statements of another log open nothing', () => {
  const account = new Account(seededDice(9))
  const scribe = new Scribe(logId(account.scribe.dice(32)), account.scribe.dice)
  const holder = { ...NOBODY, device: account.device }
  assert.is(libraryEpochKeys(crypto, scribe.log, account.scribe.statements, holder).size, 0)
  equalBytes(known(ofDevice(account, account.device).get(1)), account.epochKey)
})

test.run()
