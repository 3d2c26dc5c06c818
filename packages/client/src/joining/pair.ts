/** Pairing: this device becomes one of an account by a link that another of its devices made. */
import {
  accountId,
  authorDeviceJoin,
  type DeviceKeys,
  hex,
  inviteKeys,
  LendError,
  type LibraryList,
  type Link,
  libraryEpochKeys,
  openInvite,
  Refusal,
  same
} from '@lend/engine'
import type { Seeds } from '../account/account-keys.ts'
import { type Begin, type Folder, isPutOut } from '../account/account-store.ts'
import type { AccessVisit } from '../log/visit.ts'
import { RelayConnection } from '../relay/connection.ts'
import {
  admit,
  admitInPlace,
  type Candidate,
  forgetCandidate,
  keepCandidate,
  keptCandidate,
  keysOf
} from './candidate.ts'
import { readLink, visitLink } from './link-visit.ts'

/**
 * How a folder comes to hold the account that the link is of. One that holds it already stays as it is, and the link unused;
 * unless its device is out since another copy of it took its place: it gets a fresh one, and loses nothing.
 * @throws LendError BAD_LINK; when it begins INVITE_*, OFFLINE, DEVICE_REMOVED and others of visitLink, BAD_FIELD for a folder that
 * holds another account
 */
export function pairing(text: string, deviceName: string): Begin {
  const link = readLink(text)
  if (link.kind !== 'device') throw new LendError('BAD_LINK', 'this link lends a share; open it with accept')
  return async (folder, seeds) => {
    if (seeds && !same(seeds.account, link.log)) {
      throw new LendError('BAD_FIELD', 'path: another account is kept there; pair in a folder of its own')
    }
    return seeds && !(await isPutOut(folder.store)) ? seeds : pair(folder, link, deviceName, seeds)
  }
}

/** @param before the device that is out */
async function pair(folder: Folder, link: Link, deviceName: string, before: Seeds | null): Promise<Seeds> {
  const candidate = await candidateFor(folder, link, deviceName)
  try {
    return await enter(folder, link, candidate, null, visit => {
      if (before) return admitInPlace(folder, before, candidate, visit)
      return admit(folder, candidate, visit, keysBy(folder, link, visit))
    })
  } catch (error) {
    // Known not to be in. After anything else only the relay knows.
    if (error instanceof LendError && NOT_IN.test(error.code)) await forgetCandidate(folder)
    throw error
  }
}

/**
 * Joins the library by the link, if the candidate is not in already; it is kept before the relay can know it.
 * @param admitted what is done once the list has it
 * @throws LendError DEVICE_REMOVED, those of visitLink, what `admitted` throws, the signal's reason
 */
export async function enter<T>(
  folder: Folder,
  link: Link,
  candidate: Candidate,
  signal: AbortSignal | null,
  admitted: (visit: AccessVisit<LibraryList>) => Promise<T>
): Promise<T> {
  const { suite, world } = folder
  const device = keysOf(folder, candidate)
  const connection = new RelayConnection({ url: link.relayUrl, relayKey: link.relayKey, world, suite, device })
  const visiting = { suite, world, link, device, connection, signal: signal ?? undefined }
  try {
    return await visitLink<LibraryList, T>('library', visiting, async visit => {
      await keepCandidate(folder, candidate)
      await visit.write(list => decideJoin(folder, link, device, visit, list))
      const { list } = visit.history
      if (list?.kind !== 'library' || !list.devices.has(hex(device.id))) throw removedBefore()
      return admitted(visit)
    })
  } finally {
    connection.close()
  }
}

const NOT_IN = /^(INVITE_|BAD_LINK$|DEVICE_REMOVED$)/

/** The device that was cut off on its way into this account goes on, lest there be two of it. */
async function candidateFor(folder: Folder, link: Link, deviceName: string): Promise<Candidate> {
  const { relayUrl, relayKey } = link
  const account = accountId(link.log)
  const kept = await keptCandidate(folder)
  const deviceSeed = kept && same(kept.account, account) ? kept.deviceSeed : folder.world.dice(32)
  return { account, deviceSeed, deviceName, relayUrl, relayKey }
}

function decideJoin(
  folder: Folder,
  link: Link,
  device: DeviceKeys,
  visit: AccessVisit<LibraryList>,
  list: LibraryList
): ReturnType<typeof authorDeviceJoin> {
  const { suite, world } = folder
  const keys = inviteKeys(suite, link.secret)
  if (list.devices.has(hex(device.id))) return null
  if (list.gone.has(hex(device.id))) throw removedBefore()
  const open = openInvite(list.invites, keys.id, null)
  if (open instanceof Refusal) throw open
  const epochKey = keysBy(folder, link, visit).get(list.epoch)
  if (!epochKey) throw new LendError('BAD_LINK', 'this link does not open its account; ask for a new one')
  return authorDeviceJoin(suite, list, { keys, device, epochKey }, world.dice)
}

/** Epoch → key, as far as the link opens them. */
function keysBy({ suite }: Folder, link: Link, visit: AccessVisit<LibraryList>): Map<number, Uint8Array> {
  const invite = inviteKeys(suite, link.secret)
  const statements = visit.history.records.map(record => record.statement)
  return libraryEpochKeys(suite, link.log, statements, { device: null, recovery: null, invite })
}

function removedBefore(): LendError {
  return new LendError('DEVICE_REMOVED', 'the account has put this device out meanwhile; pair it again with a new link')
}
