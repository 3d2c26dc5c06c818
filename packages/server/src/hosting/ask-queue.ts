/**
 * What is asked of one log and not answered yet: in order for each session, and one session after the other, so that who asks
 * for much waits for itself. Appends are taken together, of several sessions too.
 */
import { limits } from '@lend/engine'
import type { Ask } from './asking.ts'
import type { Requester } from './host.ts'

/** Signatures that are checked in one portion: some 10 ms. */
const BATCH_ENTRIES_MAX = 64

export class AskQueue {
  readonly #sessions = new Map<Requester, Ask[]>()

  get isEmpty(): boolean {
    return this.#sessions.size === 0
  }

  push(ask: Ask): void {
    const asks = this.#sessions.get(ask.requester)
    if (asks) asks.push(ask)
    else this.#sessions.set(ask.requester, [ask])
  }

  /** The next ask, or the appends that are judged together: an access entry ends such a batch. */
  next(): readonly Ask[] {
    const batch: Ask[] = []
    let bytes = 0
    for (const [requester, asks] of this.#sessions) {
      let isFull = false
      let taken = 0
      for (; !isFull && taken < asks.length; taken++) {
        const ask = asks[taken]
        if (ask?.ask !== 'append') break
        bytes += ask.asked.entry.bytes.length
        isFull = batch.length > 0 && (batch.length >= BATCH_ENTRIES_MAX || bytes > limits.FRAME_BYTES_WANTED)
        if (isFull) break
        batch.push(ask)
        isFull = ask.asked.entry.kind === 'access'
      }
      if (batch.length === 0) {
        batch.push(...asks.slice(0, 1))
        isFull = true
        taken = 1
      }
      if (taken > 0) this.#passOn(requester, asks.slice(taken))
      if (isFull) break
    }
    return batch
  }

  /** The others come first. */
  #passOn(requester: Requester, left: Ask[]): void {
    this.#sessions.delete(requester)
    if (left.length > 0) this.#sessions.set(requester, left)
  }
}
