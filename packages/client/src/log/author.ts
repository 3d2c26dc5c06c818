/**
 * Writes access statements, one at a time. A statement is decided against the list as it is known; when the list has
 * moved on meanwhile the intent is decided anew, at most INTENT_TRIES_MAX times; nothing is signed again blindly.
 *
 *   idle → unsent ⇄ sent → idle
 *          sent → waiting → refused → sent      after a conflict, with full jitter: those who ask at once must not meet
 *                                               again and again; then, once the list has moved on
 */
import {
  type AccessList,
  type DeviceKeys,
  type Entry,
  type EntryId,
  encodeStatement,
  entryId,
  LendError,
  type LogId,
  limits,
  NO_DOCUMENT,
  type Refusal,
  type ShareList,
  type Statement,
  type Suite,
  same,
  signEntry
} from '@lend/engine'
import type { Stop, World } from '../world.ts'
import { Backoff } from './backoff.ts'

/** What to write, given the list; null when there is nothing to do (any more). */
export type Decide<L extends AccessList = ShareList> = (list: L) => Statement | null

interface Proposal<L extends AccessList> {
  readonly decide: Decide<L>
  readonly done: (entry: Entry | null) => void
  readonly failed: (error: unknown) => void
  entry: Entry | null
  tries: number
  state: 'unsent' | 'sent' | 'waiting' | 'refused'
  stopWaiting: Stop | null
}

const CONFLICT_MS = { firstMs: 100, maxMs: 2_000 }

export class AccessAuthor<L extends AccessList = ShareList> {
  readonly #suite: Suite
  readonly #world: World
  readonly #log: LogId
  #device: DeviceKeys
  readonly #list: () => L | null
  readonly #has: (id: EntryId) => boolean
  readonly #send: (entry: Entry) => boolean
  readonly #conflicts: Backoff
  #proposal: Proposal<L> | null = null
  #closed: unknown = null

  /** @param o.send false when it can't be sent now; `advance` is called when it can */
  constructor(o: {
    suite: Suite
    world: World
    log: LogId
    device: DeviceKeys
    /** Null while it is not here. */
    list: () => L | null
    /** Whether this access entry is in the list. */
    has: (id: EntryId) => boolean
    send: (entry: Entry) => boolean
  }) {
    this.#suite = o.suite
    this.#world = o.world
    this.#conflicts = new Backoff(o.world, CONFLICT_MS)
    this.#log = o.log
    this.#device = o.device
    this.#list = o.list
    this.#has = o.has
    this.#send = o.send
  }

  get busy(): boolean {
    return this.#proposal !== null
  }

  /**
   * Resolves when the statement is in the list, with its entry; with null when there was nothing to do.
   * Rejects with the relay's Refusal, or LendError ACCOUNT_STALE after too many tries.
   */
  propose(decide: Decide<L>): Promise<Entry | null> {
    if (this.#closed) return Promise.reject(this.#closed)
    if (this.#proposal) throw new Error('one statement at a time')
    return new Promise((done, failed) => {
      this.#proposal = { decide, done, failed, entry: null, tries: 0, state: 'unsent', stopWaiting: null }
      this.#conflicts.reset()
      this.advance()
    })
  }

  /** The list has grown, or the connection can be used again. */
  advance(): void {
    const proposal = this.#proposal
    if (!proposal) return
    const list = this.#list()
    if (proposal.entry && this.#has(proposal.entry.id)) this.#finish(p => p.done(p.entry))
    else if (list && isDue(proposal, list)) this.#propose(proposal, list)
  }

  #propose(proposal: Proposal<L>, list: L): void {
    if (!proposal.entry || !same(proposal.entry.accessHead, list.head)) {
      try {
        if (proposal.tries >= limits.INTENT_TRIES_MAX) throw tooManyTries()
        const statement = proposal.decide(list)
        if (!statement) {
          this.#finish(p => p.done(null))
          return
        }
        proposal.entry = accessEntry(this.#suite, this.#log, this.#device, list.head, statement)
      } catch (error) {
        this.#finish(p => p.failed(error))
        return
      }
      proposal.tries++
    }
    proposal.state = this.#send(proposal.entry) ? 'sent' : 'unsent'
  }

  /** @returns true when the refusal was about the proposed entry */
  refused(id: EntryId, refusal: Refusal): boolean {
    const proposal = this.#proposal
    if (!proposal?.entry || !same(proposal.entry.id, id)) return false
    if (refusal.code === 'ACCESS_CONFLICT') this.#wait(proposal)
    else if (refusal.code === 'INCARNATION') proposal.state = 'unsent'
    else this.#finish(p => p.failed(refusal))
    return true
  }

  /** This device is another one from now on: what was proposed and is not in the list is decided again. */
  renew(device: DeviceKeys): void {
    this.#device = device
    const proposal = this.#proposal
    if (!proposal) return
    proposal.entry = null
    this.#unsend(proposal)
  }

  /** The connection is lost: what was sent may or may not be in the log. */
  lost(): void {
    if (this.#proposal) this.#unsend(this.#proposal)
  }

  fail(error: unknown): void {
    this.#finish(p => p.failed(error))
  }

  /** Nothing is proposed any more. */
  close(error: unknown): void {
    this.#closed = error
    this.fail(error)
  }

  /** The entries that it lacked are on their way meanwhile. */
  #wait(proposal: Proposal<L>): void {
    proposal.state = 'waiting'
    proposal.stopWaiting = this.#world.timer(this.#conflicts.next(), () => {
      proposal.state = 'refused'
      this.advance()
    })
  }

  #unsend(proposal: Proposal<L>): void {
    proposal.stopWaiting?.()
    proposal.stopWaiting = null
    proposal.state = 'unsent'
  }

  #finish(end: (proposal: Proposal<L>) => void): void {
    const proposal = this.#proposal
    this.#proposal = null
    proposal?.stopWaiting?.()
    if (proposal) end(proposal)
  }
}

export function accessEntry(
  suite: Suite,
  log: LogId,
  device: DeviceKeys,
  accessHead: EntryId | null,
  statement: Statement
): Entry {
  return signEntry(
    suite,
    {
      kind: 'access',
      log,
      author: device.id,
      document: NO_DOCUMENT,
      ctr: 0,
      epoch: 0,
      accessHead: accessHead ?? entryId(new Uint8Array(32))
    },
    encodeStatement(statement),
    device.signing.secretKey
  )
}

/** The same bytes are not sent again after a conflict. */
function isDue<L extends AccessList>({ state, entry }: Proposal<L>, list: L): boolean {
  return state === 'unsent' || (state === 'refused' && entry !== null && !same(entry.accessHead, list.head))
}

function tooManyTries(): LendError {
  return new LendError('ACCOUNT_STALE', `the share changed ${limits.INTENT_TRIES_MAX} times meanwhile; try again`, {
    retry: 'later'
  })
}
