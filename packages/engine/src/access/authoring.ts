/**
 * Statements from intents: what an author writes, decided against the access list it knows. When the list has moved on
 * (ACCESS_CONFLICT) the intent is decided anew; nothing here is signed blindly twice. Null: there is nothing to do.
 */
import { type AccountId, hex, type LogId, same } from '../bytes/ids.ts'
import type { Dice, Suite } from '../crypto/suite.ts'
import type { Entry } from '../entry/entry.ts'
import { sinceReset } from './account-proof.ts'
import { type Invite, type InviteKeys, inviteKeys } from './invite.ts'
import { openInvites } from './invites.ts'
import { commitment, type DeviceKeys, sealName, sealPrevious } from './keys.ts'
import { joinProofParts, type LibraryList } from './library-list.ts'
import { type Preview, sealPreview } from './preview.ts'
import { invitesVoidedBy, ownerLibrary, type ShareList } from './share-list.ts'
import type {
  AccountStatement,
  CreateShare,
  InviteStatement,
  JoinShare,
  Reason,
  RemoveFromShare,
  Seal
} from './statement.ts'

/** The first statement of a share. @param o.proof the owner's library entries from its `create` on */
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
    proof: sinceReset(o.proof),
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

/**
 * A join by a link's holder; null when its account is in already.
 * @param o.accountProof the account's library entries from its `create` on; what the share has already is left out
 */
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
    accountProof: newsOf(list, o.account, o.accountProof),
    box: suite.sealTo(o.account.sealingKey, o.epochKey, dice),
    name: sealName(suite, list.log, o.epochKey, o.name, dice)
  }
}

/**
 * What a share lacks of an account's library.
 * @param proof the library's entries from its `create` on
 * @returns null when it lacks nothing, knows more than `library` does, or another branch that only a reset can heal
 */
export function authorAccount(
  list: ShareList,
  library: LibraryList,
  proof: readonly Uint8Array[]
): AccountStatement | null {
  const entries = newsOf(list, library, proof)
  return entries.length > 0 ? { type: 'account', account: library.account, entries } : null
}

/**
 * Whether a share is behind its account's library: there is something to show, and devices or sealing key differ.
 * @param library the account's own, as its device has verified it
 */
export function isAccountDue(list: ShareList, library: LibraryList): boolean {
  const folded = list.accounts.get(hex(library.account))
  if (!folded || lacks(folded, library) === 0) return false
  const devices = [...library.devices.keys()]
  return (
    !same(folded.sealingKey, library.sealingKey) ||
    devices.length !== folded.devices.size ||
    devices.some(device => !folded.devices.has(device))
  )
}

function newsOf(list: ShareList, library: LibraryList, proof: readonly Uint8Array[]): readonly Uint8Array[] {
  const known = list.accounts.get(hex(library.account))
  return known ? proof.slice(proof.length - lacks(known, library)) : sinceReset(proof)
}

/**
 * How many of a library's newest entries can be shown to who has folded `known` of it: what comes after, or what began at
 * a reset since. Of a fork that it has folded only a reset with a higher number can tell it.
 */
function lacks(known: LibraryList, { ids, reset }: LibraryList): number {
  const order = [...ids]
  if (reset && !known.ids.has(hex(reset.entry))) {
    return reset.number > (known.reset?.number ?? 0) ? order.length - order.indexOf(hex(reset.entry)) : 0
  }
  const folded = order.indexOf(hex(known.head))
  return folded < 0 ? 0 : order.length - folded - 1
}

/**
 * Takes accounts out (or nobody: a rotation) and starts the next epoch, with a seal for everyone and every invite that
 * lives on. Who is out already is passed over.
 * @param o.nowMs an invite that has expired by then gets no seal and is void; of a clock that is wrong, links are the only loss
 * @returns null when nobody of `who` is in any more and no rotation is due; `voided` are the invites that it ends
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
  const voidedByRule = new Set(invitesVoidedBy(list, who))
  const ends = (invite: Invite) => voidedByRule.has(invite) || o.nowMs >= invite.expiresMs
  const open = openInvites(list)
  const out = new Set(who.map(hex))
  const seals: Seal[] = []
  const seal = (to: Uint8Array, sealingKey: Uint8Array) =>
    seals.push({ to, box: suite.sealTo(sealingKey, epochKey, dice) })
  seal(list.owner, ownerLibrary(list).sealingKey)
  for (const [key, { account }] of list.members) {
    const library = list.accounts.get(key)
    if (!out.has(key) && library) seal(account, library.sealingKey)
  }
  for (const invite of open) if (!ends(invite)) seal(invite.id, invite.sealingKey)
  const statement: RemoveFromShare = {
    type: 'remove-members',
    who,
    reason: who.length > 0 ? o.reason : 'rotation',
    commitment: commitment(suite, list.log, list.epoch + 1, epochKey),
    seals,
    previous: sealPrevious(suite, list.log, epochKey, o.epochKey, dice)
  }
  return { statement, epochKey, voided: open.filter(ends) }
}
