/**
 * Shares the event loop among connections. Work is asked for before it is done, in portions; when a turn has held its
 * share of it, what is left waits for the next ones, one portion of each connection after the other. So whoever asks for
 * much waits longer, and nobody else does. Counted in work and not in time: a run repeats exactly.
 */

/** What portions are counted in: tenths of a millisecond, as measured. */
export const WORK = {
  /** Judging, writing and sending one data entry. */
  data: 2,
  /** The same for an access entry, without its proof. */
  access: 6,
  /** Looking at a proof's or an offer's entry, its signature included. */
  verify: 1.2,
  /** The same without the signature. */
  fold: 0.4,
  /** Copying one entry's part of an access list. */
  copy: 0.005,
  /** Reading one record to pass it on. */
  read: 0.1,
  /** Sending a page that is in memory. */
  page: 20,
  /** Opening a log, beside its records. */
  open: 3,
  /** Finding a seat for one who follows. */
  follow: 3,
  /** Answering when the disk has. */
  answer: 2,
  /** Anything else that is asked. */
  ask: 1
} as const

/** Work in one turn: some 10 ms. A single portion may go over it. */
const TURN_WORK = 100

interface Portion {
  readonly work: number
  readonly begin: () => void
}

export class Turns {
  readonly #next: () => Promise<void>
  /** Who waits, in the order of their turn; each with its portions. */
  readonly #waiting = new Map<object, Portion[]>()
  #left = TURN_WORK
  #isTurning = false

  /** @param next resolves in a later turn of the event loop, when input and output had theirs */
  constructor(next: () => Promise<void>) {
    this.#next = next
  }

  /**
   * Resolves when so much may be done, at once if this turn has room for it.
   * @param work in tenths of a millisecond, see WORK
   * @param lane on whose behalf
   */
  async take(work: number, lane: object): Promise<void> {
    this.#turn()
    if (this.#left > 0 && this.#waiting.size === 0) {
      this.#left -= work
      return
    }
    await new Promise<void>(begin => {
      const portions = this.#waiting.get(lane)
      if (portions) portions.push({ work, begin })
      else this.#waiting.set(lane, [{ work, begin }])
    })
  }

  #turn(): void {
    if (this.#isTurning) return
    this.#isTurning = true
    void this.#next().then(() => {
      this.#isTurning = false
      this.#left = TURN_WORK
      this.#begin()
      if (this.#waiting.size > 0) this.#turn()
    })
  }

  #begin(): void {
    for (const [lane, portions] of this.#waiting) {
      if (this.#left <= 0) return
      const portion = portions.shift()
      // Behind all others, which this same walk comes to again.
      this.#waiting.delete(lane)
      if (portions.length > 0) this.#waiting.set(lane, portions)
      if (!portion) continue
      this.#left -= portion.work
      portion.begin()
    }
  }
}
