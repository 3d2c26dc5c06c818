/**
 * A device on its way into an account, by a link or by the recovery phrase. It is kept from before the relay can know it
 * until the account's own records take its place; so one that was cut off finds out whether it got in, and no device is
 * made twice.
 *
 *   none → kept → in the list → account        cut off anywhere: begun again from what is kept
 *          kept → none                         the relay says that it never got in
 */
import {
  type AccountId,
  accountId,
  type DeviceKeys,
  deviceKeys,
  hex,
  LendError,
  type LibraryList,
  logId,
  openName,
  Reader,
  Refusal,
  Writer
} from '@lend/engine'
import type { Seeds } from '../account/account-keys.ts'
import { accountRecords, type Folder, freshRecords } from '../account/account-store.ts'
import type { Change } from '../disk/sealed-store.ts'
import { continueList } from '../log/continuing.ts'
import { del, put } from '../log/records.ts'
import { Replica } from '../log/replica.ts'
import type { AccessVisit } from '../log/visit.ts'
import { refusedIntent } from '../log/wishes.ts'
import { RelayConnection } from '../relay/connection.ts'
import { visitLog } from './log-visit.ts'

export interface Candidate {
  readonly account: AccountId
  /** 32 bytes, from which its keys come. */
  readonly deviceSeed: Uint8Array
  readonly deviceName: string
  readonly relayUrl: string
  readonly relayKey: Uint8Array
}

const KEY = 'candidate'
const TEXT_BYTES_MAX = 4096

export async function keptCandidate({ store }: Folder): Promise<Candidate | null> {
  const kept = await store.get(KEY)
  return kept && decodeCandidate(kept)
}

/** Before the relay can know it. */
export function keepCandidate({ store }: Folder, candidate: Candidate): Promise<void> {
  return store.write([put(KEY, encodeCandidate(candidate))], { durable: true })
}

/** It is known not to be in. */
export function forgetCandidate({ store }: Folder): Promise<void> {
  return store.write([forgotten()], { durable: true })
}

/** It is on its way no more. */
export function forgotten(): Change {
  return del(KEY)
}

export function keysOf({ suite }: Folder, candidate: Candidate): DeviceKeys {
  return deviceKeys(suite, candidate.deviceSeed)
}

/**
 * It is in: in one step the folder holds the account, with the library's list.
 * @param epochKeys of the library, as far as they are known
 */
export async function admit(
  { suite, store }: Folder,
  candidate: Candidate,
  visit: AccessVisit<LibraryList>,
  epochKeys: ReadonlyMap<number, Uint8Array>
): Promise<Seeds> {
  const { account, deviceSeed, deviceName, relayUrl, relayKey } = candidate
  const [first] = visit.history.records
  const key = epochKeys.get(1)
  const create = first?.statement.type === 'create-library' ? first.statement : null
  const name = (create && key && openName(suite, logId(account), key, create.name)) ?? ''
  const seeds: Seeds = { account, deviceSeed, created: null, relayUrl, name, deviceName }
  const changes = [...accountRecords(seeds, relayKey), ...visit.replicaRecords(), forgotten()]
  await store.write(changes, { durable: true })
  return seeds
}

/**
 * It is in, in place of a device of the same account that is out: the folder goes on with all that it holds.
 * @throws LendError RELAY_BEHIND, STORE_CORRUPT and those of the disk
 */
export async function admitInPlace(
  { suite, world, disk, store }: Folder,
  before: Seeds,
  { account, deviceSeed, deviceName }: Candidate,
  visit: AccessVisit<LibraryList>
): Promise<Seeds> {
  const seeds: Seeds = { ...before, deviceSeed, deviceName, created: null }
  const replica = await Replica.open<LibraryList>({
    kind: 'library',
    suite,
    world,
    disk,
    log: logId(account),
    writable: true,
    account: null,
    store,
    openKeys: () => new Map(),
    edited: () => {},
    refused: () => {}
  })
  try {
    continueList(replica, visit.history.records)
    replica.change(...freshRecords(seeds), forgotten())
    await replica.commit({ durable: true })
  } finally {
    await replica.close()
  }
  return seeds
}

/**
 * Finds out whether a device that was cut off got in.
 * @returns null when none was
 * @throws LendError NO_ACCESS when it is not in: the folder is as if it had never been; OFFLINE and others of visitLog
 */
export async function admittedBefore(folder: Folder): Promise<Seeds | null> {
  const candidate = await keptCandidate(folder)
  if (!candidate) return null
  const { suite, world } = folder
  const { relayUrl: url, relayKey, account } = candidate
  const device = keysOf(folder, candidate)
  const connection = new RelayConnection({ url, relayKey, world, suite, device })
  const visit = { suite, world, kind: 'library', log: logId(account), device, invite: null, connection } as const
  try {
    return await visitLog<LibraryList, Seeds>(visit, (visit, list) => {
      if (!list.devices.has(hex(device.id))) throw new Refusal('NO_ACCESS', 'this device is not in the list')
      return admit(folder, candidate, visit, new Map())
    })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    if (error.code !== 'NO_ACCESS') throw refusedIntent(error)
    await forgetCandidate(folder)
    const why = 'this device was cut off before it was in its account; pair it again, or recover the account again'
    throw new LendError('NO_ACCESS', why, { cause: error })
  } finally {
    connection.close()
  }
}

function encodeCandidate(c: Candidate): Uint8Array {
  const w = new Writer().bytes(c.account).bytes(c.deviceSeed).text(c.deviceName)
  return w.text(c.relayUrl).bytes(c.relayKey).finish()
}

function decodeCandidate(bytes: Uint8Array): Candidate {
  const r = new Reader(bytes, 'BAD_FRAME', 'record')
  return {
    account: accountId(r.bytes(32)),
    deviceSeed: r.bytes(32),
    deviceName: r.text(TEXT_BYTES_MAX),
    relayUrl: r.text(TEXT_BYTES_MAX),
    relayKey: r.bytes(32)
  }
}
