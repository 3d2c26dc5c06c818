/**
 * Account proofs, looked at in portions: one of the largest size is some hundred milliseconds of signatures, which no turn
 * of the event loop should hold. What was verified here is known when the entry that carries it is judged (verified.ts).
 */
import {
  type AccessList,
  type AccountId,
  foldProof,
  hex,
  type LibraryList,
  Refusal,
  type Statement,
  sinceReset
} from '@lend/engine'
import type { Host } from './host.ts'
import { WORK } from './turns.ts'

const PORTION = 32

/** What a statement shows of an account's library. */
export interface Proof {
  readonly account: AccountId
  readonly entries: readonly Uint8Array[]
}

export function proofIn(s: Statement): Proof | null {
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

/** What the engine's `foldProof` says, in as many turns as it takes. @param list what is folded of that account already */
export async function foldProofInTurns(
  host: Pick<Host, 'suite' | 'turns'>,
  list: LibraryList | null,
  { account, entries }: Proof,
  lane: object
): Promise<LibraryList | Refusal> {
  const judge = { timeMs: null, signatures: true }
  const counted = sinceReset(entries)
  let folded = list
  for (let at = 0; at === 0 || at < counted.length; at += PORTION) {
    const portion = counted.slice(at, at + PORTION)
    await host.turns.take(portion.length * WORK.verify, lane)
    const next = foldProof(host.suite, folded, account, portion, judge)
    if (next instanceof Refusal) return next
    folded = next
  }
  if (!folded) throw new Error('a proof folds to a library or is refused')
  return folded
}

/** Makes the signatures of a large proof known, before the entry that carries it is judged. */
export async function verifyProof(host: Host, list: AccessList | null, s: Statement, lane: object): Promise<void> {
  const proof = proofIn(s)
  if (!proof || proof.entries.length <= PORTION) return
  await foldProofInTurns(host, knownOf(list, proof.account), proof, lane)
}

/** What a share has folded of an account. */
export function knownOf(list: AccessList | null, account: AccountId): LibraryList | null {
  return list?.kind === 'share' ? (list.accounts.get(hex(account)) ?? null) : null
}
