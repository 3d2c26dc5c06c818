/**
 * The ways on which Yjs changes a document, wrapped once for all documents of the process, so that those of a guarded
 * document are refused. `guard.ts` says when and why.
 */
import * as Y from 'yjs'

export interface Guarded {
  /** The transaction in which the engine is applying right now, the only one that may change the document. */
  applying: Y.Transaction | null
  refuse(): never
}

export const guards = new WeakMap<Y.Doc, Guarded>()
/** What a document that may be written asks of each new local item; it throws to refuse it. */
export const bounds = new WeakMap<Y.Doc, (item: Y.Item) => void>()
/** Guarded documents with a transaction under way. */
export const underWay = new Set<Y.Doc>()
/** How many `event.delta` are being computed. */
let deltasUnderWay = 0
let wrapped = false

export function wrapYjs(): void {
  if (wrapped) return
  wrapped = true
  const { integrate, delete: remove } = Y.Item.prototype
  const { splice } = Y.ContentString.prototype
  const delta = Object.getOwnPropertyDescriptor(Y.YTextEvent.prototype, 'delta')

  Y.Item.prototype.integrate = function (transaction, offset) {
    const guard = refusing(transaction)
    if (guard !== undefined) refuseItem(guard, this)
    if (transaction.local) checkBound(transaction.doc, this)
    integrate.call(this, transaction, offset)
  }

  Y.Item.prototype.delete = function (transaction) {
    const guard = this.deleted ? undefined : refusing(transaction)
    if (guard !== undefined) {
      // `event.delta` deletes formats that it finds to be redundant. Reading is not refused, it just deletes nothing.
      if (deltasUnderWay > 0) return
      refuseItem(guard, this)
    }
    remove.call(this, transaction)
  }

  // Yjs puts U+FFFD for both halves of a pair that it splits, and joining them does not bring the pair back.
  Y.ContentString.prototype.splice = function (offset) {
    if (underWay.size === 0 || !splitsPair(this.str, offset) || !isRead(this)) return splice.call(this, offset)
    const right = new Y.ContentString(this.str.slice(offset))
    this.str = this.str.slice(0, offset)
    return right
  }

  Object.defineProperty(Y.YTextEvent.prototype, 'delta', {
    ...delta,
    get(this: Y.YTextEvent): unknown {
      deltasUnderWay++
      try {
        return delta?.get?.call(this)
      } finally {
        deltasUnderWay--
      }
    }
  })
}

/** The guard of the transaction's document, unless the transaction may write. */
function refusing(transaction: Y.Transaction): Guarded | undefined {
  const guard = guards.get(transaction.doc)
  return guard === undefined || guard.applying === transaction ? undefined : guard
}

function refuseItem(guard: Guarded, item: Y.Item): never {
  forgetMarkers(item)
  return guard.refuse()
}

function checkBound(doc: Y.Doc, item: Y.Item): void {
  try {
    bounds.get(doc)?.(item)
  } catch (error) {
    forgetMarkers(item)
    throw error
  }
}

/** Search markers count the refused change already; without them the next search starts at the front. */
function forgetMarkers(item: Y.Item): void {
  if (item.parent instanceof Y.AbstractType && item.parent._searchMarker) item.parent._searchMarker.length = 0
}

function splitsPair(text: string, offset: number): boolean {
  const code = text.charCodeAt(offset - 1)
  return code >= 0xd800 && code <= 0xdbff
}

/** Whether the content is in a guarded document whose transaction may not write. Slow, and almost never asked. */
function isRead(content: Y.ContentString): boolean {
  for (const doc of underWay) {
    if (guards.get(doc)?.applying !== null) continue
    for (const structs of doc.store.clients.values()) {
      if (structs.some(struct => struct instanceof Y.Item && struct.content === content)) return true
    }
  }
  return false
}
