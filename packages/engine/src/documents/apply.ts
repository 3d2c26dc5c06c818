/**
 * Applies an update to a document that this device may write, as `Y.applyUpdate` does, but without the deletions that
 * Yjs adds by itself in formatted text after a remote change: every device would publish its own.
 * In a guarded document `DocumentGuard.apply` does it.
 */
import * as Y from 'yjs'

/** @param update a Yjs update, format V1, that has passed `checkUpdate` */
export function applyEntry(doc: Y.Doc, update: Uint8Array, origin: unknown): void {
  const apply = (transaction: Y.Transaction): void => {
    const leaveFormatting = (ended: Y.Transaction): void => {
      if (ended !== transaction) return
      transaction._needFormattingCleanup = false
      doc.off('afterTransaction', leaveFormatting)
    }
    doc.on('afterTransaction', leaveFormatting)
    Y.applyUpdate(doc, update, origin)
  }
  Y.transact(doc, apply, origin, false)
}
