/**
 * The lives of a log at this relay. After a loss the log begins a new incarnation; the relay notes that, and later that
 * an owner device has been there, in marks of its own between the entries:
 *
 *     mark := 0 | 1 | new incarnation(16) | shown incarnation(16)      a new life, because this one was shown and lost
 *           | 0 | 2 | incarnation(16)                                  an owner device has been there
 *
 * Entries begin with their version, which is never 0. A mark takes a seq, is sent to nobody, and leaves the running hash
 * as it is. Source: docs/PROTOCOL.md, Incarnations and the lost tail.
 *
 *   first life → awaiting owner ⇄ owner was there
 */
import { concat, hex, type Incarnation, incarnation } from '@lend/engine'

const BEGIN = 1
const OWNER = 2
const UNBORN = incarnation(new Uint8Array(16))

export function isMark(bytes: Uint8Array): boolean {
  return bytes[0] === 0
}

export function beginMark(begins: Incarnation, shown: Incarnation): Uint8Array {
  return concat(Uint8Array.of(0, BEGIN), begins, shown)
}

export function ownerMark(current: Incarnation): Uint8Array {
  return concat(Uint8Array.of(0, OWNER), current)
}

export class Lives {
  readonly #known = new Set<string>()
  readonly #first: Incarnation
  #current: Incarnation
  #awaitsOwner = false

  /** @param first the store's, zero for a log that it does not have */
  constructor(first: Incarnation) {
    this.#first = first
    this.#current = first
    this.#known.add(hex(first))
  }

  static unborn(): Lives {
    return new Lives(UNBORN)
  }

  get current(): Incarnation {
    return this.#current
  }

  /** Nothing of it was ever lost, as far as is known here. */
  get isFirst(): boolean {
    return this.#current === this.#first
  }

  /** Members wait until an owner device has published here what the log lacks. */
  get awaitsOwner(): boolean {
    return this.#awaitsOwner
  }

  knows(life: Incarnation): boolean {
    return this.#known.has(hex(life))
  }

  take(mark: Uint8Array): void {
    if (mark[1] === BEGIN && mark.length === 34) {
      this.#current = incarnation(mark.slice(2, 18))
      this.#known.add(hex(this.#current))
      this.#known.add(hex(mark.subarray(18)))
      this.#awaitsOwner = true
    } else if (mark[1] === OWNER && mark.length === 18 && hex(mark.subarray(2)) === hex(this.#current)) {
      this.#awaitsOwner = false
    } else {
      throw new Error('a mark that this version has not written')
    }
  }
}
