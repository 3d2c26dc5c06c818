/** What a relay has less of an access list than this device: it goes back there verbatim. */
import { type AccessHistory, type EntryId, limits, same } from '@lend/engine'
import { NO_ENTRY } from './records.ts'

export interface Offering {
  /** The entries in order, in parts that fit a frame. */
  readonly parts: readonly (readonly Uint8Array[])[]
  readonly last: EntryId
}

/**
 * The entries that continue the relay's list; null when there are none. To a list that went on without ours those from the
 * newest reset on, which may follow any entry; null when there was no reset.
 * @param accessHead of the relay's list, NO_ENTRY when it has none
 * @param isLost the relay has lost part of the log: a list that is not known here is not merely newer
 */
export function offeringTo(accessHead: EntryId, history: AccessHistory, isLost: boolean): Offering | null {
  const { records } = history
  const first = same(accessHead, NO_ENTRY) ? 0 : (after(history, accessHead) ?? (isLost ? newestReset(history) : -1))
  const last = records.at(-1)
  if (first < 0 || first >= records.length || !last) return null
  const parts: Uint8Array[][] = [[]]
  let bytes = 0
  for (const { entry } of records.slice(first)) {
    if (bytes > 0 && bytes + entry.bytes.length > limits.FRAME_BYTES_WANTED) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)?.push(entry.bytes)
    bytes += entry.bytes.length
  }
  return { parts, last: last.entry.id }
}

/** The place behind an access entry; null when it is not in the list. */
function after(history: AccessHistory, id: EntryId): number | null {
  const known = history.indexOf(id)
  return known === null ? null : known + 1
}

/** Its place; −1 when there was none. */
function newestReset({ records }: AccessHistory): number {
  return records.findLastIndex(({ statement }) => statement.type === 'reset')
}
