/**
 * Who may append what: the rights that are the relay's to judge, before the engine's `step` judges the entry itself.
 * Strangers hear the same whether the log exists or not.
 */
import {
  type AccessList,
  decodeStatement,
  type Entry,
  hex,
  Refusal,
  refuse,
  type Statement,
  type Step,
  same,
  short,
  topOf
} from '@lend/engine'
import type { Allowance } from './allowance.ts'
import type { Asked } from './asking.ts'
import type { Claim } from './claim.ts'
import { ownerOf } from './creations.ts'
import type { FoldedLog } from './folded-log.ts'
import type { Host, Requester } from './host.ts'
import { foldProofInTurns, knownOf, proofIn } from './proofs.ts'
import { judgeRoom } from './room.ts'
import { noAccess, standingBy } from './seat.ts'

/** What an entry may ask for, before it is judged. */
type Right =
  | { readonly is: 'refused'; readonly refusal: Refusal }
  /** It is in the log already. */
  | { readonly is: 'known' }
  /** `spender` pays for it from its allowance; nobody does for the owner. */
  | { readonly is: 'open'; readonly spender: string | null }
  /** The create of a log that may or may not exist. */
  | { readonly is: 'create' }

/**
 * Puts the entry in the draft, or says why not.
 * @param o.claim what its session has shown in this log
 * @param o.isInvited its session holds an open link
 * @param o.allowance of members, in this log
 */
export async function judgeAppend(
  host: Host,
  folded: FoldedLog,
  { asked, requester }: { readonly asked: Asked; readonly requester: Requester },
  o: { readonly claim: Claim | null; readonly isInvited: boolean; readonly allowance: Allowance }
): Promise<Step | Refusal> {
  const { entry } = asked
  if (!same(entry.log, folded.log)) return refuse('FOREIGN_LOG', 'entry: it belongs to another log')
  if (!same(entry.author, asked.device)) {
    return refuse('NOT_OWNER', 'entry: its author is not the device of this session')
  }
  const statement = statementOf(entry)
  if (statement instanceof Refusal) return statement
  const right = rightTo(folded, asked, statement, o)
  if (right.is === 'refused') return right.refusal
  if (right.is === 'known') return { taken: false, seq: null }
  // Every try costs: it is signatures that are asked for.
  const hasty = right.is === 'create' ? host.creations.spendNetwork(requester.network, folded.nowMs()) : null
  if (hasty) return hasty
  const contradicted = statement && (await contradiction(host, folded.list, entry, statement, requester))
  if (contradicted) return contradicted
  if (right.is === 'create') return judgeCreate(host, folded, asked)
  const full = isHere(folded, entry) ? null : judgeRoom(folded, entry, statement, host.limits)
  if (full) return full
  return right.spender === null ? folded.judge(entry) : judgeAllowed(folded, asked, right.spender, o.allowance)
}

/** @param statement of an access entry; null for data */
function rightTo(
  folded: FoldedLog,
  asked: Asked,
  statement: Statement | null,
  shown: { readonly claim: Claim | null; readonly isInvited: boolean }
): Right {
  const { entry } = asked
  // What one has said oneself is acknowledged again, also when it put its author out.
  if (folded.state.access.has(entry.id)) return { is: 'known' }
  const standing = folded.list
    ? standingBy(folded.list, asked.device, shown.claim?.proven ?? null)
    : ({ is: 'stranger' } as const)
  const life = isOfThisLife(folded, asked)
  switch (standing.is) {
    case 'owner':
      return life ? { is: 'open', spender: null } : refused(otherLife(asked))
    case 'member':
      if (standing.untilMs !== null && folded.nowMs() >= standing.untilMs) return refused(noAccess())
      if (!life) return refused(otherLife(asked))
      return { is: 'open', spender: entry.kind === 'access' ? hex(standing.account) : null }
    case 'former':
    case 'stranger':
      if (shown.isInvited && (statement?.type === 'join-share' || statement?.type === 'join-library')) {
        const spender = statement.type === 'join-share' ? hex(statement.account) : hex(asked.device)
        return life ? { is: 'open', spender } : refused(otherLife(asked))
      }
      return standing.is === 'stranger' && (statement?.type === 'create-library' || statement?.type === 'create-share')
        ? { is: 'create' }
        : refused(noAccess())
  }
}

/**
 * A relay that holds the library of an account too refuses what contradicts it: an author that the account has put out, or
 * entries that its library does not have. Only who proves to belong to the account hears of its library.
 */
async function contradiction(
  host: Host,
  list: AccessList | null,
  entry: Entry,
  statement: Statement,
  lane: object
): Promise<Refusal | null> {
  const proof = proofIn(statement)
  if (!proof) return null
  const known = knownOf(list, proof.account)
  const folded = await foldProofInTurns(host, known, proof, lane)
  const author = hex(entry.author)
  // What is wrong with it in itself, `step` says.
  if (folded instanceof Refusal || !(folded.devices.has(author) || known)) return null
  const library = await host.libraryOf(proof.account)
  if (library.list?.kind !== 'library') return null
  if (library.list.gone.has(author)) {
    return refuse('DEVICE_REMOVED', 'entry: its author is no device of its account any more')
  }
  if (library.has(folded.head)) return null
  return refuse('BAD_PROOF', 'account proof: it has entries that the library at this relay does not have')
}

/** What an access entry says; null for data, and the refusal of what can't be read. */
function statementOf(entry: Entry): Statement | Refusal | null {
  if (entry.kind !== 'access') return null
  try {
    return decodeStatement(entry.payload)
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
}

function refused(refusal: Refusal): Right {
  return { is: 'refused', refusal }
}

/** It may be acknowledged again: `step` says. */
function isHere({ state }: FoldedLog, entry: Entry): boolean {
  if (entry.kind === 'access') return state.access.has(entry.id)
  return state.dropped.has(hex(entry.document)) || entry.ctr <= (topOf(state, entry)?.ctr ?? 0)
}

/** Zero stands for a log that the client has not seen: good for its create and what came with it, also when sent again. */
function isOfThisLife({ lives, list, state }: FoldedLog, { incarnation, first }: Asked): boolean {
  if (same(incarnation, lives.current)) return true
  if (incarnation.some(byte => byte !== 0)) return false
  const create = state.access.records[0]?.entry.id
  return list === null || (lives.isFirst && create !== undefined && same(create, first))
}

function otherLife({ incarnation }: Asked): Refusal {
  return refuse(
    'INCARNATION',
    `entry: it is for the incarnation ${short(incarnation)}, which is over; follow the log again`
  )
}

/**
 * The create of a log that exists is judged like that of one that does not; only its true author can tell. Likewise only
 * who may create for an account hears how much that one has created.
 */
function judgeCreate({ creations }: Host, folded: FoldedLog, asked: Asked): Step | Refusal {
  const life = folded.list ? asked.incarnation.every(byte => byte === 0) : isOfThisLife(folded, asked)
  if (!life) return otherLife(asked)
  return folded.judgeCreate(asked.entry, list =>
    folded.list ? noAccess() : creations.spendAccount(ownerOf(list), folded.nowMs())
  )
}

/**
 * A conflict costs nothing: its author could not know. What is refused is paid for by the device that sent it, so that
 * nobody spends what is another's by naming its account.
 */
function judgeAllowed(
  folded: FoldedLog,
  { entry, device }: Asked,
  account: string,
  allowance: Allowance
): Step | Refusal {
  const nowMs = folded.nowMs()
  const waitMs = Math.max(allowance.waitMs(account, nowMs), allowance.waitMs(hex(device), nowMs))
  if (waitMs > 0) {
    return new Refusal('RATE_LIMITED', `entry: too many access entries of this account; again in ${waitMs} ms`, waitMs)
  }
  const judged = folded.judge(entry)
  if (!(judged instanceof Refusal)) allowance.spend(account, nowMs)
  else if (judged.code !== 'ACCESS_CONFLICT') allowance.spend(hex(device), nowMs)
  return judged
}
