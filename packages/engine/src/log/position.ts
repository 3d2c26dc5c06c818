/**
 * How far a reader is in one (document, device): the highest ctr reached without gaps by entries and covers together.
 * Gaps are fine on the way (a snapshot that covers them may come later) and must be closed at the head.
 */
import { type EntryId, same } from '../bytes/ids.ts'

/** Applied entries without a gap among them. */
interface Run {
  readonly from: number
  readonly to: number
  /** Of the entry at `to`. */
  readonly id: EntryId
}

export interface Position {
  /** All entries up to this ctr are applied, or covered by a snapshot that is. */
  readonly reached: number
  /** The id of the entry at `reached`; null at 0. */
  readonly id: EntryId | null
  /** Applied beyond a gap, in order. Few, however many entries: thousands may stand behind one missing. */
  readonly ahead: readonly Run[]
}

export const START: Position = { reached: 0, id: null, ahead: [] }

/** True when an entry with this ctr has nothing new for the reader. */
export function holds(position: Position, ctr: number): boolean {
  return ctr <= position.reached || position.ahead.some(({ from, to }) => from <= ctr && ctr <= to)
}

/** True when another entry under the same ctr is known to have been applied: its author is a clone. */
export function contradicts(position: Position, ctr: number, id: EntryId): boolean {
  const known = ctr === position.reached ? position.id : (position.ahead.find(({ to }) => to === ctr)?.id ?? null)
  return known !== null && !same(known, id)
}

/** After an entry with this ctr was applied. */
export function reach(position: Position, ctr: number, id: EntryId): Position {
  if (holds(position, ctr)) return position
  if (ctr === position.reached + 1) return settle(ctr, id, position.ahead)
  const before = position.ahead.find(({ to }) => to === ctr - 1)
  const after = position.ahead.find(({ from }) => from === ctr + 1)
  const run: Run = { from: before?.from ?? ctr, to: after?.to ?? ctr, id: after?.id ?? id }
  const others = position.ahead.filter(other => other !== before && other !== after)
  return { ...position, ahead: [...others, run].sort((a, b) => a.from - b.from) }
}

/** After a snapshot that covers up to this ctr was applied. */
export function coverUpTo(position: Position, ctr: number, id: EntryId): Position {
  return ctr <= position.reached ? position : settle(ctr, id, position.ahead)
}

export function hasGap(position: Position): boolean {
  return position.ahead.length > 0
}

function settle(ctr: number, id: EntryId, ahead: readonly Run[]): Position {
  const next = ahead.find(({ from, to }) => from <= ctr + 1 && to > ctr)
  const reached = next?.to ?? ctr
  return { reached, id: next?.id ?? id, ahead: ahead.filter(({ to }) => to > reached) }
}
