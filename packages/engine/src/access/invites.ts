/**
 * The invites of an access list, of a library and of a share alike: which there were, and which are open. Dead ones stay for
 * ever, so that no id is used twice; what a `remove` has to look at are the open ones.
 */
import { hex, type InviteId } from '../bytes/ids.ts'
import { INVITES_MAX } from '../limits.ts'
import { type Refusal, refuse } from '../refusal.ts'
import type { Invite } from './invite.ts'
import type { InviteStatement } from './statement.ts'

export interface Invites {
  readonly invites: ReadonlyMap<string, Invite>
  /** The keys of those in `invites` that are open: at most INVITES_MAX. */
  readonly open: ReadonlySet<string>
  /** Data is EPOCH_STALE until the owner has started the next epoch. */
  readonly rotationDue: boolean
}

/** A list as the fold that it belongs to advances it; to everyone else it is for reading. */
export type Advancing<List> = {
  -readonly [K in keyof List]: List[K] extends ReadonlyMap<infer Key, infer Value>
    ? Map<Key, Value>
    : List[K] extends ReadonlySet<infer Value>
      ? Set<Value>
      : List[K]
}

/** What a valid entry does to its list. It is done last of all, so that a refused entry changes nothing. */
export type Change<List> = (list: Advancing<List>) => void

/** The open invites, oldest first; some may have expired. */
export function openInvites(list: Pick<Invites, 'invites' | 'open'>): Invite[] {
  return [...list.open].flatMap(key => list.invites.get(key) ?? [])
}

export function addInvite(list: Invites, s: InviteStatement): Change<Invites> | Refusal {
  const key = hex(s.invite)
  if (list.invites.has(key)) return refuse('INVITE_EXISTS', 'invite: its id was used before')
  if (list.open.size >= INVITES_MAX) {
    return refuse('LIMIT_INVITES', `invite: ${list.open.size} are open, at most ${INVITES_MAX}; void some`)
  }
  const { invite: id, sealingKey, uses, expiresMs, untilMs, bound } = s
  return ({ invites, open }) => {
    invites.set(key, { id, sealingKey, uses, left: uses, expiresMs, untilMs, bound, state: 'open' })
    open.add(key)
  }
}

/** Who holds the link may hold the epoch's key, so a rotation is due. */
export function voidInvite(list: Invites, id: InviteId): Change<Invites> | Refusal {
  const invite = list.invites.get(hex(id))
  if (!invite) return refuse('INVITE_UNKNOWN', 'void: there is no such invite')
  if (invite.state !== 'open') return refuse('INVITE_VOID', 'void: this invite is dead already')
  return next => {
    close(next, [hex(id)])
    next.rotationDue = true
  }
}

/** One use of an open invite. */
export function spend(list: Advancing<Invites>, invite: Invite): void {
  const key = hex(invite.id)
  const left = invite.left - 1
  list.invites.set(key, { ...invite, left, state: left === 0 ? 'used' : 'open' })
  if (left === 0) list.open.delete(key)
}

/** These open invites are void from now on. */
export function close(list: Advancing<Invites>, keys: Iterable<string>): void {
  for (const key of keys) {
    const invite = list.invites.get(key)
    if (invite) list.invites.set(key, { ...invite, left: 0, state: 'void' })
    list.open.delete(key)
  }
}
