/** Numbers out of many: percentiles of one run, and the median of several with its spread. */

/** Times in ms, counted in steps of 1 %: as many as come, in a few KB. */
export class Histogram {
  readonly #counts = new Uint32Array(STEPS)
  #total = 0

  add(ms: number): void {
    const step = Math.ceil(Math.log(Math.max(ms, MS_MIN) / MS_MIN) / LOG_STEP)
    const at = Math.min(step, STEPS - 1)
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#total++
  }

  /** @param share 0.5 for the median; NaN when nothing was counted */
  percentile(share: number): number {
    let left = Math.ceil(this.#total * share)
    for (let step = 0; step < STEPS; step++) {
      left -= this.#counts[step] ?? 0
      if (left <= 0 && this.#total > 0) return MS_MIN * Math.exp(step * LOG_STEP)
    }
    return Number.NaN
  }
}

const MS_MIN = 0.001
const LOG_STEP = Math.log(1.01)
/** Up to some 20 minutes. */
const STEPS = 2100

/** The value below which this share of all lies. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}

export interface Spread {
  readonly median: number
  readonly low: number
  readonly high: number
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const median = ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2
  return { median, low: sorted[0] ?? Number.NaN, high: sorted.at(-1) ?? Number.NaN }
}

/** Three digits that count, with separators. */
export function format(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toLocaleString('en', { maximumFractionDigits: Math.min(digits, 3), useGrouping: true })
}

/** In the order in which each key came first. */
export function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const value of values) {
    const key = keyOf(value)
    const group = groups.get(key)
    if (group) group.push(value)
    else groups.set(key, [value])
  }
  return groups
}
