/**
 * The data entries of one (document, device) that are in the log: which ctr has which id, at which seq. It answers
 * idempotent appends, judges covers, and names what a snapshot releases; 44 bytes an entry, flat arrays.
 */
import { type EntryId, same } from '../bytes/ids.ts'

const ID_BYTES = 32

export class Trail {
  /** The ctr before the first slot. */
  #base = 0
  #slots = 0
  #ids = new Uint8Array(0)
  #seqs = new Float64Array(0)
  #sizes = new Uint32Array(0)
  #top = 0
  #covered: { ctr: number; id: Uint8Array } = { ctr: 0, id: new Uint8Array(ID_BYTES) }

  /** The highest ctr reached by entries and covers. */
  get top(): number {
    return this.#top
  }

  /** What the newest cover says: entries up to this ctr may be forgotten. */
  get covered(): { readonly ctr: number; readonly id: Uint8Array } {
    return this.#covered
  }

  /** The id under a ctr, as far as it is still known. */
  idAt(ctr: number): Uint8Array | null {
    if (ctr === this.#covered.ctr && ctr > 0) return this.#covered.id
    const slot = this.#slotOf(ctr)
    return slot === null ? null : this.#ids.subarray(slot * ID_BYTES, (slot + 1) * ID_BYTES)
  }

  seqAt(ctr: number): number | null {
    const slot = this.#slotOf(ctr)
    return slot === null ? null : (this.#seqs[slot] ?? null)
  }

  add(ctr: number, id: EntryId, seq: number, bytes: number): void {
    if (this.#slots === 0) this.#base = ctr - 1
    if (ctr <= this.#base) return
    const slot = ctr - this.#base - 1
    this.#reserve(slot + 1)
    this.#ids.set(id, slot * ID_BYTES)
    this.#seqs[slot] = seq
    this.#sizes[slot] = bytes
    this.#slots = Math.max(this.#slots, slot + 1)
    this.#top = Math.max(this.#top, ctr)
  }

  /** @returns seq and bytes of the entries that the cover released */
  cover(ctr: number, id: EntryId): { seq: number; bytes: number }[] {
    if (ctr > this.#covered.ctr) this.#covered = { ctr, id: Uint8Array.from(id) }
    this.#top = Math.max(this.#top, ctr)
    const gone = Math.min(this.#slots, ctr - this.#base)
    if (gone <= 0) return []
    const released: { seq: number; bytes: number }[] = []
    for (let slot = 0; slot < gone; slot++) {
      const seq = this.#seqs[slot] ?? 0
      if (seq > 0) released.push({ seq, bytes: this.#sizes[slot] ?? 0 })
    }
    this.#ids = this.#ids.slice(gone * ID_BYTES)
    this.#seqs = this.#seqs.slice(gone)
    this.#sizes = this.#sizes.slice(gone)
    this.#slots -= gone
    this.#base += gone
    return released
  }

  /** Seq and bytes of every entry still here. */
  entries(): { seq: number; bytes: number }[] {
    const all: { seq: number; bytes: number }[] = []
    for (let slot = 0; slot < this.#slots; slot++) {
      const seq = this.#seqs[slot] ?? 0
      if (seq > 0) all.push({ seq, bytes: this.#sizes[slot] ?? 0 })
    }
    return all
  }

  holds(ctr: number, id: EntryId): boolean {
    const known = this.idAt(ctr)
    return known !== null && same(known, id)
  }

  #slotOf(ctr: number): number | null {
    const slot = ctr - this.#base - 1
    return slot >= 0 && slot < this.#slots && (this.#seqs[slot] ?? 0) > 0 ? slot : null
  }

  #reserve(slots: number): void {
    if (slots <= this.#seqs.length) return
    const room = Math.max(4, slots, this.#seqs.length * 2)
    this.#ids = grow(this.#ids, new Uint8Array(room * ID_BYTES))
    this.#seqs = grow(this.#seqs, new Float64Array(room))
    this.#sizes = grow(this.#sizes, new Uint32Array(room))
  }
}

function grow<A extends { set(from: A): void }>(from: A, to: A): A {
  to.set(from)
  return to
}
