/**
 * The access list of a library: the fold of its access entries, which proves what devices an account has and what its
 * sealing key is. It stands by itself (the account's own log), where each entry advances it in place, and nested in every
 * share that the account has a part in, where it is a value: a proof gives a new one. Source: docs/PROTOCOL.md, Access.
 */
import { type AccountId, accountId, type DeviceId, type EntryId, hex, same } from '../bytes/ids.ts'
import { Writer } from '../bytes/writer.ts'
import type { Suite } from '../crypto/suite.ts'
import { type Entry, verifyEntry } from '../entry/entry.ts'
import { LIBRARY_BYTES_MAX, LIBRARY_ENTRIES_MAX, PROOF_BYTES_MAX, PROOF_ENTRIES_MAX, RESETS_MAX } from '../limits.ts'
import { Refusal, refuse } from '../refusal.ts'
import { type Invite, openInvite } from './invite.ts'
import { type Advancing, addInvite, type Change, close, type Invites, spend, voidInvite } from './invites.ts'
import type { CreateLibrary, JoinLibrary, Reason, RemoveFromLibrary, ResetLibrary, Statement } from './statement.ts'

export interface Device {
  readonly id: DeviceId
  readonly sealingKey: Uint8Array
  /** The `create`, `join` or `reset` that let it in. */
  readonly entry: EntryId
}

/** A device that was put out, by which entry of the library. */
interface GoneDevice {
  readonly id: DeviceId
  readonly entry: EntryId
  readonly reason: Reason | 'left'
}

export interface LibraryList extends Invites {
  readonly kind: 'library'
  readonly account: AccountId
  readonly head: EntryId
  /** Access entries since `create` or the newest `reset`, and their bytes: they are shown wherever the account has a part. */
  readonly length: number
  readonly bytes: number
  /** The ids of all that were ever folded, in order: what was verified once is not verified again. */
  readonly ids: ReadonlySet<string>
  readonly recoverySealingKey: Uint8Array
  /** The account's X25519 key of this epoch: what shares are sealed to. */
  readonly sealingKey: Uint8Array
  readonly epoch: number
  readonly commitment: Uint8Array
  readonly devices: ReadonlyMap<string, Device>
  readonly gone: ReadonlyMap<string, GoneDevice>
  readonly rootKey: Uint8Array
  /** The newest `reset` and how many there were; null when the account was never recovered. */
  readonly reset: { readonly number: number; readonly entry: EntryId; readonly count: number } | null
  /** The `stop` after which only a `reset` is taken. */
  readonly stopped: EntryId | null
}

/** How much of an entry is judged beside its place in the list. */
export interface Judge {
  /**
   * The ordering relay's time in ms: invites may have expired. Null for every reader: the relay has judged that, and what
   * else hangs on a branch that a `reset` has ended, which a reader may not know or know otherwise.
   */
  readonly timeMs: number | null
  /** False for bytes from one's own disk, whose signatures were checked when they came in. */
  readonly signatures: boolean
}

/** The id of the account with this root key. */
export function accountOfRootKey(suite: Suite, rootKey: Uint8Array): AccountId {
  return accountId(suite.hash('account id', rootKey))
}

/**
 * Folds the next access entry of a library.
 * @param list null before its `create`, or for a proof that begins at a `reset`. It is advanced in place; a refused entry
 *   leaves it as it was
 */
export function foldLibrary(
  suite: Suite,
  list: LibraryList | null,
  entry: Entry,
  statement: Statement,
  judge: Judge
): LibraryList | Refusal {
  const next = list ?? begin(suite, entry, statement, judge)
  if (next instanceof Refusal) return next
  const change = list && advance(suite, list, entry, statement, judge)
  if (change instanceof Refusal) return change
  if (judge.signatures && !verifyEntry(suite, entry))
    return refuse('BAD_SIGNATURE', 'entry: its signature is not its author’s')
  // The one place where a list is written to.
  const own = next as Advancing<LibraryList>
  change?.(own)
  own.head = entry.id
  own.length++
  own.bytes += entry.bytes.length
  own.ids.add(hex(entry.id))
  return own
}

/** A list to try entries on, which leaves the given one as it is. */
export function copyLibrary(list: LibraryList): LibraryList {
  const { ids, devices, gone, invites, open } = list
  return {
    ...list,
    ids: new Set(ids),
    devices: new Map(devices),
    gone: new Map(gone),
    invites: new Map(invites),
    open: new Set(open)
  }
}

/** A library's first entry, or a reset by itself, which begins it anew. */
function begin(suite: Suite, entry: Entry, s: Statement, judge: Judge): LibraryList | Refusal {
  if (s.type === 'create-library') return create(suite, entry, s, judge)
  if (s.type !== 'reset') return refuse('NO_LOG', 'this library does not exist here: create it first')
  return judgeReset(suite, null, entry, s, judge) ?? afterReset(suite, null, entry, s)
}

function create(suite: Suite, entry: Entry, s: CreateLibrary, judge: Judge): LibraryList | Refusal {
  const account = accountOfRootKey(suite, s.rootKey)
  if (!same(account, entry.log)) return refuse('FOREIGN_LOG', 'create: this library is not of that root key')
  if (entry.accessHead.some(byte => byte !== 0)) return refuse('ACCESS_CONFLICT', 'create: nothing can precede it')
  if (judge.signatures && !rootSigned(suite, s, entry.author)) {
    return refuse('BAD_PROOF', 'create: the root key has not signed this device')
  }
  return begun(entry, s, { account, rootKey: s.rootKey, device: entry.author, epoch: 1, reset: null })
}

/** The list of which an entry is the first. */
function begun(
  entry: Entry,
  s: CreateLibrary | ResetLibrary,
  of: Pick<LibraryList, 'account' | 'rootKey' | 'epoch' | 'reset'> & { readonly device: DeviceId }
): LibraryList {
  const { device, ...rest } = of
  return {
    kind: 'library',
    ...rest,
    head: entry.id,
    length: 0,
    bytes: 0,
    ids: new Set(),
    recoverySealingKey: s.recoverySealingKey,
    sealingKey: s.accountSealingKey,
    commitment: s.commitment,
    devices: new Map([[hex(device), { id: device, sealingKey: s.deviceSealingKey, entry: entry.id }]]),
    gone: new Map(),
    invites: new Map(),
    open: new Set(),
    rotationDue: false,
    stopped: null
  }
}

function rootSigned(suite: Suite, s: CreateLibrary, device: DeviceId): boolean {
  return suite.verify(s.rootKey, s.rootSignature, 'device of account', device, s.deviceSealingKey)
}

function advance(
  suite: Suite,
  list: LibraryList,
  entry: Entry,
  s: Statement,
  judge: Judge
): Change<LibraryList> | Refusal {
  if (s.type === 'create-library' || s.type === 'create-share') return refuse('LOG_EXISTS', 'this log exists already')
  if (!same(entry.log, list.account)) return refuse('FOREIGN_LOG', 'entry: it belongs to another log')
  // The one statement that may follow any entry, the stop too: it heals a list that was forked or taken over.
  if (s.type === 'reset') return reset(suite, list, entry, s, judge)
  if (list.stopped) return refuse('STOPPED', 'entry: this library was stopped')
  const invite = s.type === 'join-library' ? openInvite(list.invites, s.invite, judge.timeMs) : null
  if (invite instanceof Refusal) return invite
  if (!same(entry.accessHead, list.head)) return refuse('ACCESS_CONFLICT', 'entry: its access head is not the newest')
  const author = hex(entry.author)
  const isDevice = list.devices.has(author)
  if (s.type !== 'join-library' && !isDevice)
    return refuse('NOT_OWNER', 'entry: its author is no device of this account')
  const full = judgeRoom(list, entry, s)
  if (full) return full
  switch (s.type) {
    case 'invite':
      if (s.untilMs !== null || s.bound) {
        return refuse('BAD_STATEMENT', 'invite: in a library it has no end of membership and is bound to no account')
      }
      return addInvite(judge.timeMs === null ? { ...list, invites: NO_INVITES } : list, s)
    case 'void':
      return voidInvite(list, s.invite)
    case 'join-library':
      return join(suite, list, entry, s, invite, judge)
    case 'leave':
      return next => {
        putOut(next, [entry.author], entry.id, 'left')
        next.rotationDue = true
      }
    case 'remove-devices':
      return removeDevices(list, entry, s)
    case 'stop':
      return next => {
        next.stopped = entry.id
      }
    default:
      return refuse('BAD_STATEMENT', `${s.type} has no place in a library`)
  }
}

/** To a reader no id of an invite was used before: the branch on which it was may be one that a reset has ended. */
const NO_INVITES: ReadonlyMap<string, Invite> = new Map()

/** A library that is too long could be shown nowhere; before it is, it takes nobody in, to have room to put them out. */
function judgeRoom(list: LibraryList, entry: Entry, s: Statement): Refusal | null {
  const admits = s.type === 'invite' || s.type === 'join-library'
  const entriesMax = admits ? LIBRARY_ENTRIES_MAX : PROOF_ENTRIES_MAX
  const bytesMax = admits ? LIBRARY_BYTES_MAX : PROOF_BYTES_MAX
  if (list.length < entriesMax && list.bytes + entry.bytes.length <= bytesMax) return null
  return refuse(
    'LIMIT_ACCESS',
    `${s.type}: the library has ${list.length} access entries of ${list.bytes} bytes, at most ${entriesMax} of ${bytesMax}; reset it`
  )
}

function join(
  suite: Suite,
  list: LibraryList,
  entry: Entry,
  s: JoinLibrary,
  invite: Invite | null,
  judge: Judge
): Change<LibraryList> | Refusal {
  const author = hex(entry.author)
  if (!invite) return refuse('INVITE_UNKNOWN', 'join: there is no such invite')
  if (list.devices.has(author) || (judge.timeMs !== null && list.gone.has(author))) {
    return refuse('KNOWN_DEVICE', 'join: this device was in the account before')
  }
  if (judge.signatures && !suite.verify(s.invite, s.proof, 'join', ...joinProofParts(entry, list.account))) {
    return refuse('BAD_PROOF', 'join: the invite’s key has not signed this')
  }
  return next => {
    next.devices.set(author, { id: entry.author, sealingKey: s.deviceSealingKey, entry: entry.id })
    next.gone.delete(author)
    spend(next, invite)
  }
}

/** Why a `remove` is refused that removes nobody for a reason, or somebody as a rotation. */
export const ROTATION_SENTENCE = 'remove: its reason is rotation if it removes nobody, and only then'

function removeDevices(list: LibraryList, entry: Entry, s: RemoveFromLibrary): Change<LibraryList> | Refusal {
  const out = new Set(s.who.map(hex))
  if (out.size !== s.who.length) return refuse('BAD_STATEMENT', 'remove: it names a device twice')
  if ((s.reason === 'rotation') !== (out.size === 0)) return refuse('BAD_STATEMENT', ROTATION_SENTENCE)
  for (const device of s.who) if (!list.devices.has(hex(device))) return refuse('NOT_DEVICE', 'remove: it is no device')
  const sealed = new Set(s.seals.map(seal => hex(seal.to)))
  for (const device of list.devices.keys()) {
    if (!out.has(device) && !sealed.delete(device)) {
      return refuse('ROTATE_INCOMPLETE', 'remove: a remaining device has no seal')
    }
  }
  if (sealed.size > 0) return refuse('ROTATE_INCOMPLETE', 'remove: a seal for nobody who remains')
  return next => {
    putOut(next, s.who, entry.id, s.reason)
    // Invites for devices live half an hour: a rotation voids them all instead of carrying seals for them.
    close(next, next.open)
    next.epoch++
    next.sealingKey = s.accountSealingKey
    next.commitment = s.commitment
    next.rotationDue = false
  }
}

function reset(
  suite: Suite,
  list: LibraryList,
  entry: Entry,
  s: ResetLibrary,
  judge: Judge
): Change<LibraryList> | Refusal {
  const refusal = judgeReset(suite, list, entry, s, judge)
  if (refusal) return refusal
  return next => {
    putOut(
      next,
      [...next.devices.values()].map(({ id }) => id),
      entry.id,
      'device-removed'
    )
    next.gone.delete(hex(s.device))
    close(next, [...next.open])
    const { ids, gone, invites } = next
    Object.assign(next, afterReset(suite, next, entry, s), { ids, gone, invites })
  }
}

/** @param list null when the proof of an account begins with it */
function judgeReset(
  suite: Suite,
  list: LibraryList | null,
  entry: Entry,
  s: ResetLibrary,
  judge: Judge
): Refusal | null {
  if (!same(accountOfRootKey(suite, entry.author), entry.log)) {
    return refuse('NOT_OWNER', 'reset: its author is not the root key of this account')
  }
  const before = list?.reset ?? null
  if (before && s.number <= before.number) return refuse('RESET_OLD', 'reset: another one came after it')
  if (before && before.count >= RESETS_MAX) {
    return refuse('LIMIT_ACCESS', `reset: the library was reset ${before.count} times, which is the most`)
  }
  // Only the relay that orders the log asks for this: a share may have folded a longer branch than the one that is reset.
  if (list && judge.timeMs !== null && s.epoch <= list.epoch) {
    return refuse('EPOCH_STALE', `reset: epoch ${s.epoch}, the library is in ${list.epoch}`)
  }
  // A device may be counted as an account's only by its own word: what becomes of that account tells it to delete.
  if (judge.signatures && !suite.verify(s.device, s.deviceSignature, 'reset', ...resetParts(accountId(entry.log), s))) {
    return refuse('BAD_PROOF', 'reset: the device has not signed it')
  }
  return null
}

/** Who is in, how all that comes is judged, and how long the list is: it depends on the reset alone. */
function afterReset(suite: Suite, before: LibraryList | null, entry: Entry, s: ResetLibrary): LibraryList {
  return begun(entry, s, {
    account: accountOfRootKey(suite, entry.author),
    rootKey: entry.author,
    device: s.device,
    epoch: s.epoch,
    reset: { number: s.number, entry: entry.id, count: (before?.reset?.count ?? 0) + 1 }
  })
}

function putOut(
  list: Advancing<LibraryList>,
  who: readonly DeviceId[],
  entry: EntryId,
  reason: GoneDevice['reason']
): void {
  for (const id of who) {
    list.devices.delete(hex(id))
    list.gone.set(hex(id), { id, entry, reason })
  }
}

/** What an invite's key signs to prove a join: log, joining account, joining device, access head. */
export function joinProofParts(entry: Pick<Entry, 'log' | 'author' | 'accessHead'>, account: AccountId): Uint8Array[] {
  return [entry.log, account, entry.author, entry.accessHead]
}

/** What the new device signs at a reset: account, number, its sealing key. */
export function resetParts(
  account: AccountId,
  { number, deviceSealingKey }: Pick<ResetLibrary, 'number' | 'deviceSealingKey'>
): Uint8Array[] {
  return [account, new Writer().u53(number).finish(), deviceSealingKey]
}
