/**
 * Progress in one direction of a connection. While bytes are on their way, their pace is the sign of life: a pong would
 * have to wait behind them. Time is passed in.
 */
export class Pace {
  readonly #windowMs: number
  readonly #windowBytes: number
  /** Since when, and from how many bytes on, the present window runs; null while nothing is on its way. */
  #window: { readonly sinceMs: number; readonly fromBytes: number } | null = null

  /** @param o.windowMs in which `bytesPerSecondMin` must be held: what comes in bursts is not slow */
  constructor(o: { windowMs: number; bytesPerSecondMin: number }) {
    this.#windowMs = o.windowMs
    this.#windowBytes = (o.bytesPerSecondMin * o.windowMs) / 1000
  }

  /** Nothing is on its way. */
  rest(): void {
    this.#window = null
  }

  /**
   * Something is on its way; to be called when it sets out, and now and then.
   * @param movedBytes how far it has got, from any beginning
   * @returns whether too little has moved for a whole window
   */
  isSlow(movedBytes: number, nowMs: number): boolean {
    if (this.#window === null || movedBytes - this.#window.fromBytes >= this.#windowBytes) {
      this.#window = { sinceMs: nowMs, fromBytes: movedBytes }
    }
    return nowMs - this.#window.sinceMs >= this.#windowMs
  }
}
