/**
 * Writes access statements, one at a time. A statement is decided against the list as it is known; when the list has
 * moved on meanwhile the intent is decided anew, at most INTENT_TRIES_MAX times; nothing is signed again blindly.
 *
 *   idle → proposed → idle      a refusal with a newer list at hand proposes again
 */
import {
  type AccessHistory,
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

/** What to write, given the list; null when there is nothing to do (any more). */
export type Decide = (list: ShareList) => Statement | null

interface Proposal {
  readonly decide: Decide
  readonly done: (entry: Entry | null) => void
  readonly failed: (error: unknown) => void
  entry: Entry | null
  tries: number
  /** False while it is not at the relay: not sent yet, refused, or the connection was lost. */
  sent: boolean
}

export class AccessAuthor {
  readonly #suite: Suite
  readonly #log: LogId
  readonly #device: DeviceKeys
  readonly #history: () => AccessHistory
  readonly #send: (entry: Entry) => boolean
  #proposal: Proposal | null = null
  #closed: unknown = null

  /** @param o.send false when it can't be sent now; `advance` is called when it can */
  constructor(o: {
    suite: Suite
    log: LogId
    device: DeviceKeys
    history: () => AccessHistory
    send: (entry: Entry) => boolean
  }) {
    this.#suite = o.suite
    this.#log = o.log
    this.#device = o.device
    this.#history = o.history
    this.#send = o.send
  }

  get busy(): boolean {
    return this.#proposal !== null
  }

  /**
   * Resolves when the statement is in the list, with its entry; with null when there was nothing to do.
   * Rejects with the relay's Refusal, or ACCESS_CONFLICT after too many tries.
   */
  propose(decide: Decide): Promise<Entry | null> {
    if (this.#closed) return Promise.reject(this.#closed)
    if (this.#proposal) throw new Error('one statement at a time')
    return new Promise((done, failed) => {
      this.#proposal = { decide, done, failed, entry: null, tries: 0, sent: false }
      this.advance()
    })
  }

  /** The list has grown, or the connection can be used again. */
  advance(): void {
    const proposal = this.#proposal
    if (!proposal) return
    const history = this.#history()
    if (proposal.entry && history.has(proposal.entry.id)) this.#finish(p => p.done(p.entry))
    else if (!proposal.sent && history.list?.kind === 'share') this.#propose(proposal, history.list)
  }

  #propose(proposal: Proposal, list: ShareList): void {
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
    proposal.sent = this.#send(proposal.entry)
  }

  /** @returns true when the refusal was about the proposed entry */
  refused(id: EntryId, refusal: Refusal): boolean {
    const proposal = this.#proposal
    if (!proposal?.entry || !same(proposal.entry.id, id)) return false
    if (refusal.code === 'ACCESS_CONFLICT' || refusal.code === 'INCARNATION') {
      proposal.sent = false
      const list = this.#history().list
      // Else the newer entries are on their way, and `advance` comes with them.
      if (list && !same(list.head, proposal.entry.accessHead)) this.advance()
    } else this.#finish(p => p.failed(refusal))
    return true
  }

  /** The connection is lost: what was sent may or may not be in the log. */
  lost(): void {
    if (this.#proposal) this.#proposal.sent = false
  }

  fail(error: unknown): void {
    this.#finish(p => p.failed(error))
  }

  /** Nothing is proposed any more. */
  close(error: unknown): void {
    this.#closed = error
    this.fail(error)
  }

  #finish(end: (proposal: Proposal) => void): void {
    const proposal = this.#proposal
    this.#proposal = null
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

function tooManyTries(): LendError {
  return new LendError('ACCOUNT_STALE', `the share changed ${limits.INTENT_TRIES_MAX} times meanwhile; try again`, {
    retry: 'later'
  })
}
