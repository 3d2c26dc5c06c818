/** What a share's list says to an account that holds a link to it: the one judgement behind `preview` and `accept`. */
import {
  type AccountId,
  type ErrorCode,
  hex,
  type InviteId,
  LendError,
  limits,
  openInvite,
  Refusal,
  type ShareList,
  same
} from '@lend/engine'

/**
 * @param nowMs null not to judge the invite's expiry, which its relay does
 * @returns ALREADY_MEMBER for who is in: `accept` then resolves with the share and uses nothing
 */
export function answerTo(
  list: ShareList,
  account: AccountId,
  invite: InviteId,
  nowMs: number | null
): 'ok' | ErrorCode {
  const key = hex(account)
  if (same(list.owner, account)) return 'YOU_ARE_THE_OWNER'
  if (list.members.has(key)) return 'ALREADY_MEMBER'
  if (list.stopped) return 'STOPPED'
  const open = openInvite(list.invites, invite, nowMs)
  if (open instanceof Refusal) {
    // What has ended their membership says more than what became of the link.
    const former = list.former.get(key)
    if (former?.reason === 'expired') return 'EXPIRED'
    return former && former.reason !== 'left' ? 'REMOVED' : (open.code as ErrorCode)
  }
  if (open.bound && !same(open.bound, account)) return 'INVITE_NOT_FOR_YOU'
  return list.members.size >= limits.MEMBERS_MAX ? 'LIMIT_MEMBERS' : 'ok'
}

/** An answer that is a no, as `accept` rejects with it. */
export function refusedBy(answer: ErrorCode): LendError {
  return new LendError(answer, SENTENCES[answer] ?? 'this link lets this account not in; ask for a new one')
}

const SENTENCES: Partial<Record<ErrorCode, string>> = {
  YOU_ARE_THE_OWNER: 'this share is your own',
  STOPPED: 'its owner has stopped this share',
  EXPIRED: 'your access has ended at the time that its owner set; ask for a new link',
  REMOVED: 'its owner removed this account; only a link that is made after that lets it in again',
  INVITE_UNKNOWN: 'there is no such invite; ask for a new one',
  INVITE_USED: 'this invite is used up; ask for a new one',
  INVITE_VOID: 'this invite was taken back; ask for a new one',
  INVITE_EXPIRED: 'this invite has expired; ask for a new one',
  INVITE_NOT_FOR_YOU: 'this link is for another account; ask for one of your own',
  LIMIT_MEMBERS: 'the share has its most members; its owner must remove one first'
}
