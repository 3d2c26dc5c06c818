/**
 * How long to wait before the next try: a random part (full jitter) of a time that doubles with each try, so that those
 * who failed together don't come back together.
 */
import type { World } from '../world.ts'

export class Backoff {
  readonly #world: Pick<World, 'jitter'>
  readonly #firstMs: number
  readonly #maxMs: number
  #tries = 0

  /** @param o.firstMs the most that the first wait takes; @param o.maxMs the most that any takes */
  constructor(world: Pick<World, 'jitter'>, o: { firstMs: number; maxMs: number }) {
    this.#world = world
    this.#firstMs = o.firstMs
    this.#maxMs = o.maxMs
  }

  /** Milliseconds until the next try. */
  next(): number {
    return this.#world.jitter() * Math.min(this.#maxMs, this.#firstMs * 2 ** this.#tries++)
  }

  /** It went well. */
  reset(): void {
    this.#tries = 0
  }
}
