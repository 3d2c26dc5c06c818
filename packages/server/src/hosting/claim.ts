/**
 * What a follower has shown of itself, looked at once, when it follows. What it gets for it is seat.ts.
 */
import {
  type AccessList,
  type AccountId,
  accountId,
  concat,
  type DeviceId,
  decodeEntry,
  type EntryId,
  type Follow,
  hex,
  type InviteId,
  inviteId,
  type LibraryList,
  Refusal,
  verifyPeek
} from '@lend/engine'
import type { Host, Requester } from './host.ts'
import { foldProofInTurns, knownOf } from './proofs.ts'

export interface Claim {
  readonly device: DeviceId
  /** The invite whose secret it has proved to hold, or that it named and did not prove. */
  readonly invite: { readonly id: InviteId; readonly proved: boolean } | null
  /** The newest access entry of a head of ours that it showed: it was served here before, when that one was in the log. */
  readonly shown: EntryId | null
  /** The account that it has proved to be a device of, by entries that the log's list may not have yet. */
  readonly proven: Proven | null
}

/** An account that the device is of, by entries that continue what the log had of it. */
export interface Proven {
  readonly account: AccountId
  /** The ids of those entries in order, 32 bytes each; before them that of the one which they continue. */
  readonly ids: Uint8Array
}

/** @param shown of a head of this relay's own */
export async function claimOf(
  host: Pick<Host, 'suite' | 'turns'>,
  list: AccessList | null,
  requester: Pick<Requester, 'device' | 'nonces'>,
  { log, invite, accountProof }: Follow,
  shown: EntryId | null
): Promise<Claim> {
  const { device, nonces } = requester
  return {
    device,
    invite: invite && {
      id: inviteId(invite.id.slice()),
      proved: verifyPeek(host.suite, invite.id, invite.signature, log, nonces)
    },
    shown,
    proven: await provenBy(host, list, requester, accountProof, shown !== null)
  }
}

/**
 * A wrong proof is as good as none: who shows it is a stranger.
 * @param wasServed a log that lost its list may come to know the account later
 */
async function provenBy(
  host: Pick<Host, 'suite' | 'turns'>,
  list: AccessList | null,
  requester: Pick<Requester, 'device'>,
  entries: readonly Uint8Array[],
  wasServed: boolean
): Promise<Proven | null> {
  const [first] = entries
  if (!first || list?.kind === 'library') return null
  try {
    const account = accountId(decodeEntry(host.suite, first).log.slice())
    const known = knownOf(list, account)
    if (!known && !wasServed) return null
    const folded = await foldProofInTurns(host, known, { account, entries }, requester)
    return !(folded instanceof Refusal) && folded.devices.has(hex(requester.device))
      ? { account, ids: idsFrom(known?.head ?? null, folded) }
      : null
  } catch (error) {
    if (error instanceof Refusal) return null
    throw error
  }
}

/** Most of a proof is in the log already: what is not is all that each session keeps. @param head null for all */
function idsFrom(head: EntryId | null, { ids }: LibraryList): Uint8Array {
  const all = [...ids]
  return concat(...all.slice(head ? all.indexOf(hex(head)) : 0).map(id => Buffer.from(id, 'hex')))
}
