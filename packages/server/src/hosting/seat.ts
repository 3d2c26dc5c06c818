/**
 * What a device gets of a log: the one place where the relay decides, at a follow and again after each access entry.
 * Pure: list and claim in, seat out. Source: DESIGN.md, 3.2 and 5.
 */
import {
  type AccessList,
  type AccountId,
  accountId,
  type DeviceId,
  decodeEntry,
  type EntryId,
  type Follow,
  foldProof,
  hex,
  type Invite,
  type InviteId,
  inviteId,
  type LogId,
  type Nonces,
  openInvite,
  Refusal,
  refuse,
  type Standing,
  type Suite,
  standingOf,
  verifyPeek
} from '@lend/engine'
import type { Lives } from './lives.ts'

/** What a follower has shown. */
export interface Claim {
  readonly device: DeviceId
  /** The invite whose secret it has proved to hold, or that it named and did not prove. */
  readonly invite: { readonly id: InviteId; readonly proved: boolean } | null
  /** It was served here before: it showed a head of ours. */
  readonly wasServed: boolean
  /** The account that it has proved to be a device of, by entries that the log's list does not have yet. */
  readonly provenAccount: AccountId | null
}

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

export function claimOf(
  suite: Suite,
  list: AccessList | null,
  o: { log: LogId; device: DeviceId; nonces: Nonces; follow: Follow; wasServed: boolean }
): Claim {
  const { invite, accountProof } = o.follow
  return {
    device: o.device,
    invite: invite && {
      id: inviteId(invite.id.slice()),
      proved: verifyPeek(suite, invite.id, invite.signature, o.log, o.nonces)
    },
    wasServed: o.wasServed,
    provenAccount: provenAccount(suite, list, o.device, accountProof)
  }
}

export function seatOf(list: AccessList | null, lives: Lives, claim: Claim, nowMs: number): Seat {
  const standing: Standing = list ? standingBy(list, claim.device, claim.provenAccount) : { is: 'stranger' }
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
      return claim.wasServed && lives.awaitsOwner ? { is: 'waiting' } : { is: 'refused', refusal: noAccess() }
    }
  }
}

/** The standing of a device, or of the account that it has proved to be of when the list does not have it yet. */
export function standingBy(list: AccessList, device: DeviceId, proven: AccountId | null): Standing {
  const listed = standingOf(list, device)
  if (listed.is !== 'stranger' || !proven || list.kind === 'library') return listed
  for (const known of list.accounts.get(hex(proven))?.devices.values() ?? []) return standingOf(list, known.id)
  return listed
}

/** Why this invite lets nobody in, to who holds it; null when none was shown or when it does. */
export function inviteOf(list: AccessList | null, claim: Claim, nowMs: number): Invite | Refusal | null {
  if (!claim.invite) return null
  const invites = list && claim.invite.proved ? list.invites : NO_INVITES
  return openInvite(invites, claim.invite.id, nowMs)
}

function invited(invite: Invite): Seat {
  return { is: 'invited', invite: invite.id, endsMs: invite.expiresMs }
}

/** A wrong proof is as good as none: who shows it is a stranger. */
export function provenAccount(
  suite: Suite,
  list: AccessList | null,
  device: DeviceId,
  proof: readonly Uint8Array[]
): AccountId | null {
  const first = proof[0]
  if (!first || !list || list.kind === 'library') return null
  try {
    const account = accountId(decodeEntry(suite, first).log.slice())
    const known = list.accounts.get(hex(account))
    if (!known) return null
    const folded = foldProof(suite, known, account, proof, { timeMs: null, signatures: true })
    return !(folded instanceof Refusal) && folded.devices.has(hex(device)) ? account : null
  } catch (error) {
    if (error instanceof Refusal) return null
    throw error
  }
}
