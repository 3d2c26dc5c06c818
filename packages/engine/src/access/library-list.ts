/**
 * The access list of a library: the fold of its access entries, which proves what devices an account has and what its
 * sealing key is. It stands by itself (the account's own log) and nested in every share that the account has a part in.
 * Lists are values: folding an entry gives a new one. Source: docs/PROTOCOL.md, Access.
 */
import { type AccountId, accountId, type DeviceId, type EntryId, hex, type InviteId, same } from '../bytes/ids.ts'
import type { Suite } from '../crypto/suite.ts'
import { decodeEntry, type Entry, verifyEntry } from '../entry/entry.ts'
import { INVITES_MAX } from '../limits.ts'
import { Refusal, refuse } from '../refusal.ts'
import { type Invite, openInvite, spend } from './invite.ts'
import {
  type CreateLibrary,
  decodeStatement,
  type Reason,
  type RemoveFromLibrary,
  type Statement
} from './statement.ts'

export interface Device {
  readonly id: DeviceId
  readonly sealingKey: Uint8Array
}

/** A device that was put out, by which entry of the library. */
interface GoneDevice {
  readonly id: DeviceId
  readonly entry: EntryId
  readonly reason: Reason | 'left'
}

export interface LibraryList {
  readonly kind: 'library'
  readonly account: AccountId
  readonly head: EntryId
  /** Access entries folded so far. */
  readonly length: number
  readonly recoverySealingKey: Uint8Array
  /** The account's X25519 key of this epoch: what shares are sealed to. */
  readonly sealingKey: Uint8Array
  readonly epoch: number
  readonly commitment: Uint8Array
  readonly devices: ReadonlyMap<string, Device>
  readonly gone: ReadonlyMap<string, GoneDevice>
  readonly invites: ReadonlyMap<string, Invite>
  /** A device left or an invite was voided since this epoch began. */
  readonly rotationDue: boolean
}

/** How much of an entry is judged beside its place in the list. */
export interface Judge {
  /** The ordering relay's time in ms: invites may have expired. Null for every reader: the relay has judged that. */
  readonly timeMs: number | null
  /** False for bytes from one's own disk, whose signatures were checked when they came in. */
  readonly signatures: boolean
}

/** The id of the account with this root key. */
export function accountOfRootKey(suite: Suite, rootKey: Uint8Array): AccountId {
  return accountId(suite.hash('account id', rootKey))
}

/** Folds the next access entry of a library; `list` is null before its `create`. */
export function foldLibrary(
  suite: Suite,
  list: LibraryList | null,
  entry: Entry,
  statement: Statement,
  judge: Judge
): LibraryList | Refusal {
  const next = list ? advance(suite, list, entry, statement, judge) : create(suite, entry, statement, judge)
  if (next instanceof Refusal) return next
  if (judge.signatures && !verifyEntry(suite, entry))
    return refuse('BAD_SIGNATURE', 'entry: its signature is not its author’s')
  return { ...next, head: entry.id, length: (list?.length ?? 0) + 1 }
}

/**
 * Folds an account proof: library entries, verbatim and in order, that continue `list`. Those it holds already are
 * passed over, so a proof from the beginning is good at any time.
 */
export function foldProof(
  suite: Suite,
  list: LibraryList | null,
  account: AccountId,
  proof: readonly Uint8Array[],
  judge: Judge
): LibraryList | Refusal {
  let next = list
  try {
    const entries = proof.map(bytes => decodeEntry(suite, bytes))
    const known = list ? entries.findIndex(entry => same(entry.id, list.head)) : -1
    for (const entry of entries.slice(known + 1)) {
      if (!same(entry.log, account) || entry.kind !== 'access') {
        return refuse('BAD_PROOF', 'account proof: an entry of another log')
      }
      const folded = foldLibrary(suite, next, entry, decodeStatement(entry.payload), { ...judge, timeMs: null })
      if (folded instanceof Refusal) return refuse('BAD_PROOF', `account proof: ${folded.message}`)
      next = folded
    }
  } catch (error) {
    if (error instanceof Refusal) return refuse('BAD_PROOF', `account proof: ${error.message}`)
    throw error
  }
  return next ?? refuse('BAD_PROOF', 'account proof: it is empty')
}

function create(suite: Suite, entry: Entry, s: Statement, judge: Judge): LibraryList | Refusal {
  if (s.type !== 'create-library') return refuse('NO_LOG', 'this library does not exist here: create it first')
  const account = accountOfRootKey(suite, s.rootKey)
  if (!same(account, entry.log)) return refuse('FOREIGN_LOG', 'create: this library is not of that root key')
  if (entry.accessHead.some(byte => byte !== 0)) return refuse('ACCESS_CONFLICT', 'create: nothing can precede it')
  if (judge.signatures && !rootSigned(suite, s, entry.author)) {
    return refuse('BAD_PROOF', 'create: the root key has not signed this device')
  }
  return {
    kind: 'library',
    account,
    head: entry.id,
    length: 0,
    recoverySealingKey: s.recoverySealingKey,
    sealingKey: s.accountSealingKey,
    epoch: 1,
    commitment: s.commitment,
    devices: new Map([[hex(entry.author), { id: entry.author, sealingKey: s.deviceSealingKey }]]),
    gone: new Map(),
    invites: new Map(),
    rotationDue: false
  }
}

function rootSigned(suite: Suite, s: CreateLibrary, device: DeviceId): boolean {
  return suite.verify(s.rootKey, s.rootSignature, 'device of account', device, s.deviceSealingKey)
}

function advance(suite: Suite, list: LibraryList, entry: Entry, s: Statement, judge: Judge): LibraryList | Refusal {
  if (s.type === 'create-library' || s.type === 'create-share') return refuse('LOG_EXISTS', 'this log exists already')
  if (!same(entry.log, list.account)) return refuse('FOREIGN_LOG', 'entry: it belongs to another log')
  const invite = s.type === 'join-library' ? openInvite(list.invites, s.invite, judge.timeMs) : null
  if (invite instanceof Refusal) return invite
  if (!same(entry.accessHead, list.head)) return refuse('ACCESS_CONFLICT', 'entry: its access head is not the newest')
  const author = hex(entry.author)
  const isDevice = list.devices.has(author)
  if (s.type !== 'join-library' && !isDevice)
    return refuse('NOT_OWNER', 'entry: its author is no device of this account')
  switch (s.type) {
    case 'invite':
      return addInvite(list, s)
    case 'void':
      return voidInvite(list, s.invite)
    case 'join-library': {
      if (isDevice || list.gone.has(author))
        return refuse('KNOWN_DEVICE', 'join: this device was in the account before')
      if (judge.signatures && !suite.verify(s.invite, s.proof, 'join', ...joinProofParts(entry, list.account))) {
        return refuse('BAD_PROOF', 'join: the invite’s key has not signed this')
      }
      return {
        ...list,
        devices: new Map(list.devices).set(author, { id: entry.author, sealingKey: s.deviceSealingKey }),
        invites: spend(list.invites, s.invite)
      }
    }
    case 'leave':
      return { ...putOut(list, [entry.author], entry.id, 'left'), rotationDue: true }
    case 'remove-devices':
      return removeDevices(list, entry, s)
    default:
      return refuse('BAD_STATEMENT', `${s.type} has no place in a library`)
  }
}

/** Why a `remove` is refused that removes nobody for a reason, or somebody as a rotation. */
export const ROTATION_SENTENCE = 'remove: its reason is rotation if it removes nobody, and only then'

function removeDevices(list: LibraryList, entry: Entry, s: RemoveFromLibrary): LibraryList | Refusal {
  const out = new Set(s.who.map(hex))
  if (out.size !== s.who.length) return refuse('BAD_STATEMENT', 'remove: it names a device twice')
  if ((s.reason === 'rotation') !== (out.size === 0)) return refuse('BAD_STATEMENT', ROTATION_SENTENCE)
  for (const device of s.who) if (!list.devices.has(hex(device))) return refuse('NOT_DEVICE', 'remove: it is no device')
  const rest = putOut(list, s.who, entry.id, s.reason)
  const sealed = new Set(s.seals.map(seal => hex(seal.to)))
  for (const device of rest.devices.keys()) {
    if (!sealed.has(device)) return refuse('ROTATE_INCOMPLETE', 'remove: a remaining device has no seal')
  }
  if (sealed.size !== rest.devices.size) return refuse('ROTATE_INCOMPLETE', 'remove: a seal for nobody who remains')
  return {
    ...rest,
    // Invites for devices live half an hour: a rotation voids them all instead of carrying seals for them.
    invites: new Map(
      [...list.invites].map(([id, i]) => [id, i.state === 'open' ? { ...i, left: 0, state: 'void' } : i])
    ),
    epoch: list.epoch + 1,
    sealingKey: s.accountSealingKey,
    commitment: s.commitment,
    rotationDue: false
  }
}

function putOut(
  list: LibraryList,
  who: readonly DeviceId[],
  entry: EntryId,
  reason: GoneDevice['reason']
): LibraryList {
  const devices = new Map(list.devices)
  const gone = new Map(list.gone)
  for (const id of who) {
    devices.delete(hex(id))
    gone.set(hex(id), { id, entry, reason })
  }
  return { ...list, devices, gone }
}

/** Adds an invite to a list of either kind. */
export function addInvite<L extends { readonly invites: ReadonlyMap<string, Invite> }>(
  list: L,
  s: Statement & { type: 'invite' }
): L | Refusal {
  const key = hex(s.invite)
  if (list.invites.has(key)) return refuse('INVITE_EXISTS', 'invite: its id was used before')
  const open = [...list.invites.values()].filter(invite => invite.state === 'open').length
  if (open >= INVITES_MAX) return refuse('LIMIT_INVITES', `invite: ${open} are open, at most ${INVITES_MAX}; void some`)
  const { invite: id, sealingKey, uses, expiresMs, untilMs, bound } = s
  const invites = new Map(list.invites)
  invites.set(key, { id, sealingKey, uses, left: uses, expiresMs, untilMs, bound, state: 'open' })
  return { ...list, invites }
}

/** Voids an invite in a list of either kind; who holds its link may hold the epoch's key, so a rotation is due. */
export function voidInvite<L extends { readonly invites: ReadonlyMap<string, Invite>; readonly rotationDue: boolean }>(
  list: L,
  id: InviteId
): L | Refusal {
  const invite = list.invites.get(hex(id))
  if (!invite) return refuse('INVITE_UNKNOWN', 'void: there is no such invite')
  if (invite.state !== 'open') return refuse('INVITE_VOID', 'void: this invite is dead already')
  return {
    ...list,
    invites: new Map(list.invites).set(hex(id), { ...invite, left: 0, state: 'void' }),
    rotationDue: true
  }
}

/** What an invite's key signs to prove a join: log, joining account, joining device, access head. */
export function joinProofParts(entry: Pick<Entry, 'log' | 'author' | 'accessHead'>, account: AccountId): Uint8Array[] {
  return [entry.log, account, entry.author, entry.accessHead]
}
