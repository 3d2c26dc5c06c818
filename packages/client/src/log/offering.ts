/** What a relay has less of an access list than this device: it goes back there verbatim. */
import { type AccessHistory, type EntryId, limits, same } from '@lend/engine'
import { NO_ENTRY } from './records.ts'

export interface Offering {
  /** The entries in order, in parts that fit a frame. */
  readonly parts: readonly (readonly Uint8Array[])[]
  readonly last: EntryId
}

/**
 * The entries that continue the relay's list; null when there are none, or when its list is not ours.
 * @param accessHead of the relay's list, NO_ENTRY when it has none
 */
export function offeringTo(accessHead: EntryId, history: AccessHistory): Offering | null {
  const { records } = history
  const known = same(accessHead, NO_ENTRY) ? -1 : history.indexOf(accessHead)
  const last = records.at(-1)
  if (known === null || known >= records.length - 1 || !last) return null
  const parts: Uint8Array[][] = [[]]
  let bytes = 0
  for (const { entry } of records.slice(known + 1)) {
    if (bytes > 0 && bytes + entry.bytes.length > limits.FRAME_BYTES_WANTED) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)?.push(entry.bytes)
    bytes += entry.bytes.length
  }
  return { parts, last: last.entry.id }
}
