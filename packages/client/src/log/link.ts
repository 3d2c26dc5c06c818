/**
 * Where a log stands towards its relay, as its share shows it.
 *
 *   down → asked → reading → live         the connection is lost: any → down
 *          asked → waiting → reading      the relay lost part of the log; no owner device has been there yet
 *          asked, reading → refused       asked again after a while
 *   any → waiting                         this device has left the relay: it was copied, and becomes another
 *          live → asked                   what we know of the log is not what the relay has
 */
import type { Following, Placed, Refusal } from '@lend/engine'

export interface Progress {
  readonly entries: number
  readonly entriesTotal: number
  readonly bytes: number
  readonly bytesTotal: number
}

interface ReadingLink {
  readonly state: 'reading'
  /** The seq up to which it reads. */
  readonly target: number
  readonly progress: Progress
}

export type LinkState =
  | { readonly state: 'down' | 'asked' | 'waiting' | 'live' }
  | ReadingLink
  | { readonly state: 'refused'; readonly refusal: Refusal }

export function beginReading({ entriesTotal, bytesTotal }: Following, target: number): ReadingLink {
  return { state: 'reading', target, progress: { entries: 0, entriesTotal, bytes: 0, bytesTotal } }
}

/** After a delivery. The totals were the relay's guess. */
export function advanced(link: ReadingLink, placed: readonly Placed[]): ReadingLink {
  const { progress } = link
  const entries = progress.entries + placed.length
  const bytes = progress.bytes + placed.reduce((sum, { bytes }) => sum + bytes.length, 0)
  const entriesTotal = Math.max(progress.entriesTotal, entries)
  const bytesTotal = Math.max(progress.bytesTotal, bytes)
  return { ...link, progress: { entries, entriesTotal, bytes, bytesTotal } }
}
