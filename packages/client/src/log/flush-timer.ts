/**
 * When edits become an entry: the first at once, in the next microtask, so that one call of the app makes one entry; those
 * within a while after it together.
 *
 *   resting ⇄ set
 */
import type { Stop, World } from '../world.ts'

export class FlushTimer {
  readonly #world: World
  readonly #flush: () => void
  #stop: Stop | null = null
  #flushedMs = 0

  constructor(world: World, flush: () => void) {
    this.#world = world
    this.#flush = flush
  }

  get isSet(): boolean {
    return this.#stop !== null
  }

  /** What was edited up to now is an entry. */
  flushed(): void {
    this.#flushedMs = this.#world.now()
  }

  /** @param waitMs how long after the entry before */
  set(waitMs: number): void {
    this.stop()
    const sinceMs = this.#world.now() - this.#flushedMs
    if (sinceMs >= 0 && sinceMs < waitMs) this.#stop = this.#world.timer(waitMs - sinceMs, () => this.#fire())
    else {
      let stopped = false
      this.#stop = () => {
        stopped = true
      }
      queueMicrotask(() => {
        if (!stopped) this.#fire()
      })
    }
  }

  stop(): void {
    this.#stop?.()
    this.#stop = null
  }

  #fire(): void {
    this.#stop = null
    this.#flush()
  }
}
