/**
 * Recovery: the 24 words are the account's root key, and its word makes this device the only one. Every other device is
 * out from then on, and every link void.
 */
import {
  accountOfRootKey,
  authorReset,
  type DeviceKeys,
  deviceId,
  hex,
  LendError,
  type LibraryList,
  libraryEpochKeys,
  logId,
  Refusal,
  rootKeys,
  same
} from '@lend/engine'
import type { Seeds } from '../account/account-keys.ts'
import type { Begin, Folder } from '../account/account-store.ts'
import { decodePhrase } from '../account/phrase.ts'
import type { AccessVisit } from '../log/visit.ts'
import { refusedIntent } from '../log/wishes.ts'
import { RelayConnection } from '../relay/connection.ts'
import { isRelayUrl } from '../relay/relay-url.ts'
import { admit, type Candidate, keepCandidate, keptCandidate, keysOf } from './candidate.ts'
import { visitLog } from './log-visit.ts'

/**
 * How a folder comes to hold the account of these words.
 * @param relayUrl of a relay that has the account's library
 * @throws LendError PHRASE_WRONG, BAD_FIELD; when it begins NO_ACCESS when the relay does not know the account, OFFLINE and others
 * of visitLog, BAD_FIELD for a folder that holds an account
 */
export function recovering(words: string, deviceName: string, relayUrl: string | undefined): Begin {
  const entropy = decodePhrase(words)
  if (!relayUrl || !isRelayUrl(relayUrl)) {
    throw new LendError('BAD_FIELD', 'relay: say which has the account, as ws://… or wss://…', {
      retry: 'after-change'
    })
  }
  return (folder, seeds) => {
    if (!seeds) return recover(folder, entropy, deviceName, relayUrl)
    throw new LendError('BAD_FIELD', 'path: an account is kept there; open it, or recover in a folder of its own')
  }
}

async function recover(folder: Folder, entropy: Uint8Array, deviceName: string, url: string): Promise<Seeds> {
  const { suite, world } = folder
  const root = rootKeys(suite, entropy)
  const account = accountOfRootKey(suite, root.signing.publicKey)
  const device: DeviceKeys = {
    id: deviceId(root.signing.publicKey),
    signing: root.signing,
    sealing: root.recovery
  }
  const connection = new RelayConnection({ url, relayKey: null, world, suite, device })
  const visit = { suite, world, kind: 'library', log: logId(account), device, invite: null, connection } as const
  try {
    return await visitLog<LibraryList, Seeds>(visit, async (visit, list) => {
      const { relayKey } = connection
      if (!relayKey) throw new Error('a relay that was reached has proved its key')
      const deviceSeed = (await resetTo(folder, list)) ?? world.dice(32)
      const candidate: Candidate = { account, deviceSeed, deviceName, relayUrl: url, relayKey }
      await keepCandidate(folder, candidate)
      await visit.write(list => decideReset(folder, entropy, candidate, visit, list))
      return admit(folder, candidate, visit, keysBy(folder, entropy, visit))
    })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    if (error.code !== 'NO_ACCESS') throw refusedIntent(error)
    const why = 'this relay knows no account of these words; check them, and the relay’s address'
    throw new LendError('NO_ACCESS', why, { retry: 'after-change', cause: error })
  } finally {
    connection.close()
  }
}

/** The seed of the device that the list was reset to, when it is the one that was cut off here. */
async function resetTo(folder: Folder, { account, reset, devices }: LibraryList): Promise<Uint8Array | null> {
  const kept = await keptCandidate(folder)
  if (!kept || !reset || !same(kept.account, account)) return null
  const device = devices.get(hex(keysOf(folder, kept).id))
  return device && same(device.entry, reset.entry) ? kept.deviceSeed : null
}

function decideReset(
  folder: Folder,
  entropy: Uint8Array,
  candidate: Candidate,
  visit: AccessVisit<LibraryList>,
  list: LibraryList
): ReturnType<typeof authorReset> {
  const { suite, world } = folder
  const earlier = keysBy(folder, entropy, visit)
  const timeMs = Math.max(visit.timeMs, world.now())
  const o = { entropy, device: keysOf(folder, candidate), epochKey: world.dice(32), earlier, timeMs }
  return authorReset(suite, list, o, world.dice)
}

/** Epoch → key, as far as the words open them. */
function keysBy({ suite }: Folder, entropy: Uint8Array, visit: AccessVisit<LibraryList>): Map<number, Uint8Array> {
  const { recovery } = rootKeys(suite, entropy)
  const { records } = visit.history
  const statements = records.map(record => record.statement)
  const log = records[0]?.entry.log
  return log ? libraryEpochKeys(suite, log, statements, { device: null, recovery, invite: null }) : new Map()
}
