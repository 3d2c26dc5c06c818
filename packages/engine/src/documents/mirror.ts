/**
 * What a copy of an item lacks: the update that a share publishes so that its copy says what the library's item says.
 * It comes from state and not from the item's updates: those carry what was overwritten or deleted before, and so does
 * the state of a document on which an UndoManager is held. What a collecting copy emits after the difference was applied
 * to it does not. Source: DESIGN.md section 4, Selecting copies.
 */
import * as Y from 'yjs'
import { applyEntry } from './apply.ts'
import { encodeSettled } from './pending.ts'

/**
 * Brings the copy up to the item.
 * @param copy a document with `gc: true` that is written by nothing but this and the log's entries
 * @returns one update, format V1, to publish; null when the copy lacked nothing
 */
export function difference(from: Y.Doc, copy: Y.Doc): Uint8Array | null {
  if (!copy.gc) throw new Error('a copy without gc would publish what was deleted')
  const emitted: Uint8Array[] = []
  const collect = (update: Uint8Array): void => {
    emitted.push(update)
  }
  copy.on('update', collect)
  try {
    // What waits stays behind: raw as it is, a snapshot of the copy would carry it.
    applyEntry(copy, encodeSettled(from, Y.encodeStateVector(copy)), 'mirror')
  } finally {
    copy.off('update', collect)
  }
  const [first, ...more] = emitted
  if (first === undefined) return null
  return more.length === 0 ? first : Y.mergeUpdates(emitted)
}
