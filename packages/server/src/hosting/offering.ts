/**
 * Access entries offered to a log that lost them: those that continue its list, verbatim and with their signatures
 * checked. Whether an invite had expired is not judged again; the relay that ordered them has.
 */
import {
  type AccessList,
  decodeStatement,
  type Entry,
  foldLibrary,
  foldShare,
  type LogId,
  Refusal,
  type Statement,
  type Suite,
  same
} from '@lend/engine'

/** @returns the entries that continue `list`, in order, and the list with them */
export function continuing(
  suite: Suite,
  log: LogId,
  list: AccessList | null,
  offered: readonly Entry[],
  nowMs: number
): { taken: Entry[]; list: AccessList | null } {
  const taken: Entry[] = []
  let next = list
  for (const entry of offered) {
    const folded = entry.kind === 'access' && same(entry.log, log) ? fold(suite, next, entry, nowMs) : null
    if (!folded) continue
    taken.push(entry)
    next = folded
  }
  return { taken, list: next }
}

/** Null when it does not continue the list, or is no valid entry of it. */
function fold(suite: Suite, list: AccessList | null, entry: Entry, nowMs: number): AccessList | null {
  const judge = { timeMs: null, signatures: true }
  let statement: Statement
  try {
    statement = decodeStatement(entry.payload)
  } catch (error) {
    if (error instanceof Refusal) return null
    throw error
  }
  const isLibrary = list ? list.kind === 'library' : statement.type === 'create-library'
  const folded = isLibrary
    ? foldLibrary(suite, list?.kind === 'library' ? list : null, entry, statement, judge)
    : foldShare(suite, list?.kind === 'share' ? list : null, entry, statement, nowMs, judge)
  return folded instanceof Refusal ? null : folded
}
