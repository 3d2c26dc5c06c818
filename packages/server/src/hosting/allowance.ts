/**
 * How often each member may write access entries into one log: a bucket for each account that fills with relay time. Not
 * a library's limiter: those answer later, on their own clock, and entries are judged in one synchronous step.
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

  /** @returns 0 when `account` may write now, else the ms until it may */
  waitMs(account: string, nowMs: number): number {
    const left = this.#left(account, nowMs)
    return left >= 1 ? 0 : Math.ceil((1 - left) / this.#perMs)
  }

  spend(account: string, nowMs: number): void {
    const left = this.#left(account, nowMs) - 1
    this.#buckets.delete(account)
    this.#buckets.set(account, { left, timeMs: nowMs })
    // Full ones say nothing: whoever is not here may write a burst.
    for (const [other, { timeMs }] of this.#buckets) {
      if (this.#left(other, nowMs) < this.#burst || timeMs === nowMs) break
      this.#buckets.delete(other)
    }
  }

  #left(account: string, nowMs: number): number {
    const bucket = this.#buckets.get(account)
    if (!bucket) return this.#burst
    return Math.min(this.#burst, bucket.left + Math.max(0, nowMs - bucket.timeMs) * this.#perMs)
  }
}
