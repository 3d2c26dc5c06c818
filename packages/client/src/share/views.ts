/** Members and invites as an owner sees them: the access list, with what is still on its way laid over it. */
import {
  type AccountId,
  type FormerMember,
  hex,
  inviteKeys,
  invitesVoidedBy,
  type Invite as ListedInvite,
  type Membership,
  openName,
  type ShareList,
  type Suite,
  same
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
  const listed = list ? listedViews(c, list, members) : []
  const pending = c.intents.flatMap(({ n, intent }) => {
    if (intent.type !== 'invite') return []
    const { id } = inviteKeys(c.suite, intent.secret)
    return list?.invites.has(hex(id)) ? [] : [pendingView(c, id, n, intent)]
  })
  return [...listed, ...pending]
}

function listedViews(c: ViewContext, list: ShareList, members: readonly Member[]): Invite[] {
  const out = removalsAfter(c, 0)
  const dying = new Set(out.length > 0 ? invitesVoidedBy(list, out).map(({ id }) => hex(id)) : [])
  return [...list.invites.values()].map(invite => listedView(c, list, invite, members, dying.has(hex(invite.id))))
}

/** Who is to be taken out, by intents that came after this one; who is wanted out twice goes out by the first. */
function removalsAfter({ list, intents }: ViewContext, n: number): AccountId[] {
  const removals = new Map<string, { readonly n: number; readonly account: AccountId }>()
  for (const { n, intent } of intents) {
    if (intent.type !== 'remove') continue
    const key = hex(intent.account)
    if (list?.members.has(key) && !removals.has(key)) removals.set(key, { n, account: intent.account })
  }
  return [...removals.values()].flatMap(removal => (removal.n > n ? [removal.account] : []))
}

/** @param isDying a removal that is on its way voids it */
function listedView(
  c: ViewContext,
  list: ShareList,
  invite: ListedInvite,
  members: readonly Member[],
  isDying: boolean
): Invite {
  const key = hex(invite.id)
  const note = c.notes.get(key)
  const people = [...list.members.values(), ...list.former.values()]
  const users = new Set(people.filter(person => hex(person.invite) === key).map(person => hex(person.account)))
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
    state: invite.state === 'open' ? stateOf(c, invite, isDying, 'open') : invite.state,
    void: () => c.voidInvite(invite.id)
  }
}

/** What is wanted of an invite counts at once. @param alive its state if nothing ends it */
function stateOf(
  { intents, nowMs }: ViewContext,
  { id, expiresMs }: Pick<ListedInvite, 'id' | 'expiresMs'>,
  isDying: boolean,
  alive: Invite['state']
): Invite['state'] {
  if (intents.some(({ intent: i }) => i.type === 'void' && same(i.invite, id))) return 'void'
  return nowMs >= expiresMs ? 'expired' : isDying ? 'void' : alive
}

/** @param n of its intent: removals after it void it */
function pendingView(c: ViewContext, id: ListedInvite['id'], n: number, intent: Intent & { type: 'invite' }): Invite {
  const { bound, expiresMs } = intent
  const note = c.notes.get(hex(id))
  const isDying = removalsAfter(c, n).some(account => !bound || same(bound, account))
  return {
    id: hex(id),
    get link() {
      return c.linkOf(intent.secret)
    },
    ...(note?.name ? { name: note.name } : {}),
    ...(bound ? { bound } : {}),
    expires: new Date(expiresMs),
    uses: intent.uses,
    usedBy: [],
    state: stateOf(c, { id, expiresMs }, isDying, 'pending'),
    void: () => c.voidInvite(id)
  }
}
