/**
 * A visit to a log for its access entries alone, without a replica: to look at an invite, to join by it, to leave, to recover
 * an account.
 */
import {
  AccessHistory,
  type AccessList,
  type AccessRecord,
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
import type { Change } from '../disk/sealed-store.ts'
import type { Line, RelayConnection } from '../relay/connection.ts'
import type { Stop, World } from '../world.ts'
import { AccessAuthor } from './author.ts'
import { encodeAccess, encodeState, KEYS, NEW_REPLICA, put } from './records.ts'

export class AccessVisit<L extends AccessList = ShareList> {
  readonly history: AccessHistory
  readonly #suite: Suite
  readonly #kind: L['kind']
  readonly #log: LogId
  readonly #invite: InviteKeys | null
  readonly #connection: RelayConnection
  readonly #accountProof: readonly Uint8Array[]
  readonly #author: AccessAuthor<L>
  readonly #leave: Stop
  readonly #opened: { resolve: (list: L) => void; reject: (error: unknown) => void }
  /** Resolves with the list once all of it is here. Rejects with the relay's Refusal. */
  readonly list: Promise<L>
  #incarnation: Incarnation | null = null
  #awaited: EntryId | null = null
  #standing: string | null = null
  #timeMs = 0

  constructor(o: {
    kind: L['kind']
    suite: Suite
    world: World
    log: LogId
    device: DeviceKeys
    invite: InviteKeys | null
    connection: RelayConnection
    /** The library's entries, for a list that may not have this device yet. */
    accountProof?: readonly Uint8Array[]
  }) {
    this.#suite = o.suite
    this.#kind = o.kind
    this.#log = o.log
    this.#invite = o.invite
    this.#connection = o.connection
    this.#accountProof = o.accountProof ?? []
    this.history = new AccessHistory(o.suite)
    this.#author = new AccessAuthor({
      suite: o.suite,
      world: o.world,
      log: o.log,
      device: o.device,
      list: () => this.#list,
      has: id => this.history.has(id),
      send: entry => this.#append(entry)
    })
    let opened: { resolve: (list: L) => void; reject: (error: unknown) => void } | null = null
    this.list = new Promise((resolve, reject) => {
      opened = { resolve, reject }
    })
    // Nobody may be waiting yet, or any more.
    this.list.catch(() => {})
    this.#opened = opened as unknown as { resolve: (list: L) => void; reject: (error: unknown) => void }
    const line: Line = {
      opened: nonces => this.#ask(nonces),
      frame: frame => {
        this.#frame(frame)
        return undefined
      },
      closed: () => this.#author.lost()
    }
    this.#leave = o.connection.join(o.log, line)
  }

  /** How the relay serves this device: as a member already, or as who holds the link. Null before `list`. */
  get standing(): string | null {
    return this.#standing
  }

  /** The relay's time when it began to serve this visit; 0 before `list`. */
  get timeMs(): number {
    return this.#timeMs
  }

  /** What a replica of this log begins with: its list as it is known here, and nothing read of its documents. */
  replicaRecords(): Change[] {
    const { records } = this.history
    const cursor = this.#incarnation && { incarnation: this.#incarnation, seq: 0 }
    const state = encodeState({ ...NEW_REPLICA, cursor, accessCount: records.length })
    const access = ({ seq, timeMs, entry }: AccessRecord) => encodeAccess({ seq, timeMs, bytes: entry.bytes })
    return [put(KEYS.state, state), ...records.map((record, i) => put(KEYS.access(i + 1), access(record)))]
  }

  /** See AccessAuthor.propose. */
  write(decide: (list: L) => Statement | null): Promise<Entry | null> {
    return this.#author.propose(decide)
  }

  /** @param error what those who wait are told */
  close(error: unknown): void {
    this.#leave()
    this.#connection.send({ type: 'unfollow', log: this.#log })
    this.#opened.reject(error)
    this.#author.fail(error)
  }

  get #list(): L | null {
    const { list } = this.history
    return list?.kind === this.#kind ? (list as L) : null
  }

  #ask(nonces: Nonces): void {
    const invite = this.#invite && {
      id: this.#invite.id,
      signature: signPeek(this.#suite, this.#invite, this.#log, nonces)
    }
    const accountProof = this.#accountProof
    this.#connection.send({ type: 'follow', log: this.#log, cursor: null, head: null, invite, accountProof })
  }

  #frame(frame: Frame): void {
    switch (frame.type) {
      case 'following': {
        const head = decodeHead(frame.head)
        this.#incarnation = frame.incarnation
        this.#awaited = head.accessHead
        this.#timeMs = head.timeMs
        this.#standing = frame.standing
        this.#look()
        return
      }
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
    const list = this.#list
    if (this.#awaited && !this.history.has(this.#awaited) && this.#standing !== 'former') return
    this.#awaited = null
    if (list) this.#opened.resolve(list)
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
