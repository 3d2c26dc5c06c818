/**
 * One document of a replica: a live Y.Doc over its pieces on disk. An owner's captures what the app writes; a member's is
 * guarded. Not here: entries and their order (reading.ts, outbox.ts).
 */
import {
  applyChecked,
  applyEntry,
  boundDocument,
  type DocumentGuard,
  type DocumentId,
  guardDocument,
  LendError
} from '@lend/engine'
import * as Y from 'yjs'
import type { Change, SealedStore } from '../disk/sealed-store.ts'
import { decodePieces, del, encodePieces, KEYS, numberOf, type Pieces, put } from './records.ts'

/** Updates that one `mergeUpdates` takes: it is quadratic. */
const MERGE_MAX = 64
/** Pieces on disk after which they become one again. */
const PIECES_MAX = 256
const TAIL_BYTES_MIN = 256 * 1024

const FROM_LOG = Symbol('from the log')

export class ReplicaDocument {
  readonly id: DocumentId
  readonly doc: Y.Doc
  readonly #guard: DocumentGuard | null
  #pieces: Pieces
  #captured: Uint8Array[] = []

  private constructor(id: DocumentId, doc: Y.Doc, pieces: Pieces, guard: DocumentGuard | null) {
    this.id = id
    this.doc = doc
    this.#pieces = pieces
    this.#guard = guard
  }

  /**
   * Opens the document from its pieces.
   * @param o.edited for who may write: called at each local edit, inside the app's own call
   * @param o.refused called with each write that was refused: a member's, or one that is too big
   * @throws LendError STORE_CORRUPT when a piece is missing or damaged
   */
  static async open(
    store: SealedStore,
    id: DocumentId,
    clientId: number,
    o: { writable: boolean; edited: () => void; refused: (error: LendError) => void }
  ): Promise<ReplicaDocument> {
    const doc = new Y.Doc({ gc: true })
    doc.clientID = clientId
    const stored = await store.get(KEYS.pieces(id))
    const pieces = stored ? decodePieces(stored) : { first: 0, next: 0, tailBytes: 0, firstBytes: 0 }
    const guard = o.writable ? null : guardDocument(doc, { onRefused: o.refused })
    const document = new ReplicaDocument(id, doc, pieces, guard)
    let n = pieces.first
    for await (const { key, value } of store.range(`${KEYS.piece(id, 0).slice(0, -14)}`)) {
      if (numberOf(key) < pieces.first || numberOf(key) >= pieces.next) continue
      if (numberOf(key) !== n) throw missingPiece()
      document.#applyToDoc(value)
      n++
    }
    if (n !== pieces.next) throw missingPiece()
    if (o.writable) {
      boundDocument(doc, o.refused)
      doc.on('update', (update: Uint8Array, origin: unknown) => {
        if (origin === FROM_LOG) return
        document.#captured.push(update)
        o.edited()
      })
    }
    return document
  }

  /** Edits that are in the Y.Doc and nowhere else yet. */
  get unsaved(): number {
    return this.#captured.length
  }

  /** Takes what was captured, as one update; null when there is nothing. */
  takeCaptured(): Uint8Array | null {
    if (this.#captured.length === 0) return null
    const updates = this.#captured
    this.#captured = []
    return mergeAll(updates)
  }

  /**
   * Applies an entry's content.
   * @throws LendError BAD_UPDATE, with the document as it was
   */
  apply(update: Uint8Array): void {
    const error = applyChecked(this.doc, update, checked => this.#applyToDoc(checked))
    if (error) throw error
  }

  /** The whole document as one update. */
  state(): Uint8Array {
    return Y.encodeStateAsUpdate(this.doc)
  }

  /** The changes that keep an update on disk; to be written in one batch with what says that it was applied. */
  keep(update: Uint8Array): Change[] {
    const { first, next, tailBytes, firstBytes } = this.#pieces
    const tail = next > first ? tailBytes + update.length : 0
    if (next - first >= PIECES_MAX && tail > TAIL_BYTES_MIN && tail > 2 * firstBytes) return this.#rewrite()
    this.#pieces = { first, next: next + 1, tailBytes: tail, firstBytes: next > first ? firstBytes : update.length }
    return [put(KEYS.piece(this.id, next), update), put(KEYS.pieces(this.id), encodePieces(this.#pieces))]
  }

  destroy(): void {
    this.doc.destroy()
  }

  /** One piece instead of many: the Y.Doc has applied them all. */
  #rewrite(): Change[] {
    const { first, next } = this.#pieces
    const state = this.state()
    this.#pieces = { first: next, next: next + 1, tailBytes: 0, firstBytes: state.length }
    const old = Array.from({ length: next - first }, (_, i) => del(KEYS.piece(this.id, first + i)))
    return [...old, put(KEYS.piece(this.id, next), state), put(KEYS.pieces(this.id), encodePieces(this.#pieces))]
  }

  #applyToDoc(update: Uint8Array): void {
    if (this.#guard) this.#guard.apply(update, FROM_LOG)
    else applyEntry(this.doc, update, FROM_LOG)
  }
}

/** Merges in rounds of MERGE_MAX. */
export function mergeAll(updates: readonly Uint8Array[]): Uint8Array {
  let round = [...updates]
  while (round.length > 1) {
    const merged: Uint8Array[] = []
    for (let i = 0; i < round.length; i += MERGE_MAX) {
      const part = round.slice(i, i + MERGE_MAX)
      merged.push(part.length === 1 && part[0] ? part[0] : Y.mergeUpdates(part))
    }
    round = merged
  }
  return round[0] ?? Y.encodeStateAsUpdate(new Y.Doc())
}

function missingPiece(): LendError {
  return new LendError('STORE_CORRUPT', 'a piece of a document is missing on this device')
}
