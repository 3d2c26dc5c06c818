/**
 * The keys of accounts, devices and epochs, and how epoch keys reach those who may have them.
 * Source: docs/PROTOCOL.md, Keys.
 */
import { type AccountId, type DeviceId, deviceId, type LogId, same } from '../bytes/ids.ts'
import { concat, Writer } from '../bytes/writer.ts'
import { pad, unpad } from '../crypto/padding.ts'
import type { Dice, KeyPair, Suite } from '../crypto/suite.ts'
import { NAME_BYTES_MAX } from '../limits.ts'
import type { InviteKeys } from './invite.ts'
import type { Statement } from './statement.ts'

export interface DeviceKeys {
  readonly id: DeviceId
  readonly signing: KeyPair
  readonly sealing: KeyPair
}

/** From a device's 32-byte seed. */
export function deviceKeys(suite: Suite, seed: Uint8Array): DeviceKeys {
  const signing = suite.signingKeys(suite.mac(seed, 'account signing'))
  return { id: deviceId(signing.publicKey), signing, sealing: suite.sealingKeys(suite.mac(seed, 'device sealing')) }
}

/** From the 32 bytes of entropy behind the 24 words. */
export function rootKeys(suite: Suite, entropy: Uint8Array): { signing: KeyPair; recovery: KeyPair } {
  return {
    signing: suite.signingKeys(suite.mac(entropy, 'account root')),
    recovery: suite.sealingKeys(suite.mac(entropy, 'recovery sealing'))
  }
}

/** The account's sealing keys in one epoch of its library. */
export function accountSealingKeys(suite: Suite, libraryEpochKey: Uint8Array): KeyPair {
  return suite.sealingKeys(suite.mac(libraryEpochKey, 'account sealing'))
}

/** What data entries of an epoch are sealed under. */
export function dataKey(suite: Suite, epochKey: Uint8Array): Uint8Array {
  return suite.mac(epochKey, 'data key')
}

/** Binds an epoch to one key: a member who opens a seal knows that all others got the same. */
export function commitment(suite: Suite, log: LogId, epoch: number, epochKey: Uint8Array): Uint8Array {
  return suite.hash('epoch commitment', log, new Writer().u32(epoch).finish(), epochKey)
}

/** The key of the epoch before, under the new one: who joins late can read what stands in the log. */
export function sealPrevious(
  suite: Suite,
  log: LogId,
  epochKey: Uint8Array,
  previous: Uint8Array,
  dice: Dice
): Uint8Array {
  return suite.seal(suite.mac(epochKey, 'previous epoch'), previous, log, dice)
}

/** Seals a self-chosen name so that those in the share can read it and the relay can't. @param name NAME_BYTES_MAX */
export function sealName(suite: Suite, log: LogId, epochKey: Uint8Array, name: string, dice: Dice): Uint8Array {
  const bytes = new TextEncoder().encode(name)
  if (bytes.length > NAME_BYTES_MAX) throw new RangeError(`a name of ${bytes.length} bytes, at most ${NAME_BYTES_MAX}`)
  return suite.seal(suite.mac(epochKey, 'name key'), pad(bytes), log, dice)
}

/** @returns null when it does not open or is no text */
export function openName(suite: Suite, log: LogId, epochKey: Uint8Array, sealed: Uint8Array): string | null {
  const padded = suite.open(suite.mac(epochKey, 'name key'), sealed, log)
  const bytes = padded && unpad(padded)
  if (!bytes) return null
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}

/** Whose boxes can be opened: an account in all its library's epochs, or the holder of an invite's secret. */
export interface KeyHolder {
  readonly account: AccountId | null
  readonly sealingKeys: readonly KeyPair[]
  readonly invite: InviteKeys | null
}

/**
 * Collects the epoch keys of a share that the holder can open, newest seal first, then backwards along `previous`.
 * @param statements all access statements so far, in order
 * @param known epoch → key found before; nothing is opened twice
 * @returns epoch → 32-byte key, each one checked against its commitment
 */
export function epochKeys(
  suite: Suite,
  log: LogId,
  statements: readonly Statement[],
  holder: KeyHolder,
  known: ReadonlyMap<number, Uint8Array> = new Map()
): Map<number, Uint8Array> {
  const keys = new Map(known)
  const commitments = new Map<number, Uint8Array>()
  const previous = new Map<number, Uint8Array>()
  const boxes: { epoch: number; box: Uint8Array; by: readonly KeyPair[] }[] = []
  let epoch = 0
  const mine = (id: Uint8Array) => holder.account !== null && same(id, holder.account)
  const byInvite = (id: Uint8Array) => (holder.invite && same(id, holder.invite.id) ? [holder.invite.sealing] : null)
  for (const s of statements) {
    if (s.type === 'create-share') {
      epoch = 1
      commitments.set(epoch, s.commitment)
      if (mine(s.owner)) boxes.push({ epoch, box: s.ownerBox, by: holder.sealingKeys })
    } else if (s.type === 'remove-members') {
      epoch++
      commitments.set(epoch, s.commitment)
      previous.set(epoch, s.previous)
      for (const { to, box } of s.seals) {
        const by = mine(to) ? holder.sealingKeys : byInvite(to)
        if (by) boxes.push({ epoch, box, by })
      }
    } else if (s.type === 'join-share' && mine(s.account)) {
      boxes.push({ epoch, box: s.box, by: holder.sealingKeys })
    } else if (s.type === 'invite') {
      const by = byInvite(s.invite)
      if (by) boxes.push({ epoch, box: s.box, by })
    }
  }
  // What was known of another list (a relay that went back) opens nothing here.
  for (const [at, key] of known) {
    const wanted = commitments.get(at)
    if (!wanted || !same(commitment(suite, log, at, key), wanted)) keys.delete(at)
  }
  const keep = (at: number, key: Uint8Array | null) => {
    const wanted = commitments.get(at)
    if (key && wanted && same(commitment(suite, log, at, key), wanted)) keys.set(at, key)
  }
  for (const { epoch: at, box, by } of boxes) {
    for (const pair of by) if (!keys.has(at)) keep(at, suite.openSealed(pair, box))
  }
  for (let at = epoch; at > 1; at--) {
    const key = keys.get(at)
    const sealed = previous.get(at)
    if (key && sealed && !keys.has(at - 1)) keep(at - 1, suite.open(suite.mac(key, 'previous epoch'), sealed, log))
  }
  return keys
}

/** What a member's device signs to show a hub that its account is a member now, and that it is this device. */
export function membershipProofParts(log: LogId, accessHead: Uint8Array, challenge: Uint8Array): Uint8Array[] {
  return [concat(log, accessHead), challenge]
}
