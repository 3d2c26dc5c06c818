/**
 * What makes this device a device of its account: the secrets that are kept here and never leave. All other keys come from
 * them and from the library's access entries.
 */
import {
  type AccountId,
  accountId,
  accountOfRootKey,
  authorAccount,
  authorLibrary,
  type DeviceKeys,
  type Dice,
  deviceKeys,
  isAccountDue,
  type KeyPair,
  type LibraryList,
  logId,
  Reader,
  rootKeys,
  type ShareList,
  type Statement,
  type Suite,
  Writer
} from '@lend/engine'
import { accessEntry } from '../log/author.ts'

/** The account, as its device proves it to others and opens what is sealed to it. */
export interface AccountKeys {
  readonly account: AccountId
  readonly device: DeviceKeys
  /** One for each epoch of the library. */
  readonly sealing: readonly KeyPair[]
  readonly library: LibraryList
  /** The library's access entries, verbatim: what proves the account to others. */
  readonly proof: readonly Uint8Array[]
}

/** What is kept of a device of an account. */
export interface Seeds {
  readonly account: AccountId
  /** 32 bytes, from which this device's keys come. */
  readonly deviceSeed: Uint8Array
  /** The library's first entry, on the device that made it. */
  readonly created: Uint8Array | null
  readonly relayUrl: string
  /** What account and device were called when this was made; the library says what they are called now. */
  readonly name: string
  readonly deviceName: string
}

/** The `account` statement that a share's list lacks of this account; null when it lacks none. */
export function accountDue(
  list: ShareList,
  { library, proof }: Pick<AccountKeys, 'library' | 'proof'>
): Statement | null {
  return isAccountDue(list, library) ? authorAccount(list, library, proof) : null
}

const TEXT_BYTES_MAX = 4096
const ENTRY_BYTES_MAX = 1024 * 1024

/** Makes an account with this device as its first. @returns entropy: 32 bytes, from which root and recovery key come */
export function newSeeds(o: { suite: Suite; dice: Dice; name: string; deviceName: string; relayUrl: string }): {
  readonly seeds: Seeds
  readonly entropy: Uint8Array
} {
  const { suite, dice, name, deviceName, relayUrl } = o
  const entropy = dice(32)
  const deviceSeed = dice(32)
  const device = deviceKeys(suite, deviceSeed)
  const account = accountOfRootKey(suite, rootKeys(suite, entropy).signing.publicKey)
  const log = logId(account)
  const statement = authorLibrary(suite, { log, entropy, device, epochKey: dice(32), name }, dice)
  const created = accessEntry(suite, log, device, null, statement).bytes
  return { seeds: { account, deviceSeed, created, relayUrl, name, deviceName }, entropy }
}

export function encodeSeeds(s: Seeds): Uint8Array {
  const w = new Writer().bytes(s.account).bytes(s.deviceSeed)
  w.optional(s.created, bytes => w.sized(bytes))
  return w.text(s.relayUrl).text(s.name).text(s.deviceName).finish()
}

export function decodeSeeds(bytes: Uint8Array): Seeds {
  const r = new Reader(bytes, 'BAD_FRAME', 'record')
  return {
    account: accountId(r.bytes(32)),
    deviceSeed: r.bytes(32),
    created: r.optional(() => r.sized(ENTRY_BYTES_MAX)),
    relayUrl: r.text(TEXT_BYTES_MAX),
    name: r.text(TEXT_BYTES_MAX),
    deviceName: r.text(TEXT_BYTES_MAX)
  }
}
