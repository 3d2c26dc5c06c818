/**
 * A log as this device keeps it: access list, keys, positions, documents, and where it stands towards its relay. What is
 * in memory here is on disk with the next `commit`; what must not be lost is committed before anything else happens.
 * Not here: talking to the relay (sync.ts).
 */
import {
  AccessHistory,
  type AccessList,
  type AccountId,
  type DeviceId,
  type DocumentId,
  decodeEntry,
  type Entry,
  hasGap,
  hex,
  LendError,
  type LogId,
  type Position,
  Reader,
  type Refusal,
  type ShareList,
  START,
  type Statement,
  type Suite,
  same,
  Writer
} from '@lend/engine'
import type * as Y from 'yjs'
import { RestingStore } from '../disk/resting-store.ts'
import type { Change, RecordStore, SealedStore } from '../disk/sealed-store.ts'
import { replicaKeyFile, replicaName } from '../disk/wipe.ts'
import type { Disk, World } from '../world.ts'
import type { ReplicaDocument } from './document.ts'
import { OpenDocuments } from './open-documents.ts'
import {
  decodeAccess,
  decodePast,
  decodeState,
  del,
  documentOf,
  encodeAccess,
  encodeLedger,
  encodePast,
  encodeState,
  HEAD,
  KEYS,
  type Ledger,
  NEW_REPLICA,
  put,
  type ReplicaState,
  type Tail
} from './records.ts'
import { Renewal } from './renewal.ts'
import { endCounts, mayReplace, NO_PAST, type Past, pastAfter, pastOf } from './retelling.ts'

export interface ReplicaOptions<L extends AccessList = ShareList> {
  readonly kind: L['kind']
  readonly suite: Suite
  readonly world: World
  readonly disk: Disk
  readonly log: LogId
  readonly writable: boolean
  /** Whose membership it is about; null for a library, which has no members. */
  readonly account: AccountId | null
  /**
   * Epoch → key, as far as they can be opened here now, see epochKeys.
   * @param known what was opened before
   */
  readonly openKeys: (
    statements: readonly Statement[],
    known: ReadonlyMap<number, Uint8Array>
  ) => Map<number, Uint8Array>
  /** The account's own: a library is kept in it, a share has a database of its own and rests in it. Who gave it closes it. */
  readonly store: SealedStore
  /** At each local edit, inside the app's own call. */
  readonly edited: () => void
  /** An entry of this document is kept here, this device's own or another's. */
  readonly moved?: (document: DocumentId, author: DeviceId) => void
  /** This document is no more, and its Y.Doc is destroyed. An owner's device is told again once the log has nothing of it. */
  readonly dropped?: (document: DocumentId) => void
  readonly refused: (error: LendError) => void
}

export class Replica<L extends AccessList = ShareList> {
  readonly log: LogId
  readonly suite: Suite
  readonly world: World
  readonly store: RecordStore
  /** Its own database; null when it has none. */
  readonly #own: RestingStore | null
  readonly #o: ReplicaOptions<L>
  #history: AccessHistory
  /** The list as the relay tells it anew, until all of it is here. */
  #retold: AccessHistory | null = null
  #past: Past = NO_PAST
  #keys = new Map<number, Uint8Array>()
  /** How many access entries the keys were collected from. */
  #keysOf = 0
  readonly #documents: OpenDocuments
  /** Documents with edits that are in their Y.Doc and nowhere else yet. */
  readonly edited = new Set<ReplicaDocument>()
  /** document/device in hex → the first ctr that is missing before entries that are here. */
  readonly #gaps = new Map<string, number>()
  /** Documents that are no more, by hex → the log has something of it still, so its drop is to be written. */
  readonly #dropped = new Map<string, boolean>()
  readonly #renewal: Renewal
  #state: ReplicaState = NEW_REPLICA
  #changes: Change[] = []
  /** What is told once those are on disk. */
  #news = new Map<string, () => void>()
  /** Batches on their way to disk. */
  #batches = 0
  #writing: Promise<void> = Promise.resolve()

  private constructor(o: ReplicaOptions<L>, own: RestingStore | null) {
    const store = own ?? o.store
    this.#o = o
    this.log = o.log
    this.suite = o.suite
    this.world = o.world
    this.store = store
    this.#own = own
    this.#history = new AccessHistory(o.suite)
    this.#renewal = new Renewal(o.world, signal => this.#renew(signal))
    this.#documents = new OpenDocuments(store, {
      writable: o.writable,
      reading: () => this.#state.readings,
      clientId: () => this.#clientId(),
      refused: o.refused,
      edited: document => {
        this.edited.add(document)
        o.edited()
      }
    })
  }

  /** @throws LendError STORE_CORRUPT and those of the disk */
  static async open<L extends AccessList = ShareList>(o: ReplicaOptions<L>): Promise<Replica<L>> {
    const replica = new Replica<L>(o, o.kind === 'share' ? await openOwn(o) : null)
    try {
      await replica.#load()
    } catch (error) {
      replica.#renewal.stop()
      await replica.#own?.close({ rest: false })
      throw error
    }
    return replica
  }

  get history(): AccessHistory {
    return this.#history
  }

  /** Null until the log's `create` is here. */
  get list(): L | null {
    const { list } = this.#history
    return list?.kind === this.#o.kind ? (list as L) : null
  }

  /** This device is one of the owner's. */
  get writable(): boolean {
    return this.#o.writable
  }

  get state(): ReplicaState {
    return this.#state
  }

  /** The 32-byte key of an epoch, when this account was given it. */
  epochKey(epoch: number): Uint8Array | null {
    return this.epochKeys.get(epoch) ?? null
  }

  /** Epoch → key, of all that this account was given. Epochs need not be dense. */
  get epochKeys(): ReadonlyMap<number, Uint8Array> {
    if (this.#keysOf !== this.#history.records.length) this.#collectKeys()
    return this.#keys
  }

  /** Who holds it can open more than before. */
  openMoreKeys(): void {
    this.#keysOf = 0
  }

  /** Which entries of a document are here; loads what `position` and its kin answer from. */
  ledger(document: DocumentId): Promise<Ledger> {
    return this.#documents.ledger(document)
  }

  /** Of a document that is open or whose ledger is loaded, as all that follows on positions. */
  position(document: DocumentId, device: DeviceId): Position {
    return this.positions(document).get(hex(device)) ?? START
  }

  /** Device hex → position, of one document. */
  positions(document: DocumentId): ReadonlyMap<string, Position> {
    return this.#documents.known(document).positions
  }

  /** What is missing between entries that are here, in one word; empty when nothing is. At the head nothing may be. */
  get gaps(): string {
    return [...this.#gaps]
      .map(([place, ctr]) => `${place}/${ctr}`)
      .sort()
      .join()
  }

  /** One document, opened when it is not. Nobody may keep it longer than until the next `rest`, see `hold`. */
  document(id: DocumentId): Promise<ReplicaDocument> {
    return this.#documents.document(id)
  }

  /** Null when it is not open. */
  opened(id: DocumentId): ReplicaDocument | null {
    return this.#documents.opened(id)
  }

  /** The live Y.Doc of a document for who keeps it, until it is destroyed. */
  hold(id: DocumentId): Promise<Y.Doc> {
    return this.#documents.hold(id)
  }

  /** All documents of which something is on disk. */
  async documents(): Promise<DocumentId[]> {
    const ids: DocumentId[] = []
    for await (const { key } of this.store.range('pieces/')) ids.push(documentOf(key))
    return ids
  }

  /** Closes documents that nobody needs. To be called between two things that are done with the log, never within one. */
  rest(): void {
    if (this.#changes.length === 0 && this.#batches === 0) this.#documents.rest()
  }

  set(state: Partial<ReplicaState>): void {
    this.#state = { ...this.#state, ...state }
    this.change(put(KEYS.state, encodeState(this.#state)))
  }

  /** Folds an access entry; its signature is checked. Known ones are passed over. */
  foldAccess(entry: Entry, seq: number, timeMs: number): Refusal | null {
    const history = this.#retold ?? this.#history
    if (history.has(entry.id)) return null
    // Of a list that is told anew the relay's time is that of the telling.
    const firstMs = (this.#retold && this.#history.timeOf(entry.id)) ?? timeMs
    const refusal = history.fold(entry, seq, firstMs, { timeMs: null, signatures: true })
    if (refusal || this.#retold) return refusal
    this.change(put(KEYS.access(this.#history.records.length), encodeAccess({ seq, timeMs, bytes: entry.bytes })))
    this.set({ accessCount: this.#history.records.length })
    return null
  }

  setPosition(document: DocumentId, device: DeviceId, position: Position): void {
    const ledger = this.#documents.known(document)
    ledger.positions.set(hex(device), position)
    this.#news.set(`${hex(document)}/${hex(device)}`, () => this.#o.moved?.(document, device))
    this.#keepLedger(document, ledger)
    const place = `${hex(document)}/${hex(device)}`
    if (hasGap(position)) {
      this.#gaps.set(place, position.reached + 1)
      this.change(put(KEYS.gap(document, hex(device)), new Writer().u53(position.reached + 1).finish()))
    } else if (this.#gaps.delete(place)) this.change(del(KEYS.gap(document, hex(device))))
  }

  /** This document is no more: nothing of it is read or written any more. */
  isDropped(document: DocumentId): boolean {
    return this.#dropped.has(hex(document))
  }

  /** Hex ids of documents that are no more and of which the log has something still. */
  get dropsDue(): string[] {
    return [...this.#dropped].filter(([, isDue]) => isDue).map(([document]) => document)
  }

  /** @param isDue the log has something of it, in spite of its drop */
  setDropDue(document: DocumentId, isDue: boolean): void {
    this.#dropped.set(hex(document), isDue)
    this.change(put(KEYS.dropped(document), new Writer().flag(isDue).finish()))
  }

  /**
   * A document is no more: all that is queued is committed, and all that was kept of it is deleted; its bytes leave the
   * disk soon after.
   * @param o.isDue the log does not have its drop yet
   */
  async drop(document: DocumentId, o: { isDue: boolean }): Promise<void> {
    const key = hex(document)
    const isNews = !this.#dropped.has(key)
    this.setDropDue(document, o.isDue)
    await this.#documents.forget(document)
    for (const edited of this.edited) if (same(edited.id, document)) this.edited.delete(edited)
    for (const place of this.#gaps.keys()) if (place.startsWith(`${key}/`)) this.#gaps.delete(place)
    // What is queued of it, what is being written, and what is on disk.
    this.#changes = this.#changes.filter(change => !isOf(key, change.key))
    await this.#writing
    const many = await Promise.all([`piece/${key}/`, `gap/${key}/`].map(prefix => this.store.keys(prefix)))
    for (const name of many.flat()) this.change(del(name))
    this.change(del(KEYS.pieces(document)), del(KEYS.ledger(document)), del(KEYS.mirrored(document)))
    this.#news.set(key, () => this.#o.dropped?.(document))
    // In a library, which is kept with all that the account keeps, the bytes are let be.
    if (isNews && this.#own) {
      this.change(put(KEYS.renewal, new Uint8Array(0)))
      this.#renewal.due()
    }
    await this.commit({ durable: true })
  }

  setTail(document: DocumentId, tail: Tail): void {
    const ledger = this.#documents.known(document)
    ledger.tail = tail
    this.#keepLedger(document, ledger)
  }

  /**
   * Begins to read the log from its start, after the relay lost part of it: its access list is taken anew, and counts
   * once it is all here. Documents stay.
   */
  restart(): void {
    for (const place of this.#gaps.keys()) this.change(del(`gap/${place}`))
    this.#gaps.clear()
    this.#documents.forgetLedgers()
    this.#retold = new AccessHistory(this.suite)
    // The head is still shown: by it a relay that lost the whole log knows that this device was served.
    this.set({ cursor: null, readings: this.#state.readings + 1 })
  }

  /** True when this access entry is here: of the list that is being told anew, or of the list. */
  has(id: Uint8Array): boolean {
    return (this.#retold ?? this.#history).has(id)
  }

  /** A list is being told anew and does not count yet. */
  get isRetold(): boolean {
    return this.#retold !== null
  }

  /** Whether what the list says of the end of this account's membership is one, see retelling.ts. */
  get endCounts(): boolean {
    return endCounts(this.#past, this.#history, this.#o.account)
  }

  /** The retold list is whole: it counts from now on. @returns the list that counted before, null when none was retold */
  settleAccess(): L | null {
    const { account } = this.#o
    if (!this.#retold) return null
    const past = pastOf(this.#past, this.#history, account)
    if (!mayReplace(past, this.#history, this.#retold, account)) return null
    this.#past = pastAfter(past, this.#history, this.#retold, account)
    this.change(put(KEYS.past, encodePast(this.#past)))
    const before = this.list
    for (const i of this.#history.records.keys()) this.change(del(KEYS.access(i + 1)))
    this.#history = this.#retold
    this.#retold = null
    // An epoch of another list may have another key.
    this.#keys = new Map()
    this.#keysOf = 0
    for (const [i, { seq, timeMs, entry }] of this.#history.records.entries()) {
      this.change(put(KEYS.access(i + 1), encodeAccess({ seq, timeMs, bytes: entry.bytes })))
    }
    this.set({ accessCount: this.#history.records.length })
    return before
  }

  /** Queues a change for the next commit. Later changes of one key win. */
  change(...changes: Change[]): void {
    this.#changes.push(...changes)
  }

  /** Writes all queued changes as one batch, after the batches before it. */
  commit(o: { durable: boolean }): Promise<void> {
    const changes = [...new Map(this.#changes.map(change => [change.key, change])).values()]
    this.#changes = []
    const news = [...this.#news.values()]
    this.#news.clear()
    this.#batches++
    this.#renewal.active()
    const written = this.#writing
      .then(() => this.store.write(changes, o))
      .finally(() => this.#batches--)
      .then(() => {
        for (const tell of news) tell()
      })
    // Who wrote these hears of it; the next batch stands for itself.
    this.#writing = written.catch(() => {})
    return written
  }

  /** Closes the disk; documents of the app are destroyed. @param o.keep false when all of it is about to be destroyed */
  async close(o: { keep: boolean } = { keep: false }): Promise<void> {
    if (o.keep) await this.#renewal.finish()
    this.#renewal.stop()
    await this.#writing
    await this.#documents.close()
    await this.#own?.close({ rest: o.keep })
  }

  async #load(): Promise<void> {
    const state = await this.store.get(KEYS.state)
    if (state) this.#state = decodeState(state)
    const past = await this.store.get(KEYS.past)
    if (past) this.#past = decodePast(past)
    for await (const { value } of this.store.range('access/')) {
      const { seq, timeMs, bytes } = decodeAccess(value)
      const refusal = this.#history.fold(decodeEntry(this.suite, bytes), seq, timeMs, {
        timeMs: null,
        signatures: false
      })
      if (refusal) throw new LendError('STORE_CORRUPT', 'the access list on this device is damaged', { cause: refusal })
    }
    if (this.#history.records.length !== this.#state.accessCount) {
      throw new LendError('STORE_CORRUPT', 'an access entry is missing on this device')
    }
    for await (const { key, value } of this.store.range('gap/')) {
      this.#gaps.set(key.slice('gap/'.length), new Reader(value, 'BAD_FRAME', 'record').u53())
    }
    for await (const { key, value } of this.store.range('dropped/')) {
      this.#dropped.set(key.slice('dropped/'.length), new Reader(value, 'BAD_FRAME', 'record').flag())
    }
    if (this.#own && (await this.store.get(KEYS.renewal))) {
      this.#renewal.due()
      await this.#renewal.finish()
    }
  }

  /** Moves to a fresh directory, one after the other with what is written. */
  #renew(signal: AbortSignal): Promise<void> {
    const renewed = this.#writing.then(() => this.store.renew(KEYS.renewal, signal))
    this.#writing = renewed.catch(() => {})
    return renewed
  }

  #keepLedger(document: DocumentId, ledger: Ledger): void {
    this.change(put(KEYS.ledger(document), encodeLedger(this.#state.readings, ledger)))
  }

  #collectKeys(): void {
    const statements = this.#history.records.map(record => record.statement)
    this.#keysOf = statements.length
    this.#keys = this.#o.openKeys(statements, this.#keys)
  }

  /** Fresh for every opening, never stored: two documents with one client id diverge for ever. */
  #clientId(): number {
    const bytes = this.world.dice(4)
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  }
}

function openOwn({ suite, world, disk, log, store }: ReplicaOptions<AccessList>): Promise<RestingStore> {
  const name = hex(log)
  const place = { suite, dice: world.dice, disk, name: replicaName(name), keyFile: replicaKeyFile(name) }
  return RestingStore.open(place, { keeper: store, name, head: HEAD, light: KEYS.state, timer: world.timer })
}

/** Whether a record is about this document, by hex id, and says what it is. */
function isOf(document: string, key: string): boolean {
  const [kind, id] = key.split('/')
  return id === document && kind !== 'dropped'
}
