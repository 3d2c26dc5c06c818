/**
 * A list that the relay tells anew, beside the one that this device has verified: whether it may count. A relay that goes
 * back, alone or with a member, has only old entries to show, and new ones by those whom it holds. So what this device
 * knows to be over stays over, also when the list no longer says so:
 *
 * - an earlier membership of this account: what ended it did not end the one that followed;
 * - a device that was put out of its account: it ends nothing any more.
 *
 * An end that counts by this wipes the replica. One that doesn't only locks it, as any word of a relay may.
 */
import { type AccessHistory, type AccountId, hex, type ShareList, same } from '@lend/engine'

/** What is over, by hex id; kept through every retelling. */
export interface Past {
  /** The joins of this account's earlier memberships. */
  readonly joins: ReadonlySet<string>
  readonly devicesOut: ReadonlySet<string>
}

export const NO_PAST: Past = { joins: new Set(), devicesOut: new Set() }

/** What is over by a verified list, and by those before it. */
export function pastOf(before: Past, verified: AccessHistory, account: AccountId | null): Past {
  const list = shareOf(verified)
  if (!list || !account) return before
  const current = currentJoin(list, account)
  const joins = new Set(before.joins)
  for (const { statement, entry } of verified.records) {
    if (statement.type !== 'join-share' || !same(statement.account, account)) continue
    if (hex(entry.id) !== current) joins.add(hex(entry.id))
  }
  const devicesOut = new Set(before.devicesOut)
  for (const { gone } of list.accounts.values()) for (const device of gone.keys()) devicesOut.add(device)
  return { joins, devicesOut }
}

/** What is over when `told` takes the place of `verified`: a membership that is news has followed the one known so far. */
export function pastAfter(past: Past, verified: AccessHistory, told: AccessHistory, account: AccountId | null): Past {
  const [ours, theirs] = [verified, told].map(history => currentJoin(shareOf(history), account))
  const isNews = ours && theirs && ours !== theirs && !past.joins.has(theirs)
  return isNews ? { ...past, joins: new Set(past.joins).add(ours) } : past
}

/**
 * Whether the end that a list tells of this account's membership is one: by the member itself or by the owner, and of
 * the newest membership that this device knows. True also when the list tells of none.
 */
export function endCounts(past: Past, told: AccessHistory, account: AccountId | null): boolean {
  const list = shareOf(told)
  const former = list && account ? list.former.get(hex(account)) : null
  if (former && past.joins.has(hex(former.entry))) return false
  const end = former?.ended ?? list?.stopped ?? null
  const record = end && told.records[told.indexOf(end) ?? -1]
  return !record || !past.devicesOut.has(hex(record.entry.author))
}

/** Whether a list told anew takes the place of the verified one. @param past with what the verified list says is over */
export function mayReplace(
  past: Past,
  verified: AccessHistory,
  told: AccessHistory,
  account: AccountId | null
): boolean {
  const [ours, theirs] = [verified.list, told.list]
  if (!theirs) return false
  // Less than what this device has verified: a relay that goes back takes nothing from us.
  if (ours && !same(theirs.head, ours.head) && verified.has(theirs.head)) return false
  return endCounts(past, told, account)
}

/** Hex of the join of the membership that the list tells of, present or ended. */
function currentJoin(list: ShareList | null, account: AccountId | null): string | null {
  const key = account ? hex(account) : ''
  const membership = list?.members.get(key) ?? list?.former.get(key)
  return membership ? hex(membership.entry) : null
}

function shareOf({ list }: AccessHistory): ShareList | null {
  return list?.kind === 'share' ? list : null
}
