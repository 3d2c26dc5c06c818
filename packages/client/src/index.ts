/** What apps import. Nobody inside imports this file. */

import { loadSuite } from '@lend/engine'
import { world as platformWorld } from '#world'
import { type Account, type OpenOptions, openAccount as open } from './account/account.ts'
import { preview } from './account/joining.ts'
import type { Offer } from './share/types.ts'

/**
 * Opens the account that is kept at `path`, or makes it on the first run.
 * @throws LendError BAD_FIELD, ALREADY_OPEN, DISK_FULL, NO_PERMISSION, STORE_CORRUPT
 */
export function openAccount(o: OpenOptions): Promise<Account> {
  return open(o, o.world ?? platformWorld)
}

/**
 * What a link offers, before anything is accepted and without an account.
 * @throws LendError BAD_LINK, INVITE_*, STOPPED, OFFLINE
 */
export async function previewInvite(link: string, o: { signal?: AbortSignal } = {}): Promise<Offer> {
  return preview(await loadSuite(), platformWorld, link, o)
}

export { type ErrorCode, LendError, ReadOnlyError } from '@lend/engine'
export type { Account, AccountEvents, OpenOptions } from './account/account.ts'
export type { Progress } from './log/sync.ts'
export type { EndReason, Status } from './share/status.ts'
export type {
  Device,
  Ended,
  Invite,
  LentShare,
  Member,
  Offer,
  Share,
  ShareEvents,
  ShareId
} from './share/types.ts'
export type { Database, Disk, Socket, SocketEvents, World } from './world.ts'
