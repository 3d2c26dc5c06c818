/**
 * The access list of a share: who owns it, who may read it, which invites are open, which epoch it is in. It folds the
 * libraries of its people inside itself, so a share verifies alone, on any relay. Each entry advances it in place: a copy for
 * each would make a long list cost its square. Source: docs/PROTOCOL.md, Access.
 */
import { type AccountId, type EntryId, hex, type LogId, logId, same } from '../bytes/ids.ts'
import type { Suite } from '../crypto/suite.ts'
import { type Entry, verifyEntry } from '../entry/entry.ts'
import { MEMBERS_MAX, SHARE_ENTRIES_MAX } from '../limits.ts'
import { Refusal, refuse } from '../refusal.ts'
import { foldProof } from './account-proof.ts'
import { type Invite, openInvite } from './invite.ts'
import {
  type Advancing,
  addInvite,
  type Change,
  close,
  type Invites,
  openInvites,
  spend,
  voidInvite
} from './invites.ts'
import { type Judge, joinProofParts, type LibraryList, ROTATION_SENTENCE } from './library-list.ts'
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

/** A device that its own account put out while it had a part in the share. */
interface FormerDevice {
  readonly account: AccountId
  /** The entry of the share that brought it. */
  readonly ended: EntryId
}

export interface ShareList extends Invites {
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
  readonly outSince: OutSince
  /** Accounts of which someone went out since this epoch began: invites bound to them die with it. */
  readonly outAccounts: ReadonlySet<string>
  /** The libraries of the owner and of all who ever were members. Each is a value: what is new replaces it. */
  readonly accounts: ReadonlyMap<string, LibraryList>
  /** Device → the accounts whose libraries have it or had it; more than one only if someone shows a key in two. */
  readonly accountsOf: ReadonlyMap<string, readonly string[]>
  readonly formerDevices: ReadonlyMap<string, FormerDevice>
  readonly members: ReadonlyMap<string, Membership>
  readonly former: ReadonlyMap<string, FormerMember>
  readonly stopped: EntryId | null
  readonly stoppedMs: number | null
}

/** The log id of a share: nobody but this owner can create it. @param nonce 32 random bytes */
export function shareLogId(suite: Suite, owner: AccountId, nonce: Uint8Array): LogId {
  return logId(suite.hash('share id', owner, nonce))
}

/**
 * Folds the next access entry of a share.
 * @param list null before its `create`. It is advanced in place; a refused entry leaves it as it was
 * @param timeMs relay time of its record
 */
export function foldShare(
  suite: Suite,
  list: ShareList | null,
  entry: Entry,
  statement: Statement,
  timeMs: number,
  judge: Judge
): ShareList | Refusal {
  const next = list ?? create(suite, entry, statement, timeMs, judge)
  if (next instanceof Refusal) return next
  const change = list && advance(suite, list, entry, statement, timeMs, judge)
  if (change instanceof Refusal) return change
  if (judge.signatures && !verifyEntry(suite, entry))
    return refuse('BAD_SIGNATURE', 'entry: its signature is not its author’s')
  // The one place where a list is written to.
  const own = next as Advancing<ShareList>
  change?.(own)
  own.head = entry.id
  own.length++
  return own
}

/** A list to try entries on, which leaves the given one as it is. */
export function copyShare(list: ShareList): ShareList {
  return {
    ...list,
    outAccounts: new Set(list.outAccounts),
    accounts: new Map(list.accounts),
    accountsOf: new Map(list.accountsOf),
    formerDevices: new Map(list.formerDevices),
    members: new Map(list.members),
    former: new Map(list.former),
    invites: new Map(list.invites),
    open: new Set(list.open)
  }
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
  for (const account of list.accountsOf.get(key) ?? []) {
    const library = list.accounts.get(account)
    if (library?.devices.has(key)) return library
  }
  return null
}

/** The open invites that a `remove` of these accounts voids; of the others it voids those for which it has no seal. */
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

function create(suite: Suite, entry: Entry, s: Statement, timeMs: number, judge: Judge): ShareList | Refusal {
  if (s.type !== 'create-share') return refuse('NO_LOG', 'this share does not exist here: create it first')
  if (!same(entry.log, shareLogId(suite, s.owner, s.nonce))) {
    return refuse('FOREIGN_LOG', 'create: this log is not of that owner')
  }
  if (entry.accessHead.some(byte => byte !== 0)) return refuse('ACCESS_CONFLICT', 'create: nothing can precede it')
  const owner = foldShown(suite, null, s.owner, s.proof, judge)
  if (owner instanceof Refusal) return owner
  if (!owner.devices.has(hex(entry.author))) return refuse('NOT_OWNER', 'create: its author is no device of the owner')
  const list = created(entry, s, timeMs)
  setLibrary(list, entry, owner)
  return list
}

function created(entry: Entry, s: CreateShare, timeMs: number): Advancing<ShareList> {
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
    accounts: new Map(),
    accountsOf: new Map(),
    formerDevices: new Map(),
    members: new Map(),
    former: new Map(),
    invites: new Map(),
    open: new Set(),
    stopped: null,
    stoppedMs: null
  }
}

/** What an account has shown takes the place of what the share had of it. */
function setLibrary(list: Advancing<ShareList>, entry: Entry, library: LibraryList): void {
  const account = hex(library.account)
  const before = list.accounts.get(account)
  list.accounts.set(account, library)
  for (const device of library.devices.keys()) {
    const accounts = list.accountsOf.get(device) ?? []
    if (!accounts.includes(account)) list.accountsOf.set(device, [...accounts, account])
  }
  for (const device of before?.devices.keys() ?? []) {
    if (!library.devices.has(device)) list.formerDevices.set(device, { account: library.account, ended: entry.id })
  }
}

function advance(
  suite: Suite,
  list: ShareList,
  entry: Entry,
  s: Statement,
  timeMs: number,
  judge: Judge
): Change<ShareList> | Refusal {
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
      return join(suite, list, entry, s, invite, timeMs, judge)
    case 'account':
      return account(suite, list, entry, s, isOwner, judge)
    case 'leave':
      return leave(list, entry, timeMs)
    case 'join-library':
    case 'remove-devices':
    case 'reset':
      return refuse('BAD_STATEMENT', `${s.type} has no place in a share`)
  }
  if (!isOwner) return refuse('NOT_OWNER', `${s.type}: its author is no device of the owner`)
  switch (s.type) {
    case 'invite':
      return judgeRoom(list) ?? addInvite(list, s)
    case 'void':
      return voidInvite(list, s.invite)
    case 'remove-members':
      return removeMembers(list, entry, s, timeMs)
    case 'lease':
      return next => {
        next.leaseMs = s.leaseMs
      }
    case 'until': {
      const member = list.members.get(hex(s.member))
      if (!member) return refuse('NOT_MEMBER', 'until: this account is no member')
      return next => next.members.set(hex(s.member), { ...member, untilMs: s.untilMs })
    }
    case 'stop':
      return next => {
        next.stopped = entry.id
        next.stoppedMs = timeMs
      }
  }
}

/** A list that is too long takes nobody in. What takes back, or follows from it, always has room. */
function judgeRoom(list: ShareList): Refusal | null {
  if (list.length < SHARE_ENTRIES_MAX) return null
  return refuse(
    'LIMIT_ACCESS',
    `the share has ${list.length} access entries and lets nobody in from ${SHARE_ENTRIES_MAX} on; share anew`
  )
}

function join(
  suite: Suite,
  list: ShareList,
  entry: Entry,
  s: JoinShare,
  invite: Invite | null,
  timeMs: number,
  judge: Judge
): Change<ShareList> | Refusal {
  const key = hex(s.account)
  if (!invite) return refuse('INVITE_UNKNOWN', 'join: there is no such invite')
  if (same(s.account, list.owner)) return refuse('YOU_ARE_THE_OWNER', 'join: the owner is in already')
  if (list.members.has(key)) return refuse('ALREADY_MEMBER', 'join: this account is a member already')
  if (invite.bound && !same(invite.bound, s.account)) {
    return refuse('INVITE_NOT_FOR_YOU', 'join: this invite is for another account')
  }
  if (list.members.size >= MEMBERS_MAX) {
    return refuse('LIMIT_MEMBERS', `join: the share has ${MEMBERS_MAX} members, which is the most`)
  }
  const full = judgeRoom(list)
  if (full) return full
  if (judge.signatures && !suite.verify(s.invite, s.proof, 'join', ...joinProofParts(entry, s.account))) {
    return refuse('BAD_PROOF', 'join: the invite’s key has not signed this')
  }
  const library = foldShown(suite, list.accounts.get(key) ?? null, s.account, s.accountProof, judge)
  if (library instanceof Refusal) return library
  if (!library.devices.has(hex(entry.author)))
    return refuse('NOT_DEVICE', 'join: its author is no device of the joiner')
  const member: Membership = {
    account: s.account,
    entry: entry.id,
    invite: s.invite,
    joinedMs: timeMs,
    untilMs: invite.untilMs,
    sealedName: s.name,
    nameEpoch: list.epoch
  }
  return next => {
    setLibrary(next, entry, library)
    next.members.set(key, member)
    next.former.delete(key)
    spend(next, invite)
  }
}

/**
 * The library of an account with what a statement shows of it. A statement carries only what is new, and nothing from before
 * a reset that it carries, so that what a share keeps of an account is never more than the account's library.
 */
function foldShown(
  suite: Suite,
  before: LibraryList | null,
  of: AccountId,
  proof: readonly Uint8Array[],
  judge: Judge
): LibraryList | Refusal {
  const after = foldProof(suite, before, of, proof, judge)
  if (!(after instanceof Refusal) && after.ids.size !== (before?.ids.size ?? 0) + proof.length) {
    return refuse('ACCOUNT_STALE', 'account proof: some of it is folded already or reset; show only what comes after')
  }
  return after
}

function account(
  suite: Suite,
  list: ShareList,
  entry: Entry,
  s: AccountStatement,
  byOwner: boolean,
  judge: Judge
): Change<ShareList> | Refusal {
  const key = hex(s.account)
  const before = list.accounts.get(key)
  const owns = same(s.account, list.owner)
  if (!before || !(owns || list.members.has(key))) return refuse('NOT_MEMBER', 'account: it has no part in this share')
  const after = foldShown(suite, before, s.account, s.entries, judge)
  if (after instanceof Refusal) return after
  const author = hex(entry.author)
  if (!before.devices.has(author) && !after.devices.has(author) && !byOwner) {
    return refuse('NOT_DEVICE', 'account: its author is no device of that account')
  }
  if (after === before) return refuse('ACCOUNT_STALE', 'account: the share has all of it already')
  const out = wentOut(before, after)
  const rekeyed = !same(before.sealingKey, after.sealingKey)
  return next => {
    setLibrary(next, entry, after)
    if (out || rekeyed) next.rotationDue = true
    if (out) putOut(next, key, owns ? 2 : 1)
  }
}

/** Whether a device went out of an account between two states of its library. A reset is meant for one that did. */
function wentOut(before: LibraryList, after: LibraryList): boolean {
  if (after.reset?.number !== before.reset?.number) return true
  return [...after.gone].some(([device, { entry }]) => {
    const known = before.gone.get(device)
    return !known || !same(known.entry, entry)
  })
}

/** Someone of this account went out: what that voids, the next epoch does. */
function putOut(list: Advancing<ShareList>, account: string, level: 1 | 2): void {
  if (list.outSince < level) list.outSince = level
  list.outAccounts.add(account)
}

function leave(list: ShareList, entry: Entry, timeMs: number): Change<ShareList> | Refusal {
  const library = accountOfDevice(list, entry.author)
  const member = library && list.members.get(hex(library.account))
  if (!member) return refuse('NOT_MEMBER', 'leave: its author is no device of a member')
  const key = hex(member.account)
  return next => {
    next.members.delete(key)
    next.former.set(key, { ...member, ended: entry.id, reason: 'left', endedMs: timeMs })
    next.rotationDue = true
    putOut(next, key, 1)
  }
}

function removeMembers(list: ShareList, entry: Entry, s: RemoveFromShare, timeMs: number): Change<ShareList> | Refusal {
  const out = new Set(s.who.map(hex))
  if (out.size !== s.who.length) return refuse('BAD_STATEMENT', 'remove: it names an account twice')
  if ((s.reason === 'rotation') !== (out.size === 0)) return refuse('BAD_STATEMENT', ROTATION_SENTENCE)
  for (const key of out) if (!list.members.has(key)) return refuse('NOT_MEMBER', 'remove: this account is no member')
  const sealed = new Set(s.seals.map(seal => hex(seal.to)))
  for (const key of [hex(list.owner), ...list.members.keys()]) {
    if (!out.has(key) && !sealed.delete(key)) {
      return refuse('ROTATE_INCOMPLETE', 'remove: someone who remains has no seal')
    }
  }
  // An invite lives on by its seal: those that have expired get none, and no reader has to judge that.
  const voided = new Set(invitesVoidedBy(list, s.who).map(invite => hex(invite.id)))
  const dead = [...list.open].filter(key => voided.has(key) || !sealed.delete(key))
  if (sealed.size > 0) return refuse('ROTATE_INCOMPLETE', 'remove: a seal for someone who does not remain')
  return next => {
    for (const key of out) {
      const member = next.members.get(key)
      if (member) next.former.set(key, { ...member, ended: entry.id, reason: s.reason, endedMs: timeMs })
      next.members.delete(key)
    }
    close(next, dead)
    next.epoch++
    next.commitment = s.commitment
    next.rotationDue = false
    next.outSince = 0
    next.outAccounts.clear()
  }
}
