/**
 * Who may append what: the rights that are the relay's to judge, before the engine's `step` judges the entry itself.
 * Strangers hear the same whether the log exists or not.
 */
import {
  type AccessList,
  type AccountId,
  type DeviceId,
  decodeStatement,
  type Entry,
  type EntryId,
  emptyLog,
  foldProof,
  hex,
  type Incarnation,
  Refusal,
  refuse,
  type Statement,
  type Step,
  same,
  short,
  step
} from '@lend/engine'
import type { Allowance } from './allowance.ts'
import type { FoldedLog } from './folded-log.ts'
import type { Host } from './host.ts'
import { type Claim, noAccess, standingBy } from './seat.ts'

/** One entry that asks to be taken. */
export interface Asked {
  readonly entry: Entry
  readonly device: DeviceId
  /** The life of the log that it is for. */
  readonly incarnation: Incarnation
  /** The first entry of its frame: a log that the client has not seen yet begins with its `create`. */
  readonly first: EntryId
}

/** What its session has shown in this log. */
export interface Shown {
  readonly claim: Claim | null
  readonly isInvited: boolean
}

/** What an entry may ask for, before it is judged. */
export type Right =
  | { readonly is: 'refused'; readonly refusal: Refusal }
  /** It is in the log already. */
  | { readonly is: 'known' }
  /** `spender` pays for it from its allowance; nobody does for the owner. */
  | { readonly is: 'open'; readonly spender: string | null }
  /** The create of a log that may or may not exist. */
  | { readonly is: 'create' }

export function rightTo(folded: FoldedLog, asked: Asked, shown: Shown): Right {
  const { entry } = asked
  if (!same(entry.log, folded.log)) return refused(refuse('FOREIGN_LOG', 'entry: it belongs to another log'))
  if (!same(entry.author, asked.device)) {
    return refused(refuse('NOT_OWNER', 'entry: its author is not the device of this session'))
  }
  const statement = statementOf(entry)
  if (statement instanceof Refusal) return refused(statement)
  // What one has said oneself is acknowledged again, also when it put its author out.
  if (folded.state.access.has(entry.id)) return { is: 'known' }
  const standing = folded.list
    ? standingBy(folded.list, asked.device, shown.claim?.provenAccount ?? null)
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

/** Puts the entry in the draft, or says why not. */
export function judgeAppend(folded: FoldedLog, asked: Asked, right: Right, allowance: Allowance): Step | Refusal {
  switch (right.is) {
    case 'refused':
      return right.refusal
    case 'known':
      return { taken: false, seq: null }
    case 'create':
      return judgeCreate(folded, asked)
    case 'open':
      return right.spender === null ? folded.judge(asked.entry) : judgeAllowed(folded, asked, right.spender, allowance)
  }
}

/**
 * A relay that holds the library of an account too refuses what contradicts it: an author that the account has put out, or
 * entries that its library does not have. Only who proves to belong to the account hears of its library.
 */
export async function contradiction(host: Host, list: AccessList | null, { entry }: Asked): Promise<Refusal | null> {
  const statement = statementOf(entry)
  if (!statement || statement instanceof Refusal) return null
  const proof = proofIn(statement)
  if (!proof) return null
  const known = list?.kind === 'share' ? (list.accounts.get(hex(proof.account)) ?? null) : null
  const folded = foldProof(host.suite, known, proof.account, proof.entries, { timeMs: null, signatures: true })
  const author = hex(entry.author)
  // What is wrong with it in itself, `step` says.
  if (folded instanceof Refusal || !(folded.devices.has(author) || known)) return null
  const library = await host.libraryOf(proof.account)
  if (library?.list?.kind !== 'library') return null
  if (library.list.gone.has(author)) {
    return refuse('DEVICE_REMOVED', 'entry: its author is no device of its account any more')
  }
  if (library.has(folded.head)) return null
  return refuse('BAD_PROOF', 'account proof: it has entries that the library at this relay does not have')
}

function proofIn(s: Statement): { account: AccountId; entries: readonly Uint8Array[] } | null {
  switch (s.type) {
    case 'account':
      return s
    case 'join-share':
      return { account: s.account, entries: s.accountProof }
    case 'create-share':
      return { account: s.owner, entries: s.proof }
    default:
      return null
  }
}

function refused(refusal: Refusal): Right {
  return { is: 'refused', refusal }
}

function statementOf(entry: Entry): Statement | Refusal | null {
  if (entry.kind !== 'access') return null
  try {
    return decodeStatement(entry.payload)
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
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

/** The create of a log that exists is judged like that of one that does not; only its true author can tell. */
function judgeCreate(folded: FoldedLog, asked: Asked): Step | Refusal {
  if (folded.list === null) return isOfThisLife(folded, asked) ? folded.judge(asked.entry) : otherLife(asked)
  if (asked.incarnation.some(byte => byte !== 0)) return otherLife(asked)
  const judged = step(emptyLog(folded.state.suite), asked.entry, { seq: 1, timeMs: folded.nowMs() })
  return judged instanceof Refusal ? judged : noAccess()
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
