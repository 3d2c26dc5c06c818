/**
 * The keys of accounts, devices and epochs, and how epoch keys reach those who may have them.
 * Source: docs/PROTOCOL.md, Keys.
 */
import { type DeviceId, deviceId, type LogId } from '../bytes/ids.ts'
import { concat, Writer } from '../bytes/writer.ts'
import { pad, unpad } from '../crypto/padding.ts'
import type { Dice, KeyPair, Suite } from '../crypto/suite.ts'
import { NAME_BYTES_MAX } from '../limits.ts'

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

/**
 * The keys of epochs before a reset, under the new one: who is in from there on can read what stands before it.
 * @param earlier epoch → 32-byte key, at most EARLIER_KEYS_MAX
 */
export function sealEarlier(
  suite: Suite,
  log: LogId,
  epochKey: Uint8Array,
  earlier: ReadonlyMap<number, Uint8Array>,
  dice: Dice
): Uint8Array {
  const w = new Writer()
  for (const [epoch, key] of [...earlier].sort(([a], [b]) => a - b)) w.u32(epoch).bytes(key)
  return suite.seal(suite.mac(epochKey, 'earlier epochs'), w.finish(), log, dice)
}

/** @returns epoch → 32-byte key; null when it does not open or is of another shape */
export function openEarlier(
  suite: Suite,
  log: LogId,
  epochKey: Uint8Array,
  sealed: Uint8Array
): Map<number, Uint8Array> | null {
  const bytes = suite.open(suite.mac(epochKey, 'earlier epochs'), sealed, log)
  if (!bytes || bytes.length % 36 !== 0) return null
  const keys = new Map<number, Uint8Array>()
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  for (let at = 0; at < bytes.length; at += 36) keys.set(view.getUint32(at), bytes.slice(at + 4, at + 36))
  return keys
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

/** What a member's device signs to show a hub that its account is a member now, and that it is this device. */
export function membershipProofParts(log: LogId, accessHead: Uint8Array, challenge: Uint8Array): Uint8Array[] {
  return [concat(log, accessHead), challenge]
}
