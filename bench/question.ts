/** What a question is: measured several times, each time the floor and Lend in turn, and shown as tables and a picture. */

/** What one subject did in one run of one case: `figures` by the names of the question's columns. */
export interface Measure {
  readonly run: number
  /** What the table is about: "100 readers at full speed". */
  readonly case: string
  readonly subject: string
  readonly figures: Readonly<Record<string, number>>
}

export interface Column {
  /** The name of a figure. */
  readonly figure: string
  readonly title: string
  /** Shown beside each value as a ratio to the floor of the same run. */
  readonly ratio?: boolean
}

export interface Setup {
  readonly runs: number
  /** How long one case is measured. */
  readonly seconds: number
  readonly readers: readonly number[]
  /** Only subjects that have this in their name. */
  readonly only: string
  readonly profile: string | undefined
  /** Smaller amounts, to see whether a bench works. */
  readonly quick: boolean
  log(line: string): void
}

export interface Question {
  readonly name: string
  readonly title: string
  readonly columns: readonly Column[]
  /** The subject that ratios refer to; a case without it has none. */
  readonly floor: string
  measure(run: number, setup: Setup): AsyncIterable<Measure>
  /** What was promised and is not so, as sentences. */
  broken?(measures: readonly Measure[]): readonly string[]
  /** @returns an SVG */
  draw(measures: readonly Measure[]): string
}
