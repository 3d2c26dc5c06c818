/**
 * What a device gets of a log: the one place where the relay decides, at a follow and again after each access entry.
 * Pure: list and claim in, seat out. Source: docs/PROTOCOL.md, Sessions.
 */
import {
  type AccessList,
  type DeviceId,
  type EntryId,
  hex,
  type Invite,
  type InviteId,
  openInvite,
  Refusal,
  refuse,
  type Standing,
  same,
  standingOf
} from '@lend/engine'
import type { Claim, Proven } from './claim.ts'
import type { Lives } from './lives.ts'

export type Seat =
  | {
      readonly is: 'served'
      readonly standing: 'owner' | 'member' /** Relay time at which it ends. */
      readonly endsMs: number | null
    }
  /** Kept; served when an owner device has been there. */
  | { readonly is: 'waiting' }
  /** Sees access entries and nothing else. */
  | { readonly is: 'invited'; readonly invite: InviteId; readonly endsMs: number }
  /** Is shown the access entries up to `ended` and nothing else. */
  | { readonly is: 'former'; readonly ended: EntryId }
  | { readonly is: 'refused'; readonly refusal: Refusal }

/** One sentence for a log that does not exist and for one that is not yours. */
export function noAccess(): Refusal {
  return refuse('NO_ACCESS', 'this device may not have this log: ask its owner for an invite')
}

const NO_INVITES: ReadonlyMap<string, Invite> = new Map()

export function seatOf(list: AccessList | null, lives: Lives, claim: Claim, nowMs: number): Seat {
  const standing: Standing = list ? standingBy(list, claim.device, claim.proven) : { is: 'stranger' }
  switch (standing.is) {
    case 'owner':
      return { is: 'served', standing: 'owner', endsMs: null }
    case 'member':
      if (standing.untilMs !== null && nowMs >= standing.untilMs) return { is: 'refused', refusal: noAccess() }
      if (lives.awaitsOwner) return { is: 'waiting' }
      return { is: 'served', standing: 'member', endsMs: standing.untilMs }
    case 'former': {
      const invite = inviteOf(list, claim, nowMs)
      return invite instanceof Refusal || !invite ? { is: 'former', ended: standing.ended } : invited(invite)
    }
    case 'stranger': {
      const invite = inviteOf(list, claim, nowMs)
      if (invite instanceof Refusal) return { is: 'refused', refusal: invite }
      if (invite) return invited(invite)
      return claim.shown && lives.awaitsOwner ? { is: 'waiting' } : { is: 'refused', refusal: noAccess() }
    }
  }
}

/** The standing of a device, or of the account that it has proved to be of when the list does not have it yet. */
export function standingBy(list: AccessList, device: DeviceId, proven: Proven | null): Standing {
  const listed = standingOf(list, device)
  if (listed.is !== 'stranger' || !proven || list.kind === 'library') return listed
  const known = list.accounts.get(hex(proven.account))
  // What it has shown continues what is folded.
  if (!known || !includes(proven.ids, known.head)) return listed
  for (const { id } of known.devices.values()) return standingOf(list, id)
  return listed
}

/** The invite that lets a follower in, or why it lets nobody in; null when none was shown. */
export function inviteOf(list: AccessList | null, claim: Claim, nowMs: number): Invite | Refusal | null {
  if (!claim.invite) return null
  const invites = list && claim.invite.proved ? list.invites : NO_INVITES
  return openInvite(invites, claim.invite.id, nowMs)
}

function invited(invite: Invite): Seat {
  return { is: 'invited', invite: invite.id, endsMs: invite.expiresMs }
}

function includes(ids: Uint8Array, id: EntryId): boolean {
  for (let at = 0; at < ids.length; at += id.length) if (same(ids.subarray(at, at + id.length), id)) return true
  return false
}
