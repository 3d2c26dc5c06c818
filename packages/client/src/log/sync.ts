/**
 * Keeps a replica and its relay at one. It is the hub between them: frames go to the reading side (contact.ts) or to the
 * writing side (publisher.ts), and what the one finds, the other hears. All that happens is handled one after the other.
 *
 *   open → closed      closed by its share, or because the disk failed us (`failed`)
 */
import {
  type AccessList,
  type DeviceId,
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
  /** The relay has none of this log: the list is offered to it next. */
  listLost(): Promise<void>
  /** Something an entry or the relay did wrong; the log goes on. */
  refused(error: LendError): void
  /** Writing has ended for a reason that does not pass by itself. */
  failed(error: LendError): void
  /** The log holds entries of this device that it does not know: it was copied or restored. Nothing is read or sent until `renew`. */
  cloned(device: DeviceId): void
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
  readonly #reading: Reading
  #device: DeviceKeys
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
    this.#device = device
    const reading = new Reading(replica, device.id)
    this.#reading = reading
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
        listLost: () => listener.listLost(),
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
    this.#join(connection)
  }

  /** Leaves the relay: what is edited is still kept here, and nothing more is read or sent until `reconnect`. */
  disconnect(): Promise<void> {
    this.#part()
    return this.#enqueue(async () => this.#parted())
  }

  reconnect(): void {
    if (this.#closed || !this.#connection) return
    this.#part()
    this.#join(this.#connection)
  }

  /**
   * This device is another one from now on, see Publisher; `reconnect` follows.
   * @param keep called after that, what it changes is in the same batch
   */
  async renew(device: DeviceKeys, keep: () => Promise<void> = async () => {}): Promise<void> {
    this.#part()
    await this.#enqueue(async () => {
      this.#parted()
      this.#device = device
      this.#reading.renew(device.id)
      this.#publisher.renew(device)
      await keep()
      await this.#replica.commit({ durable: true })
    })
    if (this.#failure) throw this.#failure
  }

  #join(connection: RelayConnection): void {
    this.#leave = connection.join(this.#replica.log, {
      opened: (_nonces: Nonces) => void this.#enqueue(() => this.#opened()),
      frame: frame => this.#enqueue(() => this.#frame(frame)),
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
    this.#publisher.close(closed())
    this.#part()
    this.#contact.halt()
  }

  #parted(): void {
    this.#publisher.lost()
    this.#contact.parted()
  }

  /** Leaves the connection. */
  #part(): void {
    if (this.#leave) this.send({ type: 'unfollow', log: this.#replica.log })
    this.#leave?.()
    this.#leave = null
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

  /** This device was copied; or the disk failed us, or we have a bug: then nothing more is promised for this log until it is opened again. */
  #broke(error: unknown): void {
    if (this.#closed) return
    if (error instanceof LendError && error.code === 'DEVICE_CLONED') {
      this.#part()
      this.#parted()
      this.#listener.cloned(this.#device.id)
      return
    }
    this.halt()
    const known =
      error instanceof LendError ? error : new LendError('STORE_CORRUPT', 'this share broke', { cause: error })
    this.#failure = known
    this.#listener.failed(known)
  }

  // --- what the connection says ---

  async #opened(): Promise<void> {
    if (!this.#leave) return
    this.#publisher.opened()
    await this.#contact.opened()
  }

  async #lost(): Promise<void> {
    this.#publisher.lost()
    this.#contact.lost()
  }

  async #frame(frame: Frame): Promise<void> {
    if (!this.#leave) return
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
