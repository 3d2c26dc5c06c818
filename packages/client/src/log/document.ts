/**
 * One document of a replica: a live Y.Doc over its pieces on disk. An owner's captures what the app writes; a member's is
 * guarded. Not here: entries and their order (reading.ts, outbox.ts).
 */
import {
  applyChecked,
  applyEntry,
  boundDocument,
  checkUpdate,
  type DocumentGuard,
  type DocumentId,
  guardDocument,
  hex,
  LendError
} from '@lend/engine'
import * as Y from 'yjs'
import type { Change, RecordStore } from '../disk/sealed-store.ts'
import { decodePieces, del, encodePieces, KEYS, numberOf, type Pieces, put } from './records.ts'

/** Updates that one `mergeUpdates` takes: it is quadratic. */
const MERGE_MAX = 64
/** Pieces on disk after which they become one again. */
const PIECES_MAX = 256
const TAIL_BYTES_MIN = 256 * 1024

const NO_PIECES: Pieces = { first: 0, next: 0, tailBytes: 0, firstBytes: 0 }

const FROM_LOG = Symbol('from the log')

export interface DocumentOptions {
  readonly writable: boolean
  /** A new one for each Y.Doc. */
  readonly clientId: () => number
  /** For who may write it: called at each local edit, inside the app's own call. */
  readonly edited: (document: ReplicaDocument) => void
  /** Called with each write that was refused: a member's, or one that is too big. */
  readonly refused: (error: LendError) => void
  /** Somebody holds it now, or nobody does any more. */
  readonly held: (isHeld: boolean) => void
}

export class ReplicaDocument {
  readonly id: DocumentId
  readonly #o: DocumentOptions
  #pieces: Pieces
  /** A Y.Doc that its holder destroyed leaves its state, of which the next one is made when it is needed. */
  #now: { readonly doc: Y.Doc; readonly guard: DocumentGuard | null } | { readonly state: Uint8Array }
  #isHeld = false
  #isClosed = false
  #captured: Uint8Array[] = []
  /** Why nothing is captured any more. */
  #unsound: LendError | null = null

  private constructor(id: DocumentId, o: DocumentOptions, pieces: Pieces, doc: Y.Doc) {
    this.id = id
    this.#o = o
    this.#pieces = pieces
    this.#now = this.#watch(doc)
  }

  /**
   * Opens the document from its pieces.
   * @throws LendError STORE_CORRUPT when a piece is missing or damaged
   */
  static async open(store: RecordStore, id: DocumentId, o: DocumentOptions): Promise<ReplicaDocument> {
    const doc = freshDoc(id, o.clientId())
    const stored = await store.get(KEYS.pieces(id))
    if (!stored) return new ReplicaDocument(id, o, NO_PIECES, doc)
    const pieces = decodePieces(stored)
    let n = pieces.first
    for await (const { key, value } of store.range(`${KEYS.piece(id, 0).slice(0, -14)}`)) {
      if (numberOf(key) < pieces.first || numberOf(key) >= pieces.next) continue
      if (numberOf(key) !== n) throw missingPiece()
      applyEntry(doc, value, FROM_LOG)
      n++
    }
    if (n !== pieces.next) throw missingPiece()
    return new ReplicaDocument(id, o, pieces, doc)
  }

  /**
   * The live Y.Doc. Who takes it holds this document open, until the Y.Doc is destroyed: all that was edited until then is
   * published, and the next Y.Doc is another.
   */
  get doc(): Y.Doc {
    const { doc } = this.#live()
    if (!this.#isHeld) {
      this.#isHeld = true
      this.#o.held(true)
    }
    return doc
  }

  get isHeld(): boolean {
    return this.#isHeld
  }

  /** A look or an edit that ends at once, by who does not keep the Y.Doc. */
  within<T>(run: (doc: Y.Doc) => T): T {
    return run(this.#live().doc)
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
   * Edits are refused as they are made (`boundDocument`). What comes as a whole update of another Y.Doc is in this one
   * before anybody could look at it: readers would put it aside, and all that builds on it, so none of it is kept.
   * @throws LendError BAD_UPDATE
   */
  assertSound(): void {
    if (this.#unsound) throw this.#unsound
  }

  /**
   * Applies an entry's content.
   * @throws LendError BAD_UPDATE, with the document as it was
   */
  apply(update: Uint8Array): void {
    const { doc, guard } = this.#live()
    const apply = (checked: Uint8Array) => (guard ? guard.apply(checked, FROM_LOG) : applyEntry(doc, checked, FROM_LOG))
    const error = applyChecked(doc, update, apply)
    if (error) throw error
  }

  /** The whole document as one update. */
  state(): Uint8Array {
    return 'state' in this.#now ? this.#now.state : Y.encodeStateAsUpdate(this.#now.doc)
  }

  /** The changes that keep an update on disk; to be written in one batch with what says that it was applied. */
  keep(update: Uint8Array): Change[] {
    const { first, next, tailBytes, firstBytes } = this.#pieces
    const tail = next > first ? tailBytes + update.length : 0
    if (next - first >= PIECES_MAX && tail > TAIL_BYTES_MIN && tail > 2 * firstBytes) return this.#rewrite()
    this.#pieces = { first, next: next + 1, tailBytes: tail, firstBytes: next > first ? firstBytes : update.length }
    return [put(KEYS.piece(this.id, next), update), put(KEYS.pieces(this.id), encodePieces(this.#pieces))]
  }

  /** Nothing is captured any more; a Y.Doc that somebody holds is destroyed, and can still be read. */
  close(): void {
    this.#isClosed = true
    if ('doc' in this.#now) this.#now.doc.destroy()
  }

  /** One piece instead of many: the Y.Doc has applied them all. */
  #rewrite(): Change[] {
    const { first, next } = this.#pieces
    const state = this.state()
    this.#pieces = { first: next, next: next + 1, tailBytes: 0, firstBytes: state.length }
    const old = Array.from({ length: next - first }, (_, i) => del(KEYS.piece(this.id, first + i)))
    return [...old, put(KEYS.piece(this.id, next), state), put(KEYS.pieces(this.id), encodePieces(this.#pieces))]
  }

  #live(): { readonly doc: Y.Doc; readonly guard: DocumentGuard | null } {
    if ('doc' in this.#now) return this.#now
    const doc = freshDoc(this.id, this.#o.clientId())
    applyEntry(doc, this.#now.state, FROM_LOG)
    const live = this.#watch(doc)
    this.#now = live
    return live
  }

  #watch(doc: Y.Doc): { readonly doc: Y.Doc; readonly guard: DocumentGuard | null } {
    const { writable, refused } = this.#o
    doc.on('destroy', () => this.#destroyed(doc))
    if (!writable) return { doc, guard: guardDocument(doc, { onRefused: refused }) }
    boundDocument(doc, refused)
    doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin !== FROM_LOG) this.#capture(update)
    })
    return { doc, guard: null }
  }

  /** Its holder has closed it. */
  #destroyed(doc: Y.Doc): void {
    if (this.#isClosed) return
    const { _transaction: edit } = doc
    // In the middle of an edit, whose update nobody would hear of.
    if (this.#o.writable && edit) this.#capture(Y.encodeStateAsUpdate(doc, Y.encodeStateVector(edit.beforeState)))
    this.#now = { state: Y.encodeStateAsUpdate(doc) }
    if (!this.#isHeld) return
    this.#isHeld = false
    this.#o.held(false)
  }

  /** Keeps what was edited, after the same look at it that readers take. */
  #capture(update: Uint8Array): void {
    const judged = this.within(doc => checkUpdate(update, doc))
    if (judged.verdict === 'bad') this.#unsound ??= judged.error
    if (!this.#unsound) this.#captured.push(update)
    this.#o.edited(this)
  }
}

/** True for a transaction that brought what the log delivered; all others are edits of this device. */
export function isFromLog({ origin }: Y.Transaction): boolean {
  return origin === FROM_LOG
}

function freshDoc(id: DocumentId, clientId: number): Y.Doc {
  const doc = new Y.Doc({ gc: true, guid: hex(id) })
  doc.clientID = clientId
  return doc
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
