/**
 * A visit to a log for its access entries alone, without a replica: to look at an invite, to join by it, to leave.
 */
import {
  AccessHistory,
  type DeviceKeys,
  decodeEntry,
  decodeHead,
  type Entry,
  type EntryId,
  type Frame,
  type Incarnation,
  type InviteKeys,
  type LogId,
  type Nonces,
  Refusal,
  type ShareList,
  type Statement,
  type Suite,
  signPeek
} from '@lend/engine'
import type { Line, RelayConnection } from '../relay/connection.ts'
import type { Stop } from '../world.ts'
import { AccessAuthor } from './author.ts'

export class AccessVisit {
  readonly history: AccessHistory
  readonly #suite: Suite
  readonly #log: LogId
  readonly #invite: InviteKeys | null
  readonly #connection: RelayConnection
  readonly #author: AccessAuthor
  readonly #leave: Stop
  readonly #opened: { resolve: (list: ShareList) => void; reject: (error: unknown) => void }
  /** Resolves with the list once all of it is here. Rejects with the relay's Refusal. */
  readonly list: Promise<ShareList>
  #incarnation: Incarnation | null = null
  #awaited: EntryId | null = null
  #standing: string | null = null

  constructor(o: {
    suite: Suite
    log: LogId
    device: DeviceKeys
    invite: InviteKeys | null
    connection: RelayConnection
  }) {
    this.#suite = o.suite
    this.#log = o.log
    this.#invite = o.invite
    this.#connection = o.connection
    this.history = new AccessHistory(o.suite)
    this.#author = new AccessAuthor({
      suite: o.suite,
      log: o.log,
      device: o.device,
      history: () => this.history,
      send: entry => this.#append(entry)
    })
    let opened: { resolve: (list: ShareList) => void; reject: (error: unknown) => void } | null = null
    this.list = new Promise((resolve, reject) => {
      opened = { resolve, reject }
    })
    // Nobody may be waiting yet, or any more.
    this.list.catch(() => {})
    this.#opened = opened as unknown as { resolve: (list: ShareList) => void; reject: (error: unknown) => void }
    const line: Line = {
      opened: nonces => this.#ask(nonces),
      frame: frame => this.#frame(frame),
      closed: () => this.#author.lost()
    }
    this.#leave = o.connection.join(o.log, line)
  }

  /** How the relay serves this device: as a member already, or as who holds the link. Null before `list`. */
  get standing(): string | null {
    return this.#standing
  }

  /** See AccessAuthor.propose. */
  write(decide: (list: ShareList) => Statement | null): Promise<Entry | null> {
    return this.#author.propose(decide)
  }

  /** @param error what those who wait are told */
  close(error: unknown): void {
    this.#leave()
    this.#connection.send({ type: 'unfollow', log: this.#log })
    this.#opened.reject(error)
    this.#author.fail(error)
  }

  #ask(nonces: Nonces): void {
    const invite = this.#invite && {
      id: this.#invite.id,
      signature: signPeek(this.#suite, this.#invite, this.#log, nonces)
    }
    this.#connection.send({ type: 'follow', log: this.#log, cursor: null, head: null, invite, accountProof: [] })
  }

  #frame(frame: Frame): void {
    switch (frame.type) {
      case 'following':
        this.#incarnation = frame.incarnation
        this.#awaited = decodeHead(frame.head).accessHead
        this.#standing = frame.standing
        this.#look()
        return
      case 'entries':
        this.#fold(frame)
        this.#look()
        return
      case 'refused': {
        const refusal = new Refusal(frame.code, frame.sentence, frame.retryAfterMs)
        if (!frame.entry) {
          this.#opened.reject(refusal)
          this.#author.fail(refusal)
        } else this.#author.refused(frame.entry, refusal)
        return
      }
    }
  }

  #fold(frame: Frame & { type: 'entries' }): void {
    try {
      for (const { bytes, seq, timeMs } of frame.entries) {
        const entry = decodeEntry(this.#suite, bytes)
        if (entry.kind !== 'access' || this.history.has(entry.id)) continue
        const refusal = this.history.fold(entry, seq, timeMs, { timeMs: null, signatures: true })
        if (refusal) throw refusal
      }
    } catch (error) {
      this.#opened.reject(error)
      this.#author.fail(error)
    }
  }

  #look(): void {
    const { list } = this.history
    if (this.#awaited && !this.history.has(this.#awaited) && this.#standing !== 'former') return
    this.#awaited = null
    if (list?.kind === 'share') this.#opened.resolve(list)
    this.#author.advance()
  }

  #append(entry: Entry): boolean {
    if (!this.#incarnation || this.#awaited) return false
    return this.#connection.send({
      type: 'append',
      log: this.#log,
      incarnation: this.#incarnation,
      entries: [entry.bytes]
    })
  }
}
