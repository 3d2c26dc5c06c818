/** Members and invites as an owner sees them: the access list, with what is still on its way laid over it. */
import {
  type FormerMember,
  hex,
  inviteKeys,
  type Invite as ListedInvite,
  type Membership,
  openName,
  type ShareList,
  type Suite
} from '@lend/engine'
import type { Intent, KeptIntent } from '../log/intents.ts'
import type { Replica } from '../log/replica.ts'
import type { Invite, Member } from './types.ts'

/** What an owner noted about an invite: it stays with the owner. */
export interface InviteNote {
  readonly name: string | null
  readonly secret: Uint8Array
}

export interface ViewContext {
  readonly suite: Suite
  readonly replica: Replica
  readonly list: ShareList
  readonly intents: readonly KeptIntent[]
  /** Invite hex → note. */
  readonly notes: ReadonlyMap<string, InviteNote>
  /** Device hex → hex of the access entry on which it has deleted its replica. */
  readonly receipts: ReadonlyMap<string, string>
  readonly linkOf: (secret: Uint8Array) => string
  readonly voidInvite: (id: ListedInvite['id']) => Promise<void>
  readonly nowMs: number
}

export function memberViews(c: ViewContext): Member[] {
  const members = [...c.list.members.values()].map(member => memberView(c, member, null))
  const former = [...c.list.former.values()].map(member => memberView(c, member, member))
  return [...members, ...former].sort((a, b) => a.joined.getTime() - b.joined.getTime())
}

function memberView(c: ViewContext, member: Membership, former: FormerMember | null): Member {
  const key = hex(member.account)
  const epochKey = c.replica.epochKey(member.nameEpoch)
  const name = epochKey && openName(c.suite, c.replica.log, epochKey, member.sealedName)
  const label = c.notes.get(hex(member.invite))?.name
  const library = c.list.accounts.get(key)
  const devices = [...(library?.devices.keys() ?? []), ...(library?.gone.keys() ?? [])]
  const intent = c.intents.find(({ intent: i }) => i.type === 'remove' && hex(i.account) === key)
  const ended = former?.ended ?? c.list.stopped
  return {
    account: member.account,
    name: name ?? '',
    ...(label ? { label } : {}),
    joined: new Date(member.joinedMs),
    ...(member.untilMs === null ? {} : { until: new Date(member.untilMs) }),
    state: former ? formerState(former) : intent ? 'removing' : 'joined',
    at: new Date(former?.endedMs ?? (intent ? c.nowMs : member.joinedMs)),
    devices: library?.devices.size ?? 0,
    // A receipt of an earlier time out says nothing of the replica that came after it.
    wiped: ended ? devices.filter(device => c.receipts.get(device) === hex(ended)).length : 0
  }
}

function formerState(former: FormerMember): Member['state'] {
  return former.reason === 'left' ? 'left' : former.reason === 'expired' ? 'expired' : 'removed'
}

export function inviteViews(c: ViewContext, members: readonly Member[]): Invite[] {
  const listed = [...c.list.invites.values()].map(invite => listedView(c, invite, members))
  const pending = c.intents.flatMap(({ intent }) => {
    if (intent.type !== 'invite') return []
    const { id } = inviteKeys(c.suite, intent.secret)
    return c.list.invites.has(hex(id)) ? [] : [pendingView(c, id, intent)]
  })
  return [...listed, ...pending]
}

function listedView(c: ViewContext, invite: ListedInvite, members: readonly Member[]): Invite {
  const key = hex(invite.id)
  const note = c.notes.get(key)
  const people = [...c.list.members.values(), ...c.list.former.values()]
  const users = new Set(people.filter(person => hex(person.invite) === key).map(person => hex(person.account)))
  const voiding = c.intents.some(({ intent: i }) => i.type === 'void' && hex(i.invite) === key)
  const expired = c.nowMs >= invite.expiresMs
  return {
    id: key,
    link: note ? c.linkOf(note.secret) : null,
    ...(note?.name ? { name: note.name } : {}),
    ...(invite.bound ? { bound: invite.bound } : {}),
    expires: new Date(invite.expiresMs),
    uses: invite.uses,
    usedBy: members.filter(member => users.has(hex(member.account))),
    state: invite.state !== 'open' ? invite.state : voiding ? 'void' : expired ? 'expired' : 'open',
    void: () => c.voidInvite(invite.id)
  }
}

function pendingView(c: ViewContext, id: ListedInvite['id'], intent: Intent & { type: 'invite' }): Invite {
  const note = c.notes.get(hex(id))
  return {
    id: hex(id),
    link: c.linkOf(intent.secret),
    ...(note?.name ? { name: note.name } : {}),
    ...(intent.bound ? { bound: intent.bound } : {}),
    expires: new Date(intent.expiresMs),
    uses: intent.uses,
    usedBy: [],
    state: 'pending',
    void: () => c.voidInvite(id)
  }
}
