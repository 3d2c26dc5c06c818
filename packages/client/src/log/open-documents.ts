/**
 * The documents of one log that are in memory: those that somebody holds, those with edits that are not saved, and the few
 * that were used last. However many a log has, all others are on disk alone.
 *
 *   absent → known → open ⇄ held       known: only which of its entries are here, `Ledger`
 *            known, open → absent      `rest`, never while anything is being done with the log
 */
import { type DocumentId, hex, SHARE_DOCUMENT, same } from '@lend/engine'
import type * as Y from 'yjs'
import type { RecordStore } from '../disk/sealed-store.ts'
import { type DocumentOptions, ReplicaDocument } from './document.ts'
import { decodeLedger, KEYS, type Ledger, NO_TAIL } from './records.ts'

/** Documents that stay though nobody holds them. */
const IDLE_MAX = 64

interface Slot {
  ledger: Ledger | null
  document: ReplicaDocument | null
  knowing: Promise<Ledger> | null
  opening: Promise<ReplicaDocument> | null
  /** Who asked to hold it and has not got it yet. */
  awaited: number
}

export class OpenDocuments {
  readonly #store: RecordStore
  readonly #o: Omit<DocumentOptions, 'held'>
  /** Which reading of the log counts. */
  readonly #reading: () => number
  /** By hex id, the one that was used last at the end. */
  readonly #slots = new Map<string, Slot>()
  #held = 0

  constructor(store: RecordStore, o: Omit<DocumentOptions, 'held'> & { reading: () => number }) {
    this.#store = store
    this.#o = o
    this.#reading = o.reading
  }

  ledger(id: DocumentId): Promise<Ledger> {
    const slot = this.#use(id)
    slot.knowing ??= this.#orForget(id, this.#know(id, slot))
    return slot.knowing
  }

  /** What `ledger` has loaded. */
  known(id: DocumentId): Ledger {
    const ledger = this.#slots.get(hex(id))?.ledger
    if (!ledger) throw new Error('the ledger of this document is not loaded')
    return ledger
  }

  /** One document, with its ledger. */
  document(id: DocumentId): Promise<ReplicaDocument> {
    const slot = this.#use(id)
    slot.opening ??= this.#orForget(id, this.#open(id, slot))
    return slot.opening
  }

  /** Null when it is not open. */
  opened(id: DocumentId): ReplicaDocument | null {
    return this.#slots.get(hex(id))?.document ?? null
  }

  async hold(id: DocumentId): Promise<Y.Doc> {
    const slot = this.#use(id)
    slot.awaited++
    try {
      return (await this.document(id)).doc
    } finally {
      slot.awaited--
    }
  }

  /** The log is read from its start: of no document any entry is here. */
  forgetLedgers(): void {
    for (const { ledger } of this.#slots.values()) {
      if (!ledger) continue
      ledger.positions.clear()
      ledger.tail = NO_TAIL
    }
  }

  /** The document is no more: a Y.Doc of it that somebody holds is destroyed. */
  async forget(id: DocumentId): Promise<void> {
    const slot = this.#slots.get(hex(id))
    const document = await slot?.opening?.catch(() => null)
    this.#slots.delete(hex(id))
    if (document?.isHeld) this.#held--
    document?.close()
  }

  /** Closes what nobody needs. Nothing of it may be in use, and all of it is on disk. */
  rest(): void {
    let left = this.#slots.size
    for (const [key, slot] of this.#slots) {
      if (this.#slots.size - this.#held <= IDLE_MAX || left-- === 0) return
      this.#slots.delete(key)
      if (isIdle(slot)) slot.document?.close()
      // Behind those that may be closed, so that nobody has to pass it again.
      else this.#slots.set(key, slot)
    }
  }

  /** Closes all, held or not. */
  async close(): Promise<void> {
    for (const { opening } of this.#slots.values()) (await opening?.catch(() => null))?.close()
  }

  #use(id: DocumentId): Slot {
    const key = hex(id)
    const slot = this.#slots.get(key) ?? { ledger: null, document: null, knowing: null, opening: null, awaited: 0 }
    this.#slots.delete(key)
    this.#slots.set(key, slot)
    return slot
  }

  async #know(id: DocumentId, slot: Slot): Promise<Ledger> {
    const stored = await this.#store.get(KEYS.ledger(id))
    slot.ledger = decodeLedger(this.#reading(), stored)
    return slot.ledger
  }

  async #open(id: DocumentId, slot: Slot): Promise<ReplicaDocument> {
    const held = (isHeld: boolean) => {
      this.#held += isHeld ? 1 : -1
    }
    const [document] = await Promise.all([
      ReplicaDocument.open(this.#store, id, { ...this.#o, held }),
      slot.ledger ?? this.ledger(id)
    ])
    slot.document = document
    return document
  }

  /** What could not be loaded is loaded again when it is asked for the next time. */
  #orForget<T>(id: DocumentId, loading: Promise<T>): Promise<T> {
    loading.catch(() => this.#slots.delete(hex(id)))
    return loading
  }
}

function isIdle({ ledger, document, opening, awaited }: Slot): boolean {
  if (!ledger || awaited > 0) return false
  return document ? !document.isHeld && document.unsaved === 0 && !same(document.id, SHARE_DOCUMENT) : !opening
}
