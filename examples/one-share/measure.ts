/** How long edits take to a reader, and the figures of a run as people read them. */

/** What p50 and p99 are taken of: each letter's way from Maya's document into a reader's. */
export class Delays {
  /** Letters on their way, oldest first: up to which clock, typed when. */
  #waiting: { readonly clock: number; readonly atMs: number }[] = []
  readonly #delaysMs: number[] = []
  #lastClock = 0

  /** @param clock of the writer's Yjs client: it grows with each letter */
  typed(clock: number): void {
    // A deletion brings no letter, so nobody could say when it arrived.
    if (clock > this.#lastClock) this.#waiting.push({ clock, atMs: performance.now() })
    this.#lastClock = clock
  }

  /** The reader has all letters up to this clock. */
  arrived(clock: number): void {
    const now = performance.now()
    const first = this.#waiting.findIndex(letter => letter.clock > clock)
    const there = this.#waiting.splice(0, first < 0 ? this.#waiting.length : first)
    for (const { atMs } of there) this.#delaysMs.push(now - atMs)
  }

  /** @returns how many were measured, and the delay that this share of them did not exceed */
  summary(): { readonly count: number; readonly p50Ms: number; readonly p99Ms: number } {
    const sorted = Float64Array.from(this.#delaysMs).sort()
    const at = (part: number) => sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN
    return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99) }
  }
}

export function number(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

export function bytes(value: number): string {
  if (value < 1000) return `${value} bytes`
  return value < 1e6 ? `${(value / 1e3).toFixed(1)} kB` : `${(value / 1e6).toFixed(1)} MB`
}

export function duration(ms: number): string {
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(1)} s`
}
