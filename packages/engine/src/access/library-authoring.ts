/**
 * A library's statements from intents, as authoring.ts has them for shares: each is decided against the list that its
 * author knows, and null says that there is nothing to do (any more).
 */
import { type AccountId, type DeviceId, hex, type LogId, logId } from '../bytes/ids.ts'
import type { Dice, Suite } from '../crypto/suite.ts'
import type { Entry } from '../entry/entry.ts'
import { EARLIER_KEYS_MAX, PROOF_ENTRIES_MAX } from '../limits.ts'
import type { InviteKeys } from './invite.ts'
import {
  accountSealingKeys,
  commitment,
  type DeviceKeys,
  rootKeys,
  sealEarlier,
  sealName,
  sealPrevious
} from './keys.ts'
import { joinProofParts, type LibraryList, resetParts } from './library-list.ts'
import type { CreateLibrary, JoinLibrary, Reason, RemoveFromLibrary, ResetLibrary } from './statement.ts'

/** The first statement of an account's library. @param o.entropy 32 bytes, what the 24 words stand for */
export function authorLibrary(
  suite: Suite,
  o: { log: LogId; entropy: Uint8Array; device: DeviceKeys; epochKey: Uint8Array; name: string },
  dice: Dice
): CreateLibrary {
  const root = rootKeys(suite, o.entropy)
  return {
    type: 'create-library',
    rootKey: root.signing.publicKey,
    rootSignature: suite.sign(root.signing.secretKey, 'device of account', o.device.id, o.device.sealing.publicKey),
    deviceSealingKey: o.device.sealing.publicKey,
    recoverySealingKey: root.recovery.publicKey,
    accountSealingKey: accountSealingKeys(suite, o.epochKey).publicKey,
    commitment: commitment(suite, o.log, 1, o.epochKey),
    deviceBox: suite.sealTo(o.device.sealing.publicKey, o.epochKey, dice),
    recoveryBox: suite.sealTo(root.recovery.publicKey, o.epochKey, dice),
    name: sealName(suite, o.log, o.epochKey, o.name, dice)
  }
}

/** A new device's join by a link's holder; null when it is one already. */
export function authorDeviceJoin(
  suite: Suite,
  list: LibraryList,
  o: { keys: InviteKeys; device: DeviceKeys; epochKey: Uint8Array },
  dice: Dice
): JoinLibrary | null {
  if (list.devices.has(hex(o.device.id))) return null
  const place: Pick<Entry, 'log' | 'author' | 'accessHead'> = {
    log: libraryLog(list.account),
    author: o.device.id,
    accessHead: list.head
  }
  return {
    type: 'join-library',
    invite: o.keys.id,
    proof: suite.sign(o.keys.signing.secretKey, 'join', ...joinProofParts(place, list.account)),
    deviceSealingKey: o.device.sealing.publicKey,
    box: suite.sealTo(o.device.sealing.publicKey, o.epochKey, dice)
  }
}

/**
 * Takes devices out (or none: a rotation) and starts the library's next epoch, with it the account's next sealing key.
 * @returns null when none of `who` is in any more and no rotation is due, or the library was stopped
 */
export function authorDeviceRemoval(
  suite: Suite,
  list: LibraryList,
  o: { who: readonly DeviceId[]; reason: Reason; epochKey: Uint8Array; rotate?: boolean },
  dice: Dice
): { statement: RemoveFromLibrary; epochKey: Uint8Array } | null {
  const who = o.who.filter(device => list.devices.has(hex(device)))
  if (list.stopped || (who.length === 0 && !list.rotationDue && !o.rotate)) return null
  const log = libraryLog(list.account)
  const epochKey = dice(32)
  const out = new Set(who.map(hex))
  const remaining = [...list.devices.values()].filter(({ id }) => !out.has(hex(id)))
  const statement: RemoveFromLibrary = {
    type: 'remove-devices',
    who,
    reason: who.length > 0 ? o.reason : 'rotation',
    accountSealingKey: accountSealingKeys(suite, epochKey).publicKey,
    commitment: commitment(suite, log, list.epoch + 1, epochKey),
    seals: remaining.map(({ id, sealingKey }) => ({ to: id, box: suite.sealTo(sealingKey, epochKey, dice) })),
    recoveryBox: suite.sealTo(list.recoverySealingKey, epochKey, dice),
    previous: sealPrevious(suite, log, epochKey, o.epochKey, dice)
  }
  return { statement, epochKey }
}

/**
 * The root key's word that from now on one new device alone is the account. To be signed with the root key. Its epoch is
 * beyond any that a device could start meanwhile, so nobody who is to be shut out can get in its way.
 * @param o.entropy 32 bytes, what the 24 words stand for
 * @param o.earlier epoch → 32-byte key, of every epoch that the recovery key could open
 * @param o.timeMs the highest time known: the number of a reset is at least that
 * @returns null when the device is in already
 */
export function authorReset(
  suite: Suite,
  list: LibraryList,
  o: {
    entropy: Uint8Array
    device: DeviceKeys
    epochKey: Uint8Array
    earlier: ReadonlyMap<number, Uint8Array>
    timeMs: number
  },
  dice: Dice
): ResetLibrary | null {
  const { device, epochKey } = o
  if (list.devices.has(hex(device.id)) && !list.stopped) return null
  const log = libraryLog(list.account)
  const recovery = rootKeys(suite, o.entropy).recovery.publicKey
  const epoch = list.epoch + PROOF_ENTRIES_MAX
  const signed = {
    number: Math.max((list.reset?.number ?? 0) + 1, o.timeMs),
    deviceSealingKey: device.sealing.publicKey
  }
  // Those before the last reset are in that one, whose own key is among these.
  const earlier = [...o.earlier].sort(([a], [b]) => a - b).slice(-EARLIER_KEYS_MAX)
  return {
    type: 'reset',
    ...signed,
    device: device.id,
    deviceSignature: suite.sign(device.signing.secretKey, 'reset', ...resetParts(list.account, signed)),
    recoverySealingKey: recovery,
    accountSealingKey: accountSealingKeys(suite, epochKey).publicKey,
    epoch,
    commitment: commitment(suite, log, epoch, epochKey),
    deviceBox: suite.sealTo(device.sealing.publicKey, epochKey, dice),
    recoveryBox: suite.sealTo(recovery, epochKey, dice),
    earlier: sealEarlier(suite, log, epochKey, new Map(earlier), dice)
  }
}

/** A library's log id is its account's. */
function libraryLog(account: AccountId): LogId {
  return logId(account)
}
