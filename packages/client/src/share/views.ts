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
import type { InviteNote, KeptReceipt } from '../library/library-index.ts'
import type { Intent, KeptIntent } from '../log/intents.ts'
import type { Replica } from '../log/replica.ts'
import type { Invite, Member } from './types.ts'

export interface ViewContext {
  readonly suite: Suite
  readonly replica: Replica
  /** Null before this device has it. */
  readonly list: ShareList | null
  readonly intents: readonly KeptIntent[]
  /** Invite hex → note. */
  readonly notes: ReadonlyMap<string, InviteNote>
  /** Device hex → what it said when it had deleted its replica. */
  readonly receipts: ReadonlyMap<string, KeptReceipt>
  /** Null while the relay's key is not known. */
  readonly linkOf: (secret: Uint8Array) => string | null
  /** When an intent was saved here. */
  readonly wantedMs: (intent: KeptIntent) => number
  readonly voidInvite: (id: ListedInvite['id']) => Promise<void>
  readonly nowMs: number
}

export function memberViews(c: ViewContext): Member[] {
  const { list } = c
  if (!list) return []
  const members = [...list.members.values()].map(member => memberView(c, list, member, null))
  const former = [...list.former.values()].map(member => memberView(c, list, member, member))
  return [...members, ...former].sort((a, b) => a.joined.getTime() - b.joined.getTime())
}

function memberView(c: ViewContext, list: ShareList, member: Membership, former: FormerMember | null): Member {
  const key = hex(member.account)
  const epochKey = c.replica.epochKey(member.nameEpoch)
  const name = epochKey && openName(c.suite, c.replica.log, epochKey, member.sealedName)
  const label = c.notes.get(hex(member.invite))?.name
  const library = list.accounts.get(key)
  const devices = [...(library?.devices.keys() ?? []), ...(library?.gone.keys() ?? [])]
  const intent = c.intents.find(({ intent: i }) => i.type === 'remove' && hex(i.account) === key)
  const ended = former?.ended ?? list.stopped
  return {
    account: member.account,
    name: name ?? '',
    ...(label ? { label } : {}),
    joined: new Date(member.joinedMs),
    ...(member.untilMs === null ? {} : { until: new Date(member.untilMs) }),
    state: former ? formerState(former) : intent ? 'removing' : 'joined',
    at: new Date(former?.endedMs ?? (intent ? c.wantedMs(intent) : member.joinedMs)),
    devices: library?.devices.size ?? 0,
    // A receipt of an earlier time out says nothing of the replica that came after it.
    wiped: ended ? devices.filter(device => c.receipts.get(device)?.accessHead === hex(ended)).length : 0
  }
}

function formerState(former: FormerMember): Member['state'] {
  return former.reason === 'left' ? 'left' : former.reason === 'expired' ? 'expired' : 'removed'
}

export function inviteViews(c: ViewContext, members: readonly Member[]): Invite[] {
  const { list } = c
  const listed = list ? [...list.invites.values()].map(invite => listedView(c, list, invite, members)) : []
  const pending = c.intents.flatMap(({ intent }) => {
    if (intent.type !== 'invite') return []
    const { id } = inviteKeys(c.suite, intent.secret)
    return list?.invites.has(hex(id)) ? [] : [pendingView(c, id, intent)]
  })
  return [...listed, ...pending]
}

function listedView(c: ViewContext, list: ShareList, invite: ListedInvite, members: readonly Member[]): Invite {
  const key = hex(invite.id)
  const note = c.notes.get(key)
  const people = [...list.members.values(), ...list.former.values()]
  const users = new Set(people.filter(person => hex(person.invite) === key).map(person => hex(person.account)))
  const voiding = c.intents.some(({ intent: i }) => i.type === 'void' && hex(i.invite) === key)
  const expired = c.nowMs >= invite.expiresMs
  return {
    id: key,
    get link() {
      return note ? c.linkOf(note.secret) : null
    },
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
    get link() {
      return c.linkOf(intent.secret)
    },
    ...(note?.name ? { name: note.name } : {}),
    ...(intent.bound ? { bound: intent.bound } : {}),
    expires: new Date(intent.expiresMs),
    uses: intent.uses,
    usedBy: [],
    state: 'pending',
    void: () => c.voidInvite(id)
  }
}
