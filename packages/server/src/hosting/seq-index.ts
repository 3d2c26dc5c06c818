/**
 * The seqs of what a log holds and the bytes of each: how much lies after a cursor, and what comes next, without looking at
 * all of it. 12 bytes an entry. Not here: what the entries are.
 */
import type { Seq } from '../store/log-store.ts'

/** Slots whose sums are kept. */
const BLOCK = 256
/** Most logs are small. */
const ROOM_MIN = 4

export class SeqIndex {
  /** Rising. */
  #seqs = new Float64Array(ROOM_MIN)
  /** 0 for what was released. */
  #sizes = new Uint32Array(ROOM_MIN)
  #slots = 0
  #released = 0
  /** Of each block of slots. */
  #entries: number[] = []
  #bytes: number[] = []

  /** @param seq above all others @param bytes 1 or more */
  add(seq: Seq, bytes: number): void {
    if (this.#slots === this.#seqs.length) {
      this.#seqs = grow(this.#seqs, new Float64Array(this.#slots * 2))
      this.#sizes = grow(this.#sizes, new Uint32Array(this.#slots * 2))
    }
    this.#put(seq, bytes)
  }

  /** Takes these out; what is not in it is passed over. */
  release(seqs: Iterable<Seq>): void {
    let slot = -1
    for (const seq of seqs) {
      // They mostly come in order.
      slot = this.#seqs[slot + 1] === seq ? slot + 1 : this.#after(seq) - 1
      const bytes = this.#seqs[slot] === seq ? this.#sizes[slot] : 0
      if (!bytes) continue
      this.#sizes[slot] = 0
      this.#released++
      this.#sum(slot, -1, -bytes)
    }
    if (this.#released > BLOCK && this.#released > this.#slots / 2) this.#compact()
  }

  /** How much has a seq above `from`. */
  after(from: Seq): { entries: number; bytes: number } {
    let slot = this.#after(from)
    let entries = 0
    let bytes = 0
    for (; slot < this.#slots && slot % BLOCK > 0; slot++) {
      const size = this.#sizes[slot] ?? 0
      if (size > 0) entries++
      bytes += size
    }
    for (let block = slot / BLOCK; slot < this.#slots && block < this.#entries.length; block++) {
      entries += this.#entries[block] ?? 0
      bytes += this.#bytes[block] ?? 0
    }
    return { entries, bytes }
  }

  /** The next seqs above `from`, so many at most. */
  next(from: Seq, max: number): Seq[] {
    const seqs: Seq[] = []
    for (let slot = this.#after(from); slot < this.#slots && seqs.length < max; slot++) {
      if (this.#sizes[slot]) seqs.push(this.#seqs[slot] ?? 0)
    }
    return seqs
  }

  /** The first slot with a seq above this one. */
  #after(seq: Seq): number {
    let low = 0
    let high = this.#slots
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#seqs[middle] ?? 0) <= seq) low = middle + 1
      else high = middle
    }
    return low
  }

  #put(seq: Seq, bytes: number): void {
    const slot = this.#slots++
    this.#seqs[slot] = seq
    this.#sizes[slot] = bytes
    this.#sum(slot, 1, bytes)
  }

  #sum(slot: number, entries: number, bytes: number): void {
    const block = Math.floor(slot / BLOCK)
    this.#entries[block] = (this.#entries[block] ?? 0) + entries
    this.#bytes[block] = (this.#bytes[block] ?? 0) + bytes
  }

  /** Makes it anew without what was released. */
  #compact(): void {
    const [seqs, sizes, slots] = [this.#seqs, this.#sizes, this.#slots]
    const room = slots - this.#released + ROOM_MIN
    this.#seqs = new Float64Array(room)
    this.#sizes = new Uint32Array(room)
    this.#slots = 0
    this.#released = 0
    this.#entries = []
    this.#bytes = []
    for (let slot = 0; slot < slots; slot++) {
      const bytes = sizes[slot] ?? 0
      if (bytes > 0) this.#put(seqs[slot] ?? 0, bytes)
    }
  }
}

function grow<A extends { set(from: A): void }>(from: A, to: A): A {
  to.set(from)
  return to
}
