/**
 * Statements from intents: what an author writes, decided against the access list it knows. When the list has moved on
 * (ACCESS_CONFLICT) the intent is decided anew; nothing here is signed blindly twice. Null: there is nothing to do.
 */
import { type AccountId, hex, type LogId } from '../bytes/ids.ts'
import type { Dice, Suite } from '../crypto/suite.ts'
import type { Entry } from '../entry/entry.ts'
import { type Invite, type InviteKeys, inviteKeys } from './invite.ts'
import { accountSealingKeys, commitment, type DeviceKeys, rootKeys, sealName, sealPrevious } from './keys.ts'
import { joinProofParts, type LibraryList } from './library-list.ts'
import { type Preview, sealPreview } from './preview.ts'
import { invitesVoidedBy, openInvites, ownerLibrary, type ShareList } from './share-list.ts'
import type {
  CreateLibrary,
  CreateShare,
  InviteStatement,
  JoinShare,
  Reason,
  RemoveFromShare,
  Seal
} from './statement.ts'

/** The first statement of an account's library. */
export function authorLibrary(
  suite: Suite,
  o: { log: LogId; entropy: Uint8Array; device: DeviceKeys; epochKey: Uint8Array; name: string },
  dice: Dice
): CreateLibrary {
  const root = rootKeys(suite, o.entropy)
  return {
    type: 'create-library',
    rootKey: root.signing.publicKey,
    rootSignature: suite.sign(root.signing.secretKey, 'device of account', o.device.id, o.device.sealing.publicKey),
    deviceSealingKey: o.device.sealing.publicKey,
    recoverySealingKey: root.recovery.publicKey,
    accountSealingKey: accountSealingKeys(suite, o.epochKey).publicKey,
    commitment: commitment(suite, o.log, 1, o.epochKey),
    deviceBox: suite.sealTo(o.device.sealing.publicKey, o.epochKey, dice),
    recoveryBox: suite.sealTo(root.recovery.publicKey, o.epochKey, dice),
    name: sealName(suite, o.log, o.epochKey, o.name, dice)
  }
}

/** The first statement of a share. */
export function authorShare(
  suite: Suite,
  o: {
    log: LogId
    nonce: Uint8Array
    owner: LibraryList
    proof: readonly Uint8Array[]
    leaseMs: number | null
    relayKey: Uint8Array
    epochKey: Uint8Array
    name: string
  },
  dice: Dice
): CreateShare {
  return {
    type: 'create-share',
    owner: o.owner.account,
    nonce: o.nonce,
    proof: o.proof,
    leaseMs: o.leaseMs,
    relayKey: o.relayKey,
    commitment: commitment(suite, o.log, 1, o.epochKey),
    ownerBox: suite.sealTo(o.owner.sealingKey, o.epochKey, dice),
    name: sealName(suite, o.log, o.epochKey, o.name, dice)
  }
}

/** @param secret 32 random bytes, which only the link carries */
export function authorInvite(
  suite: Suite,
  o: {
    secret: Uint8Array
    uses: number
    expiresMs: number
    untilMs: number | null
    bound: AccountId | null
    preview: Preview
    epochKey: Uint8Array
  },
  dice: Dice
): InviteStatement {
  const keys = inviteKeys(suite, o.secret)
  return {
    type: 'invite',
    invite: keys.id,
    sealingKey: keys.sealing.publicKey,
    uses: o.uses,
    expiresMs: o.expiresMs,
    untilMs: o.untilMs,
    bound: o.bound,
    box: suite.sealTo(keys.sealing.publicKey, o.epochKey, dice),
    preview: sealPreview(suite, keys, o.preview, dice)
  }
}

/** A join by a link's holder; null when its account is in already. */
export function authorJoin(
  suite: Suite,
  list: ShareList,
  o: {
    keys: InviteKeys
    account: LibraryList
    accountProof: readonly Uint8Array[]
    device: DeviceKeys
    epochKey: Uint8Array
    name: string
  },
  dice: Dice
): JoinShare | null {
  const { account } = o.account
  if (list.members.has(hex(account))) return null
  const place: Pick<Entry, 'log' | 'author' | 'accessHead'> = {
    log: list.log,
    author: o.device.id,
    accessHead: list.head
  }
  return {
    type: 'join-share',
    invite: o.keys.id,
    proof: suite.sign(o.keys.signing.secretKey, 'join', ...joinProofParts(place, account)),
    account,
    accountProof: o.accountProof,
    box: suite.sealTo(o.account.sealingKey, o.epochKey, dice),
    name: sealName(suite, list.log, o.epochKey, o.name, dice)
  }
}

/**
 * Takes accounts out (or nobody: a rotation) and starts the next epoch, with a seal for everyone and every invite that
 * remains. Who is out already is passed over.
 * @returns null when nobody of `who` is in any more and no rotation is due
 */
export function authorRemoval(
  suite: Suite,
  list: ShareList,
  o: { who: readonly AccountId[]; reason: Reason; epochKey: Uint8Array; nowMs: number; rotate?: boolean },
  dice: Dice
): { statement: RemoveFromShare; epochKey: Uint8Array; voided: readonly Invite[] } | null {
  const who = o.who.filter(account => list.members.has(hex(account)))
  if (who.length === 0 && !list.rotationDue && !o.rotate) return null
  const epochKey = dice(32)
  const voided = invitesVoidedBy(list, who)
  const dead = new Set(voided.map(invite => hex(invite.id)))
  const out = new Set(who.map(hex))
  const seals: Seal[] = []
  const seal = (to: Uint8Array, sealingKey: Uint8Array) =>
    seals.push({ to, box: suite.sealTo(sealingKey, epochKey, dice) })
  seal(list.owner, ownerLibrary(list).sealingKey)
  for (const [key, { account }] of list.members) {
    const library = list.accounts.get(key)
    if (!out.has(key) && library) seal(account, library.sealingKey)
  }
  for (const invite of openInvites(list)) if (!dead.has(hex(invite.id))) seal(invite.id, invite.sealingKey)
  const statement: RemoveFromShare = {
    type: 'remove-members',
    who,
    reason: who.length > 0 ? o.reason : 'rotation',
    commitment: commitment(suite, list.log, list.epoch + 1, epochKey),
    seals,
    previous: sealPrevious(suite, list.log, epochKey, o.epochKey, dice)
  }
  return { statement, epochKey, voided }
}
