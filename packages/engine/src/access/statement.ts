/**
 * The statements that access entries carry, in the clear (a relay must enforce them); names and previews are sealed
 * inside. Here are their bytes; what they do is library-list.ts and share-list.ts. Source: docs/PROTOCOL.md, Access.
 */
import { type AccountId, accountId, type DeviceId, deviceId, hex, type InviteId, inviteId } from '../bytes/ids.ts'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { paddedBytes } from '../crypto/padding.ts'
import { SEALED_BOX_BYTES, SEALED_BYTES } from '../crypto/suite.ts'
import {
  EARLIER_KEYS_MAX,
  INVITE_USES_MAX,
  INVITES_MAX,
  LEASE_MS_MAX,
  LEASE_MS_MIN,
  MEMBERS_MAX,
  NAME_BYTES_MAX,
  PREVIEW_BYTES_MAX,
  PROOF_BYTES_MAX,
  PROOF_ENTRIES_MAX
} from '../limits.ts'

/** An epoch key (32 bytes) in a sealed box. */
export const KEY_BOX_BYTES = 32 + SEALED_BOX_BYTES
/** The previous epoch's key under the new one. */
export const PREVIOUS_BYTES = 32 + SEALED_BYTES

/** One recipient of a new epoch's key: an account, an invite, or in a library a device; `to` is its 32-byte id. */
export interface Seal {
  readonly to: Uint8Array
  readonly box: Uint8Array
}

export const REASONS = { rotation: 0, removed: 1, expired: 2, 'device-removed': 3, cloned: 4 } as const
/** Why a `remove` was written. `rotation` removes nobody. */
export type Reason = keyof typeof REASONS

export interface CreateLibrary {
  readonly type: 'create-library'
  readonly rootKey: Uint8Array
  /** Of the root key over the first device's id and sealing key. */
  readonly rootSignature: Uint8Array
  readonly deviceSealingKey: Uint8Array
  readonly recoverySealingKey: Uint8Array
  readonly accountSealingKey: Uint8Array
  readonly commitment: Uint8Array
  readonly deviceBox: Uint8Array
  readonly recoveryBox: Uint8Array
  readonly name: Uint8Array
}

export interface CreateShare {
  readonly type: 'create-share'
  readonly owner: AccountId
  /** The log id is a hash of owner and nonce, so nobody else can create this log, on any relay. */
  readonly nonce: Uint8Array
  readonly proof: readonly Uint8Array[]
  readonly leaseMs: number | null
  readonly relayKey: Uint8Array
  readonly commitment: Uint8Array
  readonly ownerBox: Uint8Array
  readonly name: Uint8Array
}

export interface InviteStatement {
  readonly type: 'invite'
  readonly invite: InviteId
  readonly sealingKey: Uint8Array
  readonly uses: number
  readonly expiresMs: number
  readonly untilMs: number | null
  readonly bound: AccountId | null
  readonly box: Uint8Array
  readonly preview: Uint8Array
}

interface VoidStatement {
  readonly type: 'void'
  readonly invite: InviteId
}

export interface JoinLibrary {
  readonly type: 'join-library'
  readonly invite: InviteId
  /** Of the invite's key, see joinProofParts. */
  readonly proof: Uint8Array
  readonly deviceSealingKey: Uint8Array
  readonly box: Uint8Array
}

export interface JoinShare {
  readonly type: 'join-share'
  readonly invite: InviteId
  readonly proof: Uint8Array
  readonly account: AccountId
  readonly accountProof: readonly Uint8Array[]
  readonly box: Uint8Array
  readonly name: Uint8Array
}

export interface AccountStatement {
  readonly type: 'account'
  readonly account: AccountId
  readonly entries: readonly Uint8Array[]
}

interface LeaveStatement {
  readonly type: 'leave'
}

export interface RemoveFromLibrary {
  readonly type: 'remove-devices'
  readonly who: readonly DeviceId[]
  readonly reason: Reason
  readonly accountSealingKey: Uint8Array
  readonly commitment: Uint8Array
  readonly seals: readonly Seal[]
  readonly recoveryBox: Uint8Array
  readonly previous: Uint8Array
}

export interface RemoveFromShare {
  readonly type: 'remove-members'
  readonly who: readonly AccountId[]
  readonly reason: Reason
  readonly commitment: Uint8Array
  readonly seals: readonly Seal[]
  readonly previous: Uint8Array
}

interface LeasePolicy {
  readonly type: 'lease'
  readonly leaseMs: number | null
}

interface UntilPolicy {
  readonly type: 'until'
  readonly member: AccountId
  readonly untilMs: number | null
}

/** The root key's word: from now on one new device alone is the account. Its author is the root key. */
export interface ResetLibrary {
  readonly type: 'reset'
  /** Above that of any reset before, and at least the time in ms: of two branches the higher one wins. */
  readonly number: number
  readonly device: DeviceId
  /** Of the device, see resetParts. */
  readonly deviceSignature: Uint8Array
  readonly deviceSealingKey: Uint8Array
  readonly recoverySealingKey: Uint8Array
  readonly accountSealingKey: Uint8Array
  readonly epoch: number
  readonly commitment: Uint8Array
  readonly deviceBox: Uint8Array
  readonly recoveryBox: Uint8Array
  /** The keys of epochs before, under the new one. See sealEarlier. */
  readonly earlier: Uint8Array
}

interface StopStatement {
  readonly type: 'stop'
}

export type Statement =
  | CreateLibrary
  | CreateShare
  | InviteStatement
  | VoidStatement
  | JoinLibrary
  | JoinShare
  | AccountStatement
  | LeaveStatement
  | RemoveFromLibrary
  | RemoveFromShare
  | LeasePolicy
  | UntilPolicy
  | StopStatement
  | ResetLibrary

/** The first byte of a statement. */
export const STATEMENT_NUMBERS: Readonly<Record<Statement['type'], number>> = {
  'create-library': 1,
  'create-share': 2,
  invite: 3,
  void: 4,
  'join-library': 5,
  'join-share': 6,
  account: 7,
  leave: 8,
  'remove-devices': 9,
  'remove-members': 10,
  lease: 11,
  until: 12,
  stop: 13,
  reset: 14
}

/** A number and a key for each epoch. */
const EARLIER_BYTES_MAX = SEALED_BYTES + EARLIER_KEYS_MAX * (4 + 32)
const SEALED_NAME_BYTES_MAX = SEALED_BYTES + paddedBytes(NAME_BYTES_MAX)
const SEALED_PREVIEW_BYTES_MAX = SEALED_BYTES + paddedBytes(PREVIEW_BYTES_MAX)
const SEALS_MAX = MEMBERS_MAX + INVITES_MAX + 1
const reasonByNumber = new Map<number, Reason>(Object.entries(REASONS).map(([name, n]) => [n, name as Reason]))

export function encodeStatement(s: Statement): Uint8Array {
  const w = new Writer().u8(STATEMENT_NUMBERS[s.type])
  switch (s.type) {
    case 'create-library':
      w.bytes(s.rootKey).bytes(s.rootSignature).bytes(s.deviceSealingKey).bytes(s.recoverySealingKey)
      w.bytes(s.accountSealingKey).bytes(s.commitment).bytes(s.deviceBox).bytes(s.recoveryBox).sized(s.name)
      break
    case 'create-share':
      w.bytes(s.owner)
        .bytes(s.nonce)
        .list(s.proof, entry => w.sized(entry))
      w.optional(s.leaseMs, ms => w.u53(ms))
        .bytes(s.relayKey)
        .bytes(s.commitment)
        .bytes(s.ownerBox)
        .sized(s.name)
      break
    case 'invite':
      w.bytes(s.invite)
        .bytes(s.sealingKey)
        .u32(s.uses)
        .u53(s.expiresMs)
        .optional(s.untilMs, ms => w.u53(ms))
      w.optional(s.bound, account => w.bytes(account))
        .bytes(s.box)
        .sized(s.preview)
      break
    case 'void':
      w.bytes(s.invite)
      break
    case 'join-library':
      w.bytes(s.invite).bytes(s.proof).bytes(s.deviceSealingKey).bytes(s.box)
      break
    case 'join-share':
      w.bytes(s.invite)
        .bytes(s.proof)
        .bytes(s.account)
        .list(s.accountProof, entry => w.sized(entry))
      w.bytes(s.box).sized(s.name)
      break
    case 'account':
      w.bytes(s.account).list(s.entries, entry => w.sized(entry))
      break
    case 'remove-devices':
      w.list(s.who, device => w.bytes(device))
        .u8(REASONS[s.reason])
        .bytes(s.accountSealingKey)
        .bytes(s.commitment)
      w.list(sorted(s.seals), seal => w.bytes(seal.to).bytes(seal.box))
        .bytes(s.recoveryBox)
        .bytes(s.previous)
      break
    case 'remove-members':
      w.list(s.who, account => w.bytes(account))
        .u8(REASONS[s.reason])
        .bytes(s.commitment)
      w.list(sorted(s.seals), seal => w.bytes(seal.to).bytes(seal.box)).bytes(s.previous)
      break
    case 'lease':
      w.optional(s.leaseMs, ms => w.u53(ms))
      break
    case 'until':
      w.bytes(s.member).optional(s.untilMs, ms => w.u53(ms))
      break
    case 'reset':
      w.u53(s.number).bytes(s.device).bytes(s.deviceSignature).bytes(s.deviceSealingKey)
      w.bytes(s.recoverySealingKey).bytes(s.accountSealingKey).u32(s.epoch)
      w.bytes(s.commitment).bytes(s.deviceBox).bytes(s.recoveryBox).sized(s.earlier)
      break
    case 'leave':
    case 'stop':
      break
  }
  return w.finish()
}

/** @throws Refusal BAD_STATEMENT */
export function decodeStatement(payload: Uint8Array): Statement {
  const r = new Reader(payload, 'BAD_STATEMENT', 'statement')
  const statement = readStatement(r)
  r.end()
  return statement
}

function readStatement(r: Reader): Statement {
  const key = () => r.bytes(32)
  const box = () => r.bytes(KEY_BOX_BYTES)
  const entries = () => readProof(r)
  const name = () => r.sized(SEALED_NAME_BYTES_MAX)
  const number = r.u8()
  switch (number) {
    case STATEMENT_NUMBERS['create-library']:
      return {
        type: 'create-library',
        rootKey: key(),
        rootSignature: r.bytes(64),
        deviceSealingKey: key(),
        recoverySealingKey: key(),
        accountSealingKey: key(),
        commitment: key(),
        deviceBox: box(),
        recoveryBox: box(),
        name: name()
      }
    case STATEMENT_NUMBERS['create-share']:
      return {
        type: 'create-share',
        owner: accountId(key()),
        nonce: key(),
        proof: entries(),
        leaseMs: readLease(r),
        relayKey: key(),
        commitment: key(),
        ownerBox: box(),
        name: name()
      }
    case STATEMENT_NUMBERS.invite:
      return {
        type: 'invite',
        invite: inviteId(key()),
        sealingKey: key(),
        uses: readUses(r),
        expiresMs: r.u53(),
        untilMs: r.optional(() => r.u53()),
        bound: r.optional(() => accountId(key())),
        box: box(),
        preview: r.sized(SEALED_PREVIEW_BYTES_MAX)
      }
    case STATEMENT_NUMBERS.void:
      return { type: 'void', invite: inviteId(key()) }
    case STATEMENT_NUMBERS['join-library']:
      return { type: 'join-library', invite: inviteId(key()), proof: r.bytes(64), deviceSealingKey: key(), box: box() }
    case STATEMENT_NUMBERS['join-share']:
      return {
        type: 'join-share',
        invite: inviteId(key()),
        proof: r.bytes(64),
        account: accountId(key()),
        accountProof: entries(),
        box: box(),
        name: name()
      }
    case STATEMENT_NUMBERS.account:
      return { type: 'account', account: accountId(key()), entries: entries() }
    case STATEMENT_NUMBERS.leave:
      return { type: 'leave' }
    case STATEMENT_NUMBERS['remove-devices']:
      return {
        type: 'remove-devices',
        who: r.list(PROOF_ENTRIES_MAX, () => deviceId(key())),
        reason: readReason(r),
        accountSealingKey: key(),
        commitment: key(),
        seals: readSeals(r),
        recoveryBox: box(),
        previous: r.bytes(PREVIOUS_BYTES)
      }
    case STATEMENT_NUMBERS['remove-members']:
      return {
        type: 'remove-members',
        who: r.list(MEMBERS_MAX, () => accountId(key())),
        reason: readReason(r),
        commitment: key(),
        seals: readSeals(r),
        previous: r.bytes(PREVIOUS_BYTES)
      }
    case STATEMENT_NUMBERS.lease:
      return { type: 'lease', leaseMs: readLease(r) }
    case STATEMENT_NUMBERS.until:
      return { type: 'until', member: accountId(key()), untilMs: r.optional(() => r.u53()) }
    case STATEMENT_NUMBERS.stop:
      return { type: 'stop' }
    case STATEMENT_NUMBERS.reset:
      return {
        type: 'reset',
        number: r.u53(),
        device: deviceId(key()),
        deviceSignature: r.bytes(64),
        deviceSealingKey: key(),
        recoverySealingKey: key(),
        accountSealingKey: key(),
        epoch: r.u32(),
        commitment: key(),
        deviceBox: box(),
        recoveryBox: box(),
        earlier: r.sized(EARLIER_BYTES_MAX)
      }
    default:
      return r.fail(`number ${number} is not a statement of this version`)
  }
}

/** Library entries that prove an account: at most PROOF_ENTRIES_MAX, of PROOF_BYTES_MAX together. */
export function readProof(r: Reader): Uint8Array[] {
  let left = PROOF_BYTES_MAX
  return r.list(PROOF_ENTRIES_MAX, () => {
    const entry = r.sized(left)
    left -= entry.length
    return entry
  })
}

function readLease(r: Reader): number | null {
  const leaseMs = r.optional(() => r.u53())
  if (leaseMs !== null && (leaseMs < LEASE_MS_MIN || leaseMs > LEASE_MS_MAX)) {
    r.fail(`a lease of ${leaseMs} ms, want ${LEASE_MS_MIN} to ${LEASE_MS_MAX}`)
  }
  return leaseMs
}

function readUses(r: Reader): number {
  const uses = r.u32()
  if (uses < 1 || uses > INVITE_USES_MAX) r.fail(`${uses} uses, want 1 to ${INVITE_USES_MAX}`)
  return uses
}

function readReason(r: Reader): Reason {
  const number = r.u8()
  return reasonByNumber.get(number) ?? r.fail(`reason ${number} is unknown`)
}

/** Seals stand in the order of their recipient, each once: one encoding for each value. */
function readSeals(r: Reader): Seal[] {
  const seals = r.list(SEALS_MAX, () => ({ to: r.bytes(32), box: r.bytes(KEY_BOX_BYTES) }))
  let last = ''
  for (const { to } of seals) {
    const name = hex(to)
    if (name <= last) r.fail('seals are not in order of their recipient')
    last = name
  }
  return seals
}

function sorted(seals: readonly Seal[]): Seal[] {
  return [...seals].sort((a, b) => (hex(a.to) < hex(b.to) ? -1 : 1))
}
