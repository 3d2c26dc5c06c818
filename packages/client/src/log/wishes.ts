/**
 * Carries out what is wanted of a log's access list, one statement at a time: what follows from state first (an `account`
 * that is due), then the intents in their order, then the rotation that is due. What a relay refuses for a reason that may
 * pass stays wanted.
 *
 *   idle → working → idle
 *          working → waiting → working      refused for a reason that may pass
 */
import { type AccessList, LendError, Refusal, type Statement } from '@lend/engine'
import type { Stop } from '../world.ts'
import type { Decide } from './author.ts'
import type { Intent, Intents } from './intents.ts'
import type { Replica } from './replica.ts'
import type { LogSync } from './sync.ts'

/** What to write, against the list as it is then; null when there is nothing to do (any more). */
export interface Deciding<L extends AccessList> {
  /** What must be in the list before anything else of this device. */
  readonly due: Decide<L>
  readonly intent: (intent: Intent, list: L) => Statement | null
  readonly rotation: Decide<L>
}

export interface WishesListener {
  /** An intent is in the list, or can't be had. */
  carriedOut(): void
  refused(error: LendError): void
  failed(error: LendError): void
}

const RETRY_MS = 5_000

export class Wishes<L extends AccessList> {
  readonly #replica: Replica<L>
  readonly #sync: LogSync<L>
  readonly #intents: Intents
  readonly #decide: Deciding<L>
  readonly #listener: WishesListener
  #working = false
  #stopRetry: Stop | null = null
  #closed = false

  constructor(o: {
    replica: Replica<L>
    sync: LogSync<L>
    intents: Intents
    decide: Deciding<L>
    listener: WishesListener
  }) {
    this.#replica = o.replica
    this.#sync = o.sync
    this.#intents = o.intents
    this.#decide = o.decide
    this.#listener = o.listener
  }

  /** True while something is still to be written. */
  get wait(): boolean {
    const { list } = this.#replica
    return this.#intents.first !== null || (list !== null && (this.#isDue(list) || this.#isRotationDue(list)))
  }

  /** Data must not go out before this is written: what is decided before an edit holds for it. */
  get holdData(): boolean {
    const { list } = this.#replica
    return this.#intents.first !== null || (list !== null && this.#isDue(list))
  }

  /** Does what can be done now. */
  async work(): Promise<void> {
    if (this.#working || this.#stopRetry || !this.#canWork) return
    this.#working = true
    try {
      while (this.#canWork) if (!(await this.#next())) break
    } catch (error) {
      if (!this.#closed) this.#listener.failed(refusedIntent(error))
    } finally {
      this.#working = false
    }
    this.#listener.carriedOut()
    this.#sync.pump()
  }

  close(): void {
    this.#closed = true
    this.#stopRetry?.()
  }

  get #canWork(): boolean {
    return !this.#closed && this.#sync.link.state === 'live' && this.wait
  }

  #isDue(list: L): boolean {
    return this.#decide.due(list) !== null
  }

  #isRotationDue(list: L): boolean {
    return list.rotationDue && !(list.kind === 'share' && list.stopped)
  }

  /** @returns false when it must wait */
  async #next(): Promise<boolean> {
    const { list } = this.#replica
    const due = list !== null && this.#isDue(list)
    const first = due ? null : this.#intents.first
    const decide: Decide<L> = due
      ? this.#decide.due
      : now => (first ? this.#decide.intent(first.intent, now) : this.#decide.rotation(now))
    try {
      await this.#sync.write(decide)
    } catch (error) {
      if (this.#closed || (error instanceof LendError && error.code === 'CLOSED')) return false
      this.#listener.refused(refusedIntent(error))
      if (!first || !isFinal(error, first.intent)) {
        this.#later(error)
        return false
      }
    }
    if (first) await this.#intents.done(first.n)
    this.#listener.carriedOut()
    return true
  }

  /** The relay did not take it now, for a reason that may pass. What is wanted stays wanted. */
  #later(error: unknown): void {
    const waitMs = (error instanceof Refusal && error.retryAfterMs) || RETRY_MS
    this.#stopRetry = this.#replica.world.timer(waitMs, () => {
      this.#stopRetry = null
      void this.work()
    })
  }
}

const TAKES_BACK: ReadonlySet<Intent['type']> = new Set(['remove', 'stop', 'remove-device'])

/** Whether asking again can't help. A removal or a stop is never given up on a relay's word. */
function isFinal(error: unknown, intent: Intent): boolean {
  if (TAKES_BACK.has(intent.type) || !(error instanceof Refusal)) return false
  return error.retry === 'no' || error.code === 'LIMIT_INVITES'
}

/** What the relay said to a statement, in the words of errors.ts. */
export function refusedIntent(error: unknown): LendError {
  if (error instanceof LendError) return error
  if (error instanceof Refusal) {
    if (error.code === 'LIMIT_INVITES' || error.code === 'LIMIT_MEMBERS')
      return new LendError(error.code, error.message)
    return new LendError('ACCOUNT_STALE', `the relay refused: ${error.message}`, { cause: error })
  }
  return new LendError('ACCOUNT_STALE', 'a statement could not be written', { cause: error })
}
