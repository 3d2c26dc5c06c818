/**
 * Plays keystrokes in time: as a person types them, or as a time lapse that takes no longer than it may. What falls
 * behind (a slow machine, a fast lapse) is typed at once; nothing is left out.
 */
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import type { Edit } from './edit.ts'
import type { Keystroke } from './typist.ts'

/** Keys between two turns of the event loop, so that relay and readers, which live in this process too, get theirs. */
const KEYS_PER_TURN = 100
/** A frame of the lapse: keys that fall into it are typed together. */
const FRAME_MS = 8

export class Player {
  readonly #keystrokes: readonly Keystroke[]
  readonly #type: (edit: Edit) => void
  #next = 0
  #typingMs = 0
  #lapse = 1

  constructor(keystrokes: readonly Keystroke[], type: (edit: Edit) => void) {
    this.#keystrokes = keystrokes
    this.#type = type
  }

  /** Keystrokes so far. */
  get played(): number {
    return this.#next
  }

  /** How many times faster than a person it goes; Infinity for as fast as can be. */
  get lapse(): number {
    return this.#lapse
  }

  /** Time spent on them. */
  get typingMs(): number {
    return this.#typingMs
  }

  /** How far a person gets in this time. @returns the number of the keystroke, not past the last */
  reach(ms: number): number {
    let left = ms
    let to = this.#next
    for (; to < this.#keystrokes.length; to++) {
      left -= this.#keystrokes[to]?.pauseMs ?? 0
      if (left < 0) break
    }
    return to
  }

  /**
   * Plays up to a keystroke.
   * @param ms all of it takes this long if a person needed longer; 0 for as fast as can be
   */
  async playTo(to: number, ms: number): Promise<void> {
    const personMs = this.#keystrokes.slice(this.#next, to).reduce((sum, { pauseMs }) => sum + pauseMs, 0)
    const lapse = Math.max(1, personMs / ms)
    this.#lapse = lapse
    const began = performance.now()
    let dueMs = 0
    let inTurn = 0
    while (this.#next < to) {
      const stroke = this.#keystrokes[this.#next]
      if (stroke === undefined) break
      dueMs += stroke.pauseMs / lapse
      const early = began + dueMs - performance.now()
      if (early > FRAME_MS) {
        await wait(early)
        inTurn = 0
      } else if (inTurn >= KEYS_PER_TURN) {
        await turn()
        inTurn = 0
      }
      this.#type(stroke.edit)
      this.#next++
      inTurn++
    }
    this.#typingMs += performance.now() - began
  }
}
