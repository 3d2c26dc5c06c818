/** Joining by a link: one statement, decided against the share's list, written by this account's own device. */
import {
  type AccountId,
  authorJoin,
  epochKeys,
  hex,
  inviteKeys,
  type KeyPair,
  LendError,
  type LibraryList,
  openName,
  type ShareList
} from '@lend/engine'
import type { AccessVisit } from '../log/visit.ts'
import type { Owner } from '../share/types.ts'
import { answerTo, refusedBy } from './answer.ts'
import { type LinkVisit, visitLink } from './link-visit.ts'

/** Who joins. */
export interface Joiner {
  readonly account: AccountId
  readonly library: LibraryList
  /** The library's access entries, verbatim. */
  readonly proof: readonly Uint8Array[]
  readonly sealing: readonly KeyPair[]
}

/** A membership, as a device knows it without the share's replica. */
export interface Joined {
  readonly owner: Owner
  /** Relay time. */
  readonly sinceMs: number
}

/**
 * Resolves when the relay has this account as a member; at once when it is one already.
 * @param name that the share's people see
 * @throws LendError YOU_ARE_THE_OWNER, REMOVED, EXPIRED, BAD_LINK and those of visitLink
 */
export function join(joiner: Joiner, name: string, o: LinkVisit): Promise<Joined> {
  const { suite, world, link, device } = o
  const { account, library, proof } = joiner
  const invite = inviteKeys(suite, link.secret)
  return visitLink<ShareList, Joined>('share', o, async visit => {
    await visit.write(list => {
      const answer = answerTo(list, account, invite.id, null)
      if (answer === 'ALREADY_MEMBER') return null
      if (answer !== 'ok') throw refusedBy(answer)
      const keys = epochKeys(suite, link.log, statementsOf(visit), { account, sealingKeys: joiner.sealing, invite })
      const epochKey = keys.get(list.epoch)
      if (!epochKey) throw new LendError('BAD_LINK', 'this link does not open its share; ask for a new one')
      const o = { keys: invite, account: library, accountProof: proof, device, epochKey, name }
      return authorJoin(suite, list, o, world.dice)
    })
    const joined = joinedIn(visit, joiner, o)
    if (!joined) throw new LendError('INVITE_UNKNOWN', 'the relay did not take the join; ask for a new link')
    return joined
  })
}

/** This account's membership in the log that is visited; null when it is none. */
export function joinedIn(visit: AccessVisit, joiner: Joiner, { suite }: Pick<LinkVisit, 'suite'>): Joined | null {
  const { list } = visit.history
  const { account, sealing } = joiner
  const member = list?.kind === 'share' ? list.members.get(hex(account)) : null
  if (list?.kind !== 'share' || !member) return null
  const keys = epochKeys(suite, list.log, statementsOf(visit), { account, sealingKeys: sealing, invite: null })
  const key = keys.get(1)
  const name = key && openName(suite, list.log, key, list.ownerSealedName)
  return { owner: { account: list.owner, name: name ?? '' }, sinceMs: member.joinedMs }
}

function statementsOf(visit: AccessVisit) {
  return visit.history.records.map(record => record.statement)
}
