/**
 * Keeps a replica and its relay at one: asks for the log, reads what comes, sends what waits.
 *
 *   down → asked → reading → live        the connection is lost: any → down
 *          asked → waiting → reading     the relay lost part of the log; no owner device has been there yet
 *          asked → refused               until the next connection, or `retry`
 *
 * All frames are handled one after the other. Order of effects: keep, then send, then tell the app.
 */
import {
  type Ack,
  type DeviceKeys,
  type DocumentId,
  decodeHead,
  difference,
  type EntryId,
  entryId,
  type Following,
  type Frame,
  hex,
  type Incarnation,
  incarnation as incarnationOf,
  LendError,
  limits,
  type Nonces,
  type Placed,
  type Receipt,
  Refusal,
  type Refused,
  type ShareList,
  type Statement,
  same
} from '@lend/engine'
import type { RelayConnection } from '../relay/connection.ts'
import type { Stop } from '../world.ts'
import { AccessAuthor } from './author.ts'
import type { ReplicaDocument } from './document.ts'
import { Outbox } from './outbox.ts'
import { Reading } from './reading.ts'
import { decodeTail, documentOf, encodeTail, KEYS, NO_TAIL, put, type Tail } from './records.ts'
import type { Replica } from './replica.ts'

export interface Progress {
  readonly entries: number
  readonly entriesTotal: number
  readonly bytes: number
  readonly bytesTotal: number
}

export type LinkState =
  | { readonly state: 'down' | 'asked' | 'waiting' | 'live' }
  | { readonly state: 'reading'; readonly target: number; readonly progress: Progress }
  | { readonly state: 'refused'; readonly refusal: Refusal }

export interface SyncListener {
  /** The link, the access list, or what is unsynced has changed. */
  changed(): void
  /** All access entries of a contact are folded: what the list says of this account now counts. */
  listSettled(list: ShareList): Promise<void>
  /** The relay told the list anew: what this device knew better. */
  listRetold(before: ShareList, now: ShareList): Promise<void>
  /** Something an entry or the relay did wrong; the log goes on. */
  refused(error: LendError): void
  /** Writing has ended for a reason that does not pass by itself. */
  failed(error: LendError): void
  receipts(receipts: readonly Receipt[]): Promise<void>
  /** The relay's word that this account is in. */
  heard(timeMs: number): void
}

/** The first edit leaves at once; those within this time of the last entry merge. */
const MERGE_MS = 50
/** Edits wait no longer than this for the acknowledgement of the entry before them. */
const MERGE_MS_MAX = 250
const RETRY_MS = 10_000
/** For a log that its relay has not shown us yet. */
const NO_INCARNATION = incarnationOf(new Uint8Array(16))
const REREADS_MAX = 3
/** Bytes of entries behind the last snapshot before the next is worth its reading. */
const TAIL_BYTES_MIN = 128 * 1024

export class LogSync {
  readonly outbox: Outbox
  readonly #replica: Replica
  readonly #writable: boolean
  readonly #listener: SyncListener
  readonly #reading: Reading
  readonly #author: AccessAuthor
  readonly #documents = new Map<string, ReplicaDocument>()
  readonly #tails = new Map<string, Tail>()
  #connection: RelayConnection | null = null
  #leave: Stop | null = null
  #link: LinkState = { state: 'down' }
  /** Of this contact: the access entry up to which the list must be folded before it counts. */
  #awaited: EntryId | null = null
  /** Of this contact: the newest access entry that the relay had itself, and how far it was read. */
  #contact: { readonly accessHead: EntryId; readonly incarnation: Incarnation; upTo: number } | null = null
  #queue: Promise<void> = Promise.resolve()
  #closed = false
  #failure: LendError | null = null
  #rereads = 0
  #ready = false
  #flushTimer: Stop | null = null
  #retryTimer: Stop | null = null
  #flushedMs = 0
  #waitForAccess = false
  #saving = 0
  #pumping = false
  #pumpAgain = false

  constructor(o: { replica: Replica; device: DeviceKeys; writable: boolean; listener: SyncListener }) {
    this.#replica = o.replica
    this.#writable = o.writable
    this.#listener = o.listener
    this.outbox = new Outbox(o.replica, o.device)
    this.#reading = new Reading(o.replica, o.device.id)
    this.#author = new AccessAuthor({
      suite: o.replica.suite,
      log: o.replica.log,
      device: o.device,
      history: () => o.replica.history,
      send: entry => this.#canWrite && this.#sendAppend([entry.bytes])
    })
  }

  get link(): LinkState {
    return this.#link
  }

  /** Edits that are not durable here yet. */
  get unsaved(): number {
    let sum = this.#saving
    for (const document of this.#documents.values()) sum += document.unsaved
    return sum
  }

  /** Entries that the relay has not acknowledged; while the log is read anew nobody can tell how many it lacks. */
  get unsent(): number {
    return this.outbox.size + (this.#writable && this.#replica.state.republish ? 1 : 0)
  }

  /** What waits from before. */
  async load(): Promise<void> {
    await this.outbox.load()
    for await (const { key, value } of this.#replica.store.range('tail/')) {
      this.#tails.set(hex(documentOf(key)), decodeTail(value))
    }
  }

  connect(connection: RelayConnection): void {
    this.#connection = connection
    this.#leave = connection.join(this.#replica.log, {
      opened: nonces => this.#enqueue(() => this.#opened(nonces)),
      frame: frame => this.#enqueue(() => this.#frame(frame)),
      closed: () => this.#enqueue(async () => this.#lost())
    })
  }

  /** A document whose edits are to be published. */
  publish(document: ReplicaDocument): void {
    this.#documents.set(hex(document.id), document)
  }

  /** Called at each local edit. */
  edited(): void {
    if (this.#closed) return
    // Told at once when all was saved before; who asks for `synced` right after an edit waits for that edit.
    if (!this.#flushTimer || this.unsaved === 1) this.#listener.changed()
    if (this.#flushTimer) return
    this.#flushSoon()
  }

  #flushSoon(): void {
    const { world } = this.#replica
    const since = world.now() - this.#flushedMs
    const wait = this.#link.state === 'live' && this.outbox.inFlight > 0 ? MERGE_MS_MAX : MERGE_MS
    if (since >= wait || since < 0) {
      let stopped = false
      this.#flushTimer = () => {
        stopped = true
      }
      queueMicrotask(() => {
        if (!stopped) this.#flushNow()
      })
    } else this.#flushTimer = world.timer(wait - since, () => this.#flushNow())
  }

  /** Resolves when every edit up to now is durable here. */
  async saved(): Promise<void> {
    await this.#enqueue(() => this.#flush())
    if (this.#failure) throw this.#failure
    if (this.#closed) throw closed()
  }

  /** Writes one access statement; see AccessAuthor.propose. */
  write(decide: (list: ShareList) => Statement | null): Promise<unknown> {
    return this.#author.propose(decide)
  }

  send(frame: Frame): boolean {
    return this.#connection?.send(frame) ?? false
  }

  /** Sends what can be sent now: after something has changed that writing waits for. */
  pump(): void {
    void this.#enqueue(() => this.#pump())
  }

  /** Nothing more is read, kept or sent, from this moment on. */
  halt(): void {
    if (this.#closed) return
    this.#closed = true
    this.#leave?.()
    this.#flushTimer?.()
    this.#retryTimer?.()
    this.#author.close(closed())
    this.#connection?.send({ type: 'unfollow', log: this.#replica.log })
    this.#link = { state: 'down' }
  }

  /** Saves what is captured, then closes. */
  async close(): Promise<void> {
    await this.saved().catch(() => {})
    this.halt()
    await this.#queue
  }

  get #canWrite(): boolean {
    return this.#link.state === 'live'
  }

  /** One after the other. What throws breaks this log (`#broke`), never who asked. */
  #enqueue(run: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue
      .then(async () => {
        if (!this.#closed) await run()
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

  #become(link: LinkState): void {
    this.#link = link
    this.#listener.changed()
  }

  // --- asking ---

  async #opened(_nonces: Nonces): Promise<void> {
    this.#ready = false
    this.#retryTimer?.()
    if (this.#writable && !this.#replica.state.cursor && !this.#replica.state.republish) return this.#create()
    this.#follow()
  }

  #follow(): void {
    const { cursor, head } = this.#replica.state
    this.#become({ state: 'asked' })
    this.send({ type: 'follow', log: this.#replica.log, cursor, head, invite: null, accountProof: [] })
  }

  /** A share that its relay has never shown us: its `create` may not be there yet. */
  async #create(): Promise<void> {
    const first = this.#replica.history.records[0]
    // Our own share and nothing of it here: the replica was lost, and our own entries in the log are news to us.
    if (!first) return this.#readAnew()
    this.#become({ state: 'asked' })
    this.#sendAppend([first.entry.bytes], NO_INCARNATION)
  }

  #lost(): void {
    this.outbox.lost()
    this.#author.lost()
    this.#awaited = null
    this.#contact = null
    this.#waitForAccess = false
    this.#become({ state: 'down' })
  }

  /** Asks again after a while, on the same connection. */
  #retryLater(ms: number): void {
    this.#retryTimer?.()
    this.#retryTimer = this.#replica.world.timer(ms, () => this.#enqueue(async () => this.#follow()))
  }

  // --- what comes ---

  async #frame(frame: Frame): Promise<void> {
    switch (frame.type) {
      case 'following':
        return this.#following(frame)
      case 'entries':
        if (this.#link.state === 'down') return
        return this.#entries(frame)
      case 'ack':
        return this.#acked(frame)
      case 'refused':
        return this.#refused(frame)
      case 'receipts':
        if (this.#writable) await this.#listener.receipts(frame.receipts)
        return
    }
  }

  async #following(frame: Following): Promise<void> {
    const replica = this.#replica
    const { cursor, republish } = replica.state
    const head = decodeHead(frame.head)
    // Without a cursor, yet with a list: a list that was being told anew when this device was stopped.
    const begun = cursor === null && replica.history.records.length > 0
    const anew = cursor ? !same(cursor.incarnation, frame.incarnation) : begun || republish
    const offered = this.#offer(head.accessHead, frame.incarnation)
    if (anew) {
      this.#ready = false
      replica.restart()
      this.outbox.clear()
      replica.set({ republish: this.#writable })
      if (this.#writable) this.#reading.collect()
      await replica.commit({ durable: true })
    }
    // Told anew, the list counts once the relay has what we know better: cut off before that, we must still know it.
    this.#awaited = (anew && offered) || head.accessHead
    this.#contact = { accessHead: head.accessHead, incarnation: frame.incarnation, upTo: 0 }
    if (frame.standing === 'member' || frame.standing === 'owner') this.#listener.heard(head.timeMs)
    if (frame.standing === 'waiting') return this.#become({ state: 'waiting' })
    const progress = { entries: 0, entriesTotal: frame.entriesTotal, bytes: 0, bytesTotal: frame.bytesTotal }
    this.#become({ state: 'reading', target: frame.standing === 'former' ? Infinity : head.seq, progress })
    if (frame.entriesTotal === 0 || (cursor && !anew && cursor.seq >= head.seq)) {
      this.#contact.upTo = head.seq
      await this.#settle()
      await this.#look()
    }
  }

  /**
   * The relay has less of the list than we have: what continues it goes back there, verbatim.
   * @returns the last entry that was offered, null for none
   */
  #offer(accessHead: EntryId, incarnation: Incarnation): EntryId | null {
    const { records } = this.#replica.history
    const known = accessHead.every(byte => byte === 0) ? -1 : this.#replica.history.indexOf(accessHead)
    if (known === null || known >= records.length - 1) return null
    let entries: Uint8Array[] = []
    const send = () => this.send({ type: 'offer', log: this.#replica.log, incarnation, entries })
    let bytes = 0
    for (const { entry } of records.slice(known + 1)) {
      if (entries.length > 0 && bytes + entry.bytes.length > limits.FRAME_BYTES_WANTED) {
        send()
        entries = []
        bytes = 0
      }
      entries.push(entry.bytes)
      bytes += entry.bytes.length
    }
    send()
    return records.at(-1)?.entry.id ?? null
  }

  /** The relay keeps to its own list, which an owner's device has settled before us: it counts as it is. */
  async #offerRefused(): Promise<void> {
    if (!this.#contact || this.#link.state !== 'reading') return
    this.#awaited = this.#contact.accessHead
    await this.#settle()
    await this.#look()
  }

  async #entries(frame: Frame & { type: 'entries' }): Promise<void> {
    const replica = this.#replica
    const { entries, broken } = this.#reading.decode(frame.entries)
    for (const error of broken) this.#listener.refused(error)
    const access = this.#reading.access(entries)
    for (const error of access.refused) this.#listener.refused(error)
    if (access.folded) this.#waitForAccess = false
    if (access.folded || this.#awaited) await this.#settle()
    if (this.#closed) return
    const data = await this.#reading.data(entries)
    for (const error of data.refused) this.#listener.refused(error)
    if (data.cloned) return this.#cloned()
    for (const entry of data.applied) this.#grow(entry.document, entry.bytes.length, entry.kind === 'snapshot')
    const { cursor, republish } = replica.state
    const here = !cursor || frame.upTo > cursor.seq || !same(cursor.incarnation, frame.incarnation)
    // While the log is read anew its cursor counts only once all that it lacks is on its way.
    if (here && !republish && !replica.isRetold && frame.upTo > 0)
      replica.set({ cursor: { incarnation: frame.incarnation, seq: frame.upTo } })
    this.#seeHead(frame.head)
    await replica.commit({ durable: false })
    this.#advanceProgress(frame.entries)
    if (this.#contact) this.#contact.upTo = frame.upTo
    if (this.#link.state === 'reading') await this.#look()
    else if (access.folded) {
      this.#author.advance()
      await this.#pump()
    }
    if (access.folded) this.#listener.changed()
  }

  /** When the list of this contact is all here it counts. */
  async #settle(): Promise<void> {
    const replica = this.#replica
    if (this.#awaited && !replica.has(this.#awaited) && !this.#awaited.every(byte => byte === 0)) return
    this.#awaited = null
    const before = replica.settleAccess()
    if (before && replica.list) await this.#listener.listRetold(before, replica.list)
    if (replica.list) await this.#listener.listSettled(replica.list)
  }

  /** Whether all that the contact promised is here, and the list counts. */
  async #look(): Promise<void> {
    if (this.#closed || this.#link.state !== 'reading' || this.#awaited || !this.#contact) return
    const { upTo, incarnation } = this.#contact
    if (upTo >= this.#link.target) await this.#arrived(upTo, incarnation)
  }

  /** Everything up to the head is here. */
  async #arrived(seq: number, incarnation: Incarnation): Promise<void> {
    const replica = this.#replica
    if (this.#reading.hasGap && this.#rereads < REREADS_MAX && !replica.state.republish) {
      this.#rereads++
      replica.set({ cursor: null })
      return this.#follow()
    }
    if (!this.#reading.hasGap) this.#rereads = 0
    if (replica.state.republish) await this.#republish()
    if (!replica.isRetold) replica.set({ cursor: { incarnation, seq }, republish: false })
    await replica.commit({ durable: this.#writable })
    this.#become({ state: 'live' })
    this.#author.advance()
    await this.#pump()
  }

  /** Publishes what the documents have and the log lacks, as this device's next entries. */
  async #republish(): Promise<void> {
    const { list } = this.#replica
    if (!list) return
    for (const document of this.#documents.values()) {
      const captured = document.takeCaptured()
      if (captured) this.#replica.change(...document.keep(captured))
      const missing = difference(document.doc, this.#reading.collected(document.id))
      if (missing) this.outbox.add(document, missing, list)
    }
    this.#reading.endCollecting()
  }

  #advanceProgress(placed: readonly Placed[]): void {
    if (this.#link.state !== 'reading') return
    const { progress } = this.#link
    const entries = progress.entries + placed.length
    const bytes = progress.bytes + placed.reduce((sum, { bytes }) => sum + bytes.length, 0)
    this.#become({
      ...this.#link,
      progress: {
        entries,
        bytes,
        entriesTotal: Math.max(progress.entriesTotal, entries),
        bytesTotal: Math.max(progress.bytesTotal, bytes)
      }
    })
  }

  #seeHead(bytes: Uint8Array): void {
    const known = this.#replica.state.head
    const head = decodeHead(bytes)
    const before = known && decodeHead(known)
    if (!before || !same(before.incarnation, head.incarnation) || head.seq >= before.seq) {
      this.#replica.set({ head: bytes.slice() })
    }
    if (this.#link.state === 'live' || this.#link.state === 'reading') this.#listener.heard(head.timeMs)
  }

  #cloned(): void {
    throw new LendError(
      'DEVICE_CLONED',
      'this device was cloned or restored: the relay has entries of it that it lacks'
    )
  }

  // --- what the relay says of what we sent ---

  async #acked({ ids, head }: Ack): Promise<void> {
    // The relay's word on these entries: shown again, it tells if they were lost.
    this.#seeHead(head)
    let ours = false
    for (const id of ids) {
      const item = this.outbox.acked(id)
      if (item) {
        ours = true
        this.#grow(item.entry.document, item.entry.bytes.length, item.entry.kind === 'snapshot')
      }
    }
    const first = this.#replica.history.records[0]
    const created = first && ids.some(id => same(id, first.entry.id))
    if (ours) await this.#replica.commit({ durable: false })
    if (created && this.#link.state === 'asked') this.#follow()
    if (ours) {
      this.#listener.changed()
      await this.#pump()
      this.#flushSooner()
    }
  }

  /** Nothing is on its way any more, so the edits that wait for that wait no longer than any others. */
  #flushSooner(): void {
    if (!this.#flushTimer || this.#closed || this.outbox.inFlight > 0) return
    this.#flushTimer()
    this.#flushTimer = null
    this.#flushSoon()
  }

  async #refused(frame: Refused): Promise<void> {
    const refusal = new Refusal(frame.code, frame.sentence, frame.retryAfterMs)
    if (!frame.entry) return this.#refusedLog(refusal)
    if (this.#author.refused(frame.entry, refusal)) return
    const item = this.outbox.find(frame.entry)
    if (!item) {
      const first = this.#replica.history.records[0]
      if (first && same(first.entry.id, frame.entry)) await this.#refusedLog(refusal)
      return
    }
    item.inFlight = false
    switch (refusal.code) {
      case 'EPOCH_STALE':
      case 'EPOCH_UNKNOWN':
        item.stale = true
        this.#waitForAccess = item.entry.epoch === this.#replica.list?.epoch && !this.#replica.list?.rotationDue
        break
      case 'COVER_AHEAD':
      case 'COVER_BEHIND':
      case 'COVER_MISMATCH':
        item.stale = true
        break
      case 'CTR_GAP': {
        const missing = (frame.top?.ctr ?? 0) + 1
        if (!this.outbox.has(item.entry.document, missing)) return this.#readAnew()
        break
      }
      case 'COVERED':
        this.outbox.acked(item.entry.id)
        break
      case 'CTR_REUSED':
        return this.#cloned()
      case 'RELAY_BEHIND':
      case 'INCARNATION':
        // All that was sent with it is refused likewise: asking once is enough.
        if (this.#link.state === 'live') this.#follow()
        return
      case 'STOPPED':
      case 'DOCUMENT_DROPPED':
        this.outbox.acked(item.entry.id)
        break
      case 'RATE_LIMITED':
      case 'LIMIT_STORAGE':
        this.#listener.refused(new LendError(refusal.code, refusal.message, { retry: 'later' }))
        this.#retryLater(refusal.retryAfterMs ?? RETRY_MS)
        return
      default:
        this.#listener.failed(
          new LendError('BAD_UPDATE', `the relay refused an edit: ${refusal.message}`, { cause: refusal })
        )
        return
    }
    await this.#replica.commit({ durable: false })
    await this.#pump()
  }

  async #refusedLog(refusal: Refusal): Promise<void> {
    // An offer or a `ready` that came too late: the log's newer life is on its way to us.
    if (refusal.code === 'INCARNATION') return this.#offerRefused()
    const knows = this.#replica.state.cursor !== null
    if (this.#writable && refusal.code === 'NO_ACCESS' && knows) {
      // Our own share, and the relay does not know it: it lost it. What we hold of the list brings it back.
      this.#offer(entryId(new Uint8Array(32)), NO_INCARNATION)
      this.#become({ state: 'refused', refusal })
      return this.#retryLater(RETRY_MS / 10)
    }
    this.#become({ state: 'refused', refusal })
    this.#retryLater(refusal.retryAfterMs ?? RETRY_MS)
  }

  /** The log at the relay lacks what it once acknowledged: read it from the start and publish the difference. */
  async #readAnew(): Promise<void> {
    this.#replica.restart()
    this.outbox.clear()
    this.#replica.set({ republish: true })
    this.#reading.collect()
    await this.#replica.commit({ durable: true })
    this.#follow()
  }

  // --- writing ---

  #flushNow(): void {
    this.#flushTimer = null
    void this.#enqueue(() => this.#flush())
  }

  async #flush(): Promise<void> {
    const { list, state } = this.#replica
    this.#flushedMs = this.#replica.world.now()
    let added = false
    for (const document of this.#documents.values()) {
      const edits = document.unsaved
      const update = document.takeCaptured()
      if (!update) continue
      this.#saving += edits
      // Of a stopped share nothing is published any more; it stays its owner's own document. And while the log is read
      // anew the edit is kept: it is published with all else that the log lacks.
      if (!list || list.stopped || state.republish) this.#replica.change(...document.keep(update))
      else this.outbox.add(document, update, list)
      added = true
    }
    if (!added) return
    await this.#replica.commit({ durable: true })
    this.#saving = 0
    this.#listener.changed()
    await this.#pump()
  }

  async #pump(): Promise<void> {
    if (this.#pumping) {
      this.#pumpAgain = true
      return
    }
    this.#pumping = true
    try {
      do {
        this.#pumpAgain = false
        await this.#pumpOnce()
      } while (this.#pumpAgain)
    } finally {
      this.#pumping = false
    }
  }

  async #pumpOnce(): Promise<void> {
    const { list } = this.#replica
    // Access first: what is written after a removal must not go out before it.
    if (!this.#canWrite || !list || this.#author.busy || list.rotationDue || this.#waitForAccess) return
    if (!this.#writable || this.holdData()) return
    const items = await this.#commit(() => this.outbox.take(list, id => this.#documents.get(hex(id)) ?? null))
    for (let i = 0; i < items.length; ) {
      const part: Uint8Array[] = []
      for (let bytes = 0; i < items.length && (part.length === 0 || bytes < limits.FRAME_BYTES_WANTED); i++) {
        const item = items[i]
        if (!item) break
        part.push(item.entry.bytes)
        bytes += item.entry.bytes.length
        item.sent = true
        item.inFlight = true
      }
      this.#sendAppend(part)
    }
    if (this.outbox.size > 0) return
    if (await this.#commit(() => this.#compact(list))) this.#pumpAgain = true
    else if (!this.#ready && this.unsaved === 0) {
      const { cursor } = this.#replica.state
      if (cursor) this.#ready = this.send({ type: 'ready', log: this.#replica.log, incarnation: cursor.incarnation })
    }
  }

  /** Edits that are taken from the documents meanwhile are called saved once the commit is durable. */
  async #commit<T>(take: () => T): Promise<T> {
    const before = this.unsaved
    const taken = take()
    this.#saving += before - this.unsaved
    await this.#replica.commit({ durable: true })
    this.#saving = 0
    return taken
  }

  /** Set by the owner's side: data waits while an access statement is wanted. */
  holdData: () => boolean = () => false

  #sendAppend(entries: readonly Uint8Array[], incarnation = this.#replica.state.cursor?.incarnation): boolean {
    return this.send({ type: 'append', log: this.#replica.log, incarnation: incarnation ?? NO_INCARNATION, entries })
  }

  /** A snapshot once the entries behind the last one weigh twice as much. */
  #compact(list: ShareList): boolean {
    for (const [key, tail] of this.#tails) {
      const document = this.#documents.get(key)
      if (!document || tail.bytes < TAIL_BYTES_MIN || tail.bytes < 2 * tail.snapshot) continue
      if (document.state().length > limits.SNAPSHOT_BYTES_MAX) continue
      this.#tails.set(key, { bytes: 0, snapshot: tail.snapshot })
      this.outbox.addSnapshot(document, list)
      return true
    }
    return false
  }

  #grow(document: DocumentId, bytes: number, snapshot: boolean): void {
    if (!this.#writable) return
    const key = hex(document)
    const before = this.#tails.get(key) ?? NO_TAIL
    const tail = snapshot ? { bytes: 0, snapshot: bytes } : { ...before, bytes: before.bytes + bytes }
    this.#tails.set(key, tail)
    this.#replica.change(put(KEYS.tail(document), encodeTail(tail)))
  }
}

function closed(): LendError {
  return new LendError('CLOSED', 'this share was closed')
}
