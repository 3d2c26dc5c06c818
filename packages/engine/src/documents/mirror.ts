/**
 * What a copy of an item lacks: the update that a share publishes so that its copy says what the library's item says.
 * It comes from state and not from the item's updates: those carry what was overwritten or deleted before, and so does
 * the state of a document on which an UndoManager is held. What a collecting copy emits after the difference was applied
 * to it does not.
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
  return bring(copy, lacking(from, Y.encodeStateVector(copy)))
}

/**
 * What the copy lacks of the item as the item is now. It may still hold what was deleted: it is for `bring` alone, and
 * neither kept nor sent. Two steps, so that an item's state can be made durable before a copy has it.
 * @param known the copy's state vector
 */
export function lacking(from: Y.Doc, known: Uint8Array): Uint8Array {
  // What waits stays behind: raw as it is, a snapshot of the copy would carry it.
  return encodeSettled(from, known)
}

/** Gives the copy what it lacked, whatever else it was given meanwhile. @returns as `difference` does */
export function bring(copy: Y.Doc, lacked: Uint8Array): Uint8Array | null {
  if (!copy.gc) throw new Error('a copy without gc would publish what was deleted')
  const emitted: Uint8Array[] = []
  const collect = (update: Uint8Array): void => {
    emitted.push(update)
  }
  copy.on('update', collect)
  try {
    applyEntry(copy, lacked, 'mirror')
  } finally {
    copy.off('update', collect)
  }
  const [first, ...more] = emitted
  if (first === undefined) return null
  return more.length === 0 ? first : Y.mergeUpdates(emitted)
}
