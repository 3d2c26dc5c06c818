/**
 * Keeps a replica and its relay at one. It is the hub between them: frames go to the reading side (contact.ts) or to the
 * writing side (publisher.ts), and what the one finds, the other hears. All that happens is handled one after the other.
 *
 *   open → closed      closed by its share, or because the disk failed us (`failed`)
 */
import {
  type AccessList,
  type DeviceKeys,
  type DocumentId,
  type Frame,
  LendError,
  type Nonces,
  type Position,
  type Receipt,
  Refusal,
  type Refused,
  type ShareList,
  type Statement,
  same
} from '@lend/engine'
import type { Doc } from 'yjs'
import type { RelayConnection } from '../relay/connection.ts'
import type { Stop } from '../world.ts'
import { Contact } from './contact.ts'
import type { LinkState } from './link.ts'
import { Publisher } from './publisher.ts'
import { Reading } from './reading.ts'
import type { Replica } from './replica.ts'

export type { LinkState, Progress } from './link.ts'

export interface SyncListener<L extends AccessList = ShareList> {
  /** The link, the access list, or what is unsynced has changed. */
  changed(): void
  /** All access entries of a contact are folded: what the list says of this account now counts. */
  listSettled(list: L): Promise<void>
  /** The relay told the list anew: what this device knew better. */
  listRetold(before: L, now: L): Promise<void>
  /** Something an entry or the relay did wrong; the log goes on. */
  refused(error: LendError): void
  /** Writing has ended for a reason that does not pass by itself. */
  failed(error: LendError): void
  receipts(receipts: readonly Receipt[]): Promise<void>
  /** The relay's word that this account is in. */
  heard(timeMs: number): void
}

export class LogSync<L extends AccessList = ShareList> {
  readonly #replica: Replica<L>
  readonly #writable: boolean
  readonly #listener: SyncListener<L>
  readonly #contact: Contact<L>
  readonly #publisher: Publisher<L>
  #connection: RelayConnection | null = null
  #leave: Stop | null = null
  #queue: Promise<void> = Promise.resolve()
  #closed = false
  #failure: LendError | null = null

  constructor(o: {
    replica: Replica<L>
    device: DeviceKeys
    writable: boolean
    accountProof: () => readonly Uint8Array[]
    listener: SyncListener<L>
  }) {
    const { replica, device, writable, accountProof, listener } = o
    this.#replica = replica
    this.#writable = writable
    this.#listener = listener
    const reading = new Reading(replica, device.id)
    const send = (frame: Frame) => this.send(frame)
    const enqueue = (run: () => Promise<void>) => void this.#enqueue(run)
    this.#publisher = new Publisher({
      replica,
      device,
      writable,
      send,
      enqueue,
      isLive: () => this.link.state === 'live',
      holdsData: () => this.holdData(),
      changed: () => listener.changed(),
      refused: error => listener.refused(error),
      failed: error => listener.failed(error)
    })
    this.#contact = new Contact({
      replica,
      reading,
      writable,
      accountProof,
      send,
      enqueue,
      listener: {
        changed: () => listener.changed(),
        listSettled: list => listener.listSettled(list),
        listRetold: (before, now) => listener.listRetold(before, now),
        refused: error => listener.refused(error),
        heard: timeMs => listener.heard(timeMs),
        restarted: () => this.#publisher.restarted(),
        grew: () => this.#publisher.grew(),
        applied: entries => this.#publisher.applied(entries),
        arrived: () => this.#publisher.republish(id => reading.collected(id)),
        ready: () => this.#publisher.advance()
      }
    })
  }

  /** Set by the owner's side: data waits while an access statement is wanted. */
  holdData: () => boolean = () => false

  get link(): LinkState {
    return this.#contact.link
  }

  /** Edits that are not durable here yet. */
  get unsaved(): number {
    return this.#publisher.unsaved
  }

  /** Entries that the relay has not acknowledged. */
  get unsent(): number {
    return this.#publisher.unsent
  }

  /** What waits from before. */
  load(): Promise<void> {
    return this.#publisher.load()
  }

  connect(connection: RelayConnection): void {
    this.#connection = connection
    this.#leave = connection.join(this.#replica.log, {
      opened: (_nonces: Nonces) => void this.#enqueue(() => this.#opened()),
      frame: frame => void this.#enqueue(() => this.#frame(frame)),
      closed: () => void this.#enqueue(() => this.#lost())
    })
  }

  /** Called at each local edit. */
  edited(): void {
    this.#publisher.edited()
  }

  /** Resolves when every edit up to now is durable here. */
  async saved(): Promise<void> {
    await this.#enqueue(() => this.#publisher.flush())
    if (this.#failure) throw this.#failure
    if (this.#closed) throw closed()
  }

  /**
   * Looks at a document, or edits it; resolves with what was seen or done once that is durable here.
   * @param run with the document, and by device hex how far its entries are in it
   * @throws LendError STORE_CORRUPT when the document does not open, CLOSED
   */
  async within<T>(id: DocumentId, run: (doc: Doc, positions: ReadonlyMap<string, Position>) => T): Promise<T> {
    const outcome: { done?: { readonly value: T }; error?: unknown } = {}
    await this.#enqueue(async () => {
      try {
        const document = await this.#replica.document(id)
        outcome.done = { value: document.within(doc => run(doc, this.#replica.positions(id))) }
      } catch (error) {
        // One document's trouble is not the log's.
        outcome.error = error
        return
      }
      await this.#publisher.flush()
    })
    if (this.#failure) throw this.#failure
    if (!outcome.done) throw outcome.error ?? closed()
    return outcome.done.value
  }

  /** Takes a document out of the log for ever; resolves when that is durable here. */
  async drop(id: DocumentId): Promise<void> {
    await this.#enqueue(() => this.#publisher.drop(id))
    if (this.#failure) throw this.#failure
  }

  /** True while something of this document, or its drop, is not acknowledged. */
  isOnItsWay(id: DocumentId): boolean {
    return this.#publisher.isOnItsWay(id)
  }

  /** Writes one access statement; see AccessAuthor.propose. */
  write(decide: (list: L) => Statement | null): Promise<unknown> {
    return this.#publisher.write(decide)
  }

  send(frame: Frame): boolean {
    return this.#connection?.send(frame) ?? false
  }

  /** Sends what can be sent now: after something has changed that writing waits for. */
  pump(): void {
    void this.#enqueue(() => this.#publisher.pump())
  }

  /** Nothing more is read, kept or sent, from this moment on. */
  halt(): void {
    if (this.#closed) return
    this.#closed = true
    this.#leave?.()
    this.#publisher.close(closed())
    this.send({ type: 'unfollow', log: this.#replica.log })
    this.#contact.halt()
  }

  /** Saves what is captured, then closes. */
  async close(): Promise<void> {
    await this.saved().catch(() => {})
    this.halt()
    await this.#queue
  }

  /** One after the other. What throws breaks this log (`#broke`), never who asked. */
  #enqueue(run: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue
      .then(async () => {
        if (this.#closed) return
        await run()
        this.#replica.rest()
      })
      .catch(error => this.#broke(error))
    return this.#queue
  }

  /** The disk failed us, or we have a bug: nothing more is promised for this log until it is opened again. */
  #broke(error: unknown): void {
    if (this.#closed) return
    this.halt()
    const known =
      error instanceof LendError ? error : new LendError('STORE_CORRUPT', 'this share broke', { cause: error })
    this.#failure = known
    this.#listener.failed(known)
  }

  // --- what the connection says ---

  async #opened(): Promise<void> {
    this.#publisher.opened()
    await this.#contact.opened()
  }

  async #lost(): Promise<void> {
    this.#publisher.lost()
    this.#contact.lost()
  }

  async #frame(frame: Frame): Promise<void> {
    switch (frame.type) {
      case 'following':
        return this.#contact.following(frame)
      case 'entries':
        return this.#contact.entries(frame)
      case 'ack':
        this.#contact.seeHead(frame.head)
        if (await this.#publisher.acked(frame.ids)) this.#contact.progressed()
        return this.#contact.acked(frame.ids)
      case 'refused':
        return this.#refused(frame)
      case 'receipts':
        if (this.#writable) await this.#listener.receipts(frame.receipts)
        return
    }
  }

  async #refused(frame: Refused): Promise<void> {
    const refusal = new Refusal(frame.code, frame.sentence, frame.retryAfterMs)
    const first = this.#replica.history.records[0]?.entry.id
    const remedy = frame.entry && (await this.#publisher.refused(frame.entry, refusal, frame.top?.ctr ?? 0))
    if (remedy === 'follow') this.#contact.followAgain()
    else if (remedy === 'read-anew') await this.#contact.readAnew()
    else if (!frame.entry || (!remedy && first && same(first, frame.entry))) await this.#contact.refused(refusal)
  }
}

function closed(): LendError {
  return new LendError('CLOSED', 'this share was closed')
}
