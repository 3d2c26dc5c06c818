/** What apps import. Nobody inside imports this file. */

import { loadSuite } from '@lend/engine'
import { world as platformWorld } from '#world'
import { type Account, DEVICE_NAME, type OpenOptions, openAccount as open } from './account/account.ts'
import { pairing } from './joining/pair.ts'
import { preview } from './joining/preview.ts'
import { recovering } from './joining/recover.ts'
import type { Offer } from './share/types.ts'

/**
 * Opens the account that is kept at `path`, or makes it on the first run.
 * @throws LendError BAD_FIELD, ALREADY_OPEN, DISK_FULL, NO_PERMISSION, STORE_CORRUPT; after a pairing or recovery that was cut off
 * NO_ACCESS, once, when this device did not get in, and OFFLINE while nobody can tell
 */
export function openAccount(o: OpenOptions): Promise<Account> {
  return open(o, o.world ?? platformWorld)
}

/**
 * Makes this device one of the account whose other device made the link; its name and all it has follow from there. Cut off,
 * it goes on when it is called again.
 * @param o.path a folder without an account; one that holds this account is opened, and the link stays unused, unless another copy of
 * its device took its place (`DEVICE_CLONED`): it goes on with a fresh one
 * @throws LendError BAD_LINK, INVITE_*, OFFLINE, RATE_LIMITED, RELAY_KEY_CHANGED, APP_TOO_OLD, DEVICE_REMOVED, BAD_FIELD for a folder
 * that holds another account, and those of openAccount
 */
export async function pairDevice(link: string, o: OpenOptions): Promise<Account> {
  return open(o, o.world ?? platformWorld, ({ device = DEVICE_NAME }) => pairing(link, device))
}

/**
 * Takes the account back by its 24 words: this device becomes the only one, all others are out, all links are void.
 * @param o.path a folder without an account; @param o.relay one that has the account
 * @throws LendError PHRASE_WRONG, NO_ACCESS when the relay knows no account of these words, OFFLINE, RATE_LIMITED, APP_TOO_OLD, BAD_FIELD
 * for a folder that holds an account, and those of openAccount
 */
export async function recoverAccount(phrase: string, o: OpenOptions): Promise<Account> {
  const world = o.world ?? platformWorld
  const account = await open(o, world, ({ device = DEVICE_NAME, relay }) => recovering(phrase, device, relay))
  try {
    await account.confirmPhrase(phrase)
  } catch (error) {
    await account.close()
    throw error
  }
  return account
}

/**
 * What a link offers, before anything is accepted and without an account.
 * @throws LendError BAD_LINK, INVITE_*, STOPPED, PLAN_NEEDED, APP_TOO_OLD, OFFLINE, RATE_LIMITED, RELAY_KEY_CHANGED
 */
export async function previewInvite(link: string, o: { signal?: AbortSignal } = {}): Promise<Offer> {
  return preview(await loadSuite(), platformWorld, link, o)
}

/** Every code, when it comes and what to do: docs/ERRORS.md. */
export { type ErrorCode, LendError, ReadOnlyError } from '@lend/engine'
export type { Account, AccountEvents, OpenOptions } from './account/account.ts'
export type { Fields, Json } from './library/fields.ts'
export type { Item, ItemId, Library, LibraryEvents } from './library/library.ts'
export type { EndReason, Status } from './log/status.ts'
export type { Progress } from './log/sync.ts'
export type {
  Device,
  Ended,
  HistoryEvent,
  HistoryInvite,
  HistoryPerson,
  Invite,
  LentShare,
  Member,
  Missing,
  Offer,
  Owner,
  Refers,
  Share,
  ShareEvents,
  ShareId
} from './share/types.ts'
export type { Database, Disk, Socket, SocketEvents, World } from './world.ts'
