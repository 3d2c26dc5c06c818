/**
 * Account proofs: a library's entries, verbatim, as they are shown where their account has a part. They fold to the library's
 * access list. Source: docs/PROTOCOL.md, Access, A proof.
 */
import { type AccountId, hex, same } from '../bytes/ids.ts'
import type { Suite } from '../crypto/suite.ts'
import { decodeEntry, HEADER_BYTES, KINDS } from '../entry/entry.ts'
import { Refusal, refuse } from '../refusal.ts'
import { copyLibrary, foldLibrary, type Judge, type LibraryList } from './library-list.ts'
import { decodeStatement, STATEMENT_NUMBERS } from './statement.ts'

/**
 * Folds an account proof: library entries, verbatim and in order, that continue `list`, or begin at a `reset` that ends it.
 * What the list has already is known by its ids and passed over without checking it again, and so is what stands before the
 * last reset in the proof: so one from the beginning, or one that is behind, is good at any time. `list` stays as it is.
 * @returns `list` itself when the proof brings nothing new
 */
export function foldProof(
  suite: Suite,
  list: LibraryList | null,
  account: AccountId,
  proof: readonly Uint8Array[],
  judge: Judge
): LibraryList | Refusal {
  try {
    const entries = sinceReset(proof).map(bytes => decodeEntry(suite, bytes))
    for (const [i, { accessHead }] of entries.entries()) {
      const before = entries[i - 1]
      if (before && !same(before.id, accessHead)) return refuse('BAD_PROOF', 'account proof: its entries are no chain')
    }
    const news = entries.findIndex(({ id }) => !list?.ids.has(hex(id)))
    if (news < 0) return list ?? refuse('BAD_PROOF', 'account proof: it is empty')
    let next = list && copyLibrary(list)
    for (const entry of entries.slice(news)) {
      if (!same(entry.log, account) || entry.kind !== 'access') {
        return refuse('BAD_PROOF', 'account proof: an entry of another log')
      }
      const folded = foldLibrary(suite, next, entry, decodeStatement(entry.payload), { ...judge, timeMs: null })
      if (folded instanceof Refusal) return refuse('BAD_PROOF', `account proof: ${folded.message}`)
      next = folded
    }
    return next ?? refuse('BAD_PROOF', 'account proof: it is empty')
  } catch (error) {
    if (error instanceof Refusal) return refuse('BAD_PROOF', `account proof: ${error.message}`)
    throw error
  }
}

/** What has to be shown of a library: its entries from the last `reset` on, for nothing before it counts any more. */
export function sinceReset(entries: readonly Uint8Array[]): readonly Uint8Array[] {
  const isReset = (bytes: Uint8Array) => bytes[1] === KINDS.access && bytes[HEADER_BYTES] === STATEMENT_NUMBERS.reset
  return entries.slice(Math.max(0, entries.findLastIndex(isReset)))
}
