/**
 * What waits in a document: parts of updates that refer to something that has not come. Yjs keeps them beside the state,
 * raw as they came, and gives them out with it; here the two are kept apart.
 */
import * as Y from 'yjs'
import { applyEntry } from './apply.ts'

/** As `Y.encodeStateAsUpdate`, without what waits. @param known a state vector */
export function encodeSettled(doc: Y.Doc, known?: Uint8Array): Uint8Array {
  const { pendingStructs, pendingDs } = doc.store
  doc.store.pendingStructs = null
  doc.store.pendingDs = null
  try {
    return Y.encodeStateAsUpdate(doc, known)
  } finally {
    doc.store.pendingStructs = pendingStructs
    doc.store.pendingDs = pendingDs
  }
}

/** A document that any update would do the same to. What waits is put there as it is: applied again it may differ. */
export function duplicate(doc: Y.Doc): Y.Doc {
  const twin = new Y.Doc({ gc: doc.gc })
  applyEntry(twin, encodeSettled(doc), 'duplicate')
  const { pendingStructs, pendingDs } = doc.store
  if (pendingStructs !== null) {
    twin.store.pendingStructs = { missing: new Map(pendingStructs.missing), update: pendingStructs.update }
  }
  twin.store.pendingDs = pendingDs
  return twin
}
