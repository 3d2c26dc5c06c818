/**
 * How often each one may do something, such as write access entries into a log: a bucket for each that fills with relay
 * time. Not a library's limiter: those answer later, on their own clock, and entries are judged in one synchronous step.
 */
interface Bucket {
  readonly left: number
  readonly timeMs: number
}

export class Allowance {
  readonly #perMs: number
  readonly #burst: number
  readonly #buckets = new Map<string, Bucket>()

  constructor(o: { perMinute: number; burst: number }) {
    this.#perMs = o.perMinute / 60_000
    this.#burst = o.burst
  }

  /** @param who an account, a device or a network @returns 0 when it may now, else the ms until it may */
  waitMs(who: string, nowMs: number): number {
    const left = this.#left(who, nowMs)
    return left >= 1 ? 0 : Math.ceil((1 - left) / this.#perMs)
  }

  spend(who: string, nowMs: number): void {
    const left = this.#left(who, nowMs) - 1
    this.#buckets.delete(who)
    this.#buckets.set(who, { left, timeMs: nowMs })
    // Full ones say nothing: whoever is not here may do a burst.
    for (const [other, { timeMs }] of this.#buckets) {
      if (this.#left(other, nowMs) < this.#burst || timeMs === nowMs) break
      this.#buckets.delete(other)
    }
  }

  #left(who: string, nowMs: number): number {
    const bucket = this.#buckets.get(who)
    if (!bucket) return this.#burst
    return Math.min(this.#burst, bucket.left + Math.max(0, nowMs - bucket.timeMs) * this.#perMs)
  }
}
