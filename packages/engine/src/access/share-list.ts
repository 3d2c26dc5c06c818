/**
 * The access list of a share: who owns it, who may read it, which invites are open, which epoch it is in. It folds the
 * libraries of its people inside itself, so a share verifies alone, on any relay. Lists are values: folding an entry
 * gives a new one. Source: docs/PROTOCOL.md, Access.
 */
import { type AccountId, type EntryId, hex, type LogId, logId, same } from '../bytes/ids.ts'
import type { Suite } from '../crypto/suite.ts'
import { type Entry, verifyEntry } from '../entry/entry.ts'
import { MEMBERS_MAX } from '../limits.ts'
import { Refusal, refuse } from '../refusal.ts'
import { type Invite, openInvite, spend } from './invite.ts'
import {
  addInvite,
  foldProof,
  type Judge,
  joinProofParts,
  type LibraryList,
  ROTATION_SENTENCE,
  voidInvite
} from './library-list.ts'
import type { AccountStatement, CreateShare, JoinShare, Reason, RemoveFromShare, Statement } from './statement.ts'

export interface Membership {
  readonly account: AccountId
  /** The `join` that began it. */
  readonly entry: EntryId
  readonly invite: Uint8Array
  /** Relay time. */
  readonly joinedMs: number
  readonly untilMs: number | null
  /** Sealed under the name key of the epoch in which it joined. */
  readonly sealedName: Uint8Array
  readonly nameEpoch: number
}

export interface FormerMember extends Membership {
  /** The entry that ended it: what this account is still shown, for ever. */
  readonly ended: EntryId
  readonly reason: 'left' | Reason
  readonly endedMs: number
}

/** Who went out since this epoch began without a rotation: 0 nobody, 1 a member or its device, 2 an owner's device. */
type OutSince = 0 | 1 | 2

export interface ShareList {
  readonly kind: 'share'
  readonly log: LogId
  readonly owner: AccountId
  readonly head: EntryId
  /** Access entries folded so far. */
  readonly length: number
  readonly createdMs: number
  readonly relayKey: Uint8Array
  readonly leaseMs: number | null
  readonly ownerSealedName: Uint8Array
  readonly epoch: number
  readonly commitment: Uint8Array
  /** Data is EPOCH_STALE until the owner has started the next epoch. */
  readonly rotationDue: boolean
  readonly outSince: OutSince
  /** Accounts of which someone went out since this epoch began: invites bound to them die with it. */
  readonly outAccounts: ReadonlySet<string>
  readonly accounts: ReadonlyMap<string, LibraryList>
  readonly members: ReadonlyMap<string, Membership>
  readonly former: ReadonlyMap<string, FormerMember>
  readonly invites: ReadonlyMap<string, Invite>
  readonly stopped: EntryId | null
  readonly stoppedMs: number | null
}

/** The log id of a share: nobody but this owner can create it. @param nonce 32 random bytes */
export function shareLogId(suite: Suite, owner: AccountId, nonce: Uint8Array): LogId {
  return logId(suite.hash('share id', owner, nonce))
}

/** Folds the next access entry of a share; `list` is null before its `create`. @param timeMs relay time of its record */
export function foldShare(
  suite: Suite,
  list: ShareList | null,
  entry: Entry,
  statement: Statement,
  timeMs: number,
  judge: Judge
): ShareList | Refusal {
  const next = list
    ? advance(suite, list, entry, statement, timeMs, judge)
    : create(suite, entry, statement, timeMs, judge)
  if (next instanceof Refusal) return next
  if (judge.signatures && !verifyEntry(suite, entry))
    return refuse('BAD_SIGNATURE', 'entry: its signature is not its author’s')
  return { ...next, head: entry.id, length: (list?.length ?? 0) + 1 }
}

/** The owner's devices: who may write. */
export function ownerLibrary(list: ShareList): LibraryList {
  const library = list.accounts.get(hex(list.owner))
  if (!library) throw new Error('a share has no owner')
  return library
}

/** The account (owner, member or former member) that this device is in by what the share has folded. */
export function accountOfDevice(list: ShareList, device: Uint8Array): LibraryList | null {
  const key = hex(device)
  for (const library of list.accounts.values()) if (library.devices.has(key)) return library
  return null
}

/** The open invites that a `remove` of these accounts voids; the others need a seal in it. */
export function invitesVoidedBy(list: ShareList, who: readonly AccountId[]): Invite[] {
  const level = Math.max(who.length > 0 ? 1 : 0, list.outSince)
  const out = new Set(who.map(hex))
  return openInvites(list).filter(({ bound }) => {
    if (level === 2) return true
    if (!bound) return level === 1
    const key = hex(bound)
    return out.has(key) || list.outAccounts.has(key)
  })
}

export function openInvites(list: { readonly invites: ReadonlyMap<string, Invite> }): Invite[] {
  return [...list.invites.values()].filter(invite => invite.state === 'open')
}

function create(suite: Suite, entry: Entry, s: Statement, timeMs: number, judge: Judge): ShareList | Refusal {
  if (s.type !== 'create-share') return refuse('NO_LOG', 'this share does not exist here: create it first')
  if (!same(entry.log, shareLogId(suite, s.owner, s.nonce))) {
    return refuse('FOREIGN_LOG', 'create: this log is not of that owner')
  }
  if (entry.accessHead.some(byte => byte !== 0)) return refuse('ACCESS_CONFLICT', 'create: nothing can precede it')
  const owner = foldProof(suite, null, s.owner, s.proof, judge)
  if (owner instanceof Refusal) return owner
  if (!owner.devices.has(hex(entry.author))) return refuse('NOT_OWNER', 'create: its author is no device of the owner')
  return created(entry, s, owner, timeMs)
}

function created(entry: Entry, s: CreateShare, owner: LibraryList, timeMs: number): ShareList {
  return {
    kind: 'share',
    log: entry.log,
    owner: s.owner,
    head: entry.id,
    length: 0,
    createdMs: timeMs,
    relayKey: s.relayKey,
    leaseMs: s.leaseMs,
    ownerSealedName: s.name,
    epoch: 1,
    commitment: s.commitment,
    rotationDue: false,
    outSince: 0,
    outAccounts: new Set(),
    accounts: new Map([[hex(s.owner), owner]]),
    members: new Map(),
    former: new Map(),
    invites: new Map(),
    stopped: null,
    stoppedMs: null
  }
}

function advance(
  suite: Suite,
  list: ShareList,
  entry: Entry,
  s: Statement,
  timeMs: number,
  judge: Judge
): ShareList | Refusal {
  if (s.type === 'create-share' || s.type === 'create-library') return refuse('LOG_EXISTS', 'this log exists already')
  if (!same(entry.log, list.log)) return refuse('FOREIGN_LOG', 'entry: it belongs to another log')
  if (list.stopped) return refuse('STOPPED', 'entry: its owner has stopped this share')
  // Before the access head, so that a dead link says so at once instead of making its holder catch up first.
  const invite = s.type === 'join-share' ? openInvite(list.invites, s.invite, judge.timeMs) : null
  if (invite instanceof Refusal) return invite
  if (!same(entry.accessHead, list.head)) return refuse('ACCESS_CONFLICT', 'entry: its access head is not the newest')
  const isOwner = ownerLibrary(list).devices.has(hex(entry.author))
  switch (s.type) {
    case 'join-share':
      return invite
        ? join(suite, list, entry, s, invite, timeMs, judge)
        : refuse('INVITE_UNKNOWN', 'join: no such invite')
    case 'account':
      return account(suite, list, entry, s, isOwner, judge)
    case 'leave':
      return leave(list, entry, timeMs)
    case 'join-library':
    case 'remove-devices':
      return refuse('BAD_STATEMENT', `${s.type} has no place in a share`)
  }
  if (!isOwner) return refuse('NOT_OWNER', `${s.type}: its author is no device of the owner`)
  switch (s.type) {
    case 'invite':
      return addInvite(list, s)
    case 'void':
      return voidInvite(list, s.invite)
    case 'remove-members':
      return removeMembers(list, entry, s, timeMs, judge)
    case 'lease':
      return { ...list, leaseMs: s.leaseMs }
    case 'until': {
      const member = list.members.get(hex(s.member))
      if (!member) return refuse('NOT_MEMBER', 'until: this account is no member')
      return { ...list, members: new Map(list.members).set(hex(s.member), { ...member, untilMs: s.untilMs }) }
    }
    case 'stop':
      return { ...list, stopped: entry.id, stoppedMs: timeMs }
  }
}

function join(
  suite: Suite,
  list: ShareList,
  entry: Entry,
  s: JoinShare,
  invite: Invite,
  timeMs: number,
  judge: Judge
): ShareList | Refusal {
  const key = hex(s.account)
  if (same(s.account, list.owner)) return refuse('YOU_ARE_THE_OWNER', 'join: the owner is in already')
  if (list.members.has(key)) return refuse('ALREADY_MEMBER', 'join: this account is a member already')
  if (invite.bound && !same(invite.bound, s.account)) {
    return refuse('INVITE_NOT_FOR_YOU', 'join: this invite is for another account')
  }
  if (list.members.size >= MEMBERS_MAX) {
    return refuse('LIMIT_MEMBERS', `join: the share has ${MEMBERS_MAX} members, which is the most`)
  }
  if (judge.signatures && !suite.verify(s.invite, s.proof, 'join', ...joinProofParts(entry, s.account))) {
    return refuse('BAD_PROOF', 'join: the invite’s key has not signed this')
  }
  const library = foldProof(suite, list.accounts.get(key) ?? null, s.account, s.accountProof, judge)
  if (library instanceof Refusal) return library
  if (!library.devices.has(hex(entry.author)))
    return refuse('NOT_DEVICE', 'join: its author is no device of the joiner')
  const former = new Map(list.former)
  former.delete(key)
  const member: Membership = {
    account: s.account,
    entry: entry.id,
    invite: s.invite,
    joinedMs: timeMs,
    untilMs: invite.untilMs,
    sealedName: s.name,
    nameEpoch: list.epoch
  }
  return {
    ...list,
    accounts: new Map(list.accounts).set(key, library),
    members: new Map(list.members).set(key, member),
    former,
    invites: spend(list.invites, s.invite)
  }
}

function account(
  suite: Suite,
  list: ShareList,
  entry: Entry,
  s: AccountStatement,
  byOwner: boolean,
  judge: Judge
): ShareList | Refusal {
  const key = hex(s.account)
  const before = list.accounts.get(key)
  const owns = same(s.account, list.owner)
  if (!before || !(owns || list.members.has(key))) return refuse('NOT_MEMBER', 'account: it has no part in this share')
  const after = foldProof(suite, before, s.account, s.entries, judge)
  if (after instanceof Refusal) return after
  const author = hex(entry.author)
  if (!before.devices.has(author) && !after.devices.has(author) && !byOwner) {
    return refuse('NOT_DEVICE', 'account: its author is no device of that account')
  }
  const out = [...after.gone.keys()].some(device => !before.gone.has(device))
  const rekeyed = !same(before.sealingKey, after.sealingKey)
  return {
    ...list,
    accounts: new Map(list.accounts).set(key, after),
    rotationDue: list.rotationDue || out || rekeyed,
    outSince: out ? (owns ? 2 : list.outSince === 2 ? 2 : 1) : list.outSince,
    outAccounts: out ? new Set(list.outAccounts).add(key) : list.outAccounts
  }
}

function leave(list: ShareList, entry: Entry, timeMs: number): ShareList | Refusal {
  const library = accountOfDevice(list, entry.author)
  const member = library && list.members.get(hex(library.account))
  if (!member) return refuse('NOT_MEMBER', 'leave: its author is no device of a member')
  const key = hex(member.account)
  const members = new Map(list.members)
  members.delete(key)
  return {
    ...list,
    members,
    former: new Map(list.former).set(key, { ...member, ended: entry.id, reason: 'left', endedMs: timeMs }),
    rotationDue: true,
    outSince: list.outSince === 2 ? 2 : 1,
    outAccounts: new Set(list.outAccounts).add(key)
  }
}

function removeMembers(
  list: ShareList,
  entry: Entry,
  s: RemoveFromShare,
  timeMs: number,
  judge: Judge
): ShareList | Refusal {
  const out = new Set(s.who.map(hex))
  if (out.size !== s.who.length) return refuse('BAD_STATEMENT', 'remove: it names an account twice')
  if ((s.reason === 'rotation') !== (out.size === 0)) return refuse('BAD_STATEMENT', ROTATION_SENTENCE)
  for (const key of out) if (!list.members.has(key)) return refuse('NOT_MEMBER', 'remove: this account is no member')
  const voided = new Set(invitesVoidedBy(list, s.who).map(invite => hex(invite.id)))
  const surviving = openInvites(list).filter(invite => !voided.has(hex(invite.id)))
  const sealed = new Set(s.seals.map(seal => hex(seal.to)))
  const remaining = [hex(list.owner), ...[...list.members.keys()].filter(key => !out.has(key))]
  for (const key of remaining)
    if (!sealed.delete(key)) return refuse('ROTATE_INCOMPLETE', 'remove: someone who remains has no seal')
  for (const invite of surviving) {
    const lives = judge.timeMs === null || judge.timeMs < invite.expiresMs
    // Readers don't judge expiry, so they ask no seal for an invite; the relay has.
    if (!sealed.delete(hex(invite.id)) && lives && judge.timeMs !== null) {
      return refuse('ROTATE_INCOMPLETE', 'remove: an invite that stays open has no seal')
    }
  }
  if (sealed.size > 0) return refuse('ROTATE_INCOMPLETE', 'remove: a seal for someone who does not remain')
  const members = new Map(list.members)
  const former = new Map(list.former)
  const invites = new Map(list.invites)
  for (const key of out) {
    const member = list.members.get(key)
    if (member) former.set(key, { ...member, ended: entry.id, reason: s.reason, endedMs: timeMs })
    members.delete(key)
  }
  for (const key of voided) {
    const invite = invites.get(key)
    if (invite) invites.set(key, { ...invite, left: 0, state: 'void' })
  }
  return {
    ...list,
    members,
    former,
    invites,
    epoch: list.epoch + 1,
    commitment: s.commitment,
    rotationDue: false,
    outSince: 0,
    outAccounts: new Set()
  }
}
