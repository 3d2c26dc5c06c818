/**
 * When a replica moves to a fresh directory under a fresh key, because of what was deleted from it: once nothing has been
 * written for a moment, at the latest after a while, and before it is closed. What is cut off begins again at the next
 * start. Not here: how it moves (disk/sealed-store.ts).
 *
 *   none → due → moving → none      (moving → due when the disk refuses)
 */
import type { Stop, World } from '../world.ts'

/** Without a write. */
const IDLE_MS = 1_000
const WAIT_MS_MAX = 30_000
/** After the disk refused. */
const AGAIN_MS = 60_000

export class Renewal {
  readonly #world: World
  readonly #move: (signal: AbortSignal) => Promise<void>
  readonly #abort = new AbortController()
  #latestMs: number | null = null
  #timer: Stop | null = null

  /** @param move one after the other with what is written; aborted, it leaves everything as it was */
  constructor(world: World, move: (signal: AbortSignal) => Promise<void>) {
    this.#world = world
    this.#move = move
  }

  /** Something was deleted whose bytes must go. */
  due(): void {
    this.#latestMs ??= this.#world.now() + WAIT_MS_MAX
    this.#wait(IDLE_MS)
  }

  /** Something is being written. */
  active(): void {
    if (this.#timer) this.#wait(IDLE_MS)
  }

  /** Moves now if that is due. */
  async finish(): Promise<void> {
    this.#timer?.()
    this.#timer = null
    if (this.#latestMs !== null) await this.#run()
  }

  /** Nothing moves any more; what was moving is as it was. */
  stop(): void {
    this.#timer?.()
    this.#timer = null
    this.#abort.abort(new Error('the replica is closed'))
  }

  #wait(ms: number): void {
    this.#timer?.()
    const leftMs = Math.max(0, (this.#latestMs ?? 0) - this.#world.now())
    this.#timer = this.#world.timer(Math.min(ms, leftMs), () => {
      this.#timer = null
      void this.#run()
    })
  }

  async #run(): Promise<void> {
    const due = this.#latestMs
    this.#latestMs = null
    try {
      await this.#move(this.#abort.signal)
    } catch {
      // It stands in the replica still, and is tried again here or at the next start.
      this.#latestMs ??= due
      if (this.#abort.signal.aborted) return
      this.#latestMs = this.#world.now() + AGAIN_MS
      this.#wait(AGAIN_MS)
    }
  }
}
