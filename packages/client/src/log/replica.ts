/**
 * A log as this device keeps it: access list, keys, positions, documents, and where it stands towards its relay. What is
 * in memory here is on disk with the next `commit`; what must not be lost is committed before anything else happens.
 * Not here: talking to the relay (sync.ts).
 */
import {
  AccessHistory,
  type DeviceId,
  type DocumentId,
  decodeEntry,
  type Entry,
  epochKeys,
  hex,
  type KeyHolder,
  LendError,
  type LogId,
  type Position,
  type Refusal,
  type ShareList,
  START,
  type Suite,
  same
} from '@lend/engine'
import { type Change, SealedStore } from '../disk/sealed-store.ts'
import { replicaKeyFile, replicaName } from '../disk/wipe.ts'
import type { Disk, World } from '../world.ts'
import { ReplicaDocument } from './document.ts'
import {
  decodeAccess,
  decodePosition,
  decodeState,
  del,
  encodeAccess,
  encodePosition,
  encodeState,
  KEYS,
  NEW_REPLICA,
  positionOf,
  put,
  type ReplicaState
} from './records.ts'

export interface ReplicaOptions {
  readonly suite: Suite
  readonly world: World
  readonly disk: Disk
  readonly log: LogId
  readonly writable: boolean
  readonly holder: KeyHolder
  /** At each local edit, inside the app's own call. */
  readonly edited: () => void
  readonly refused: (error: LendError) => void
}

export class Replica {
  readonly log: LogId
  readonly suite: Suite
  readonly world: World
  readonly store: SealedStore
  readonly #o: ReplicaOptions
  #history: AccessHistory
  /** The list as the relay tells it anew, until all of it is here. */
  #retold: AccessHistory | null = null
  #keys = new Map<number, Uint8Array>()
  /** How many access entries the keys were collected from. */
  #keysOf = 0
  #positions = new Map<string, Map<string, Position>>()
  readonly #documents = new Map<string, Promise<ReplicaDocument>>()
  #state: ReplicaState = NEW_REPLICA
  #changes: Change[] = []
  #writing: Promise<void> = Promise.resolve()

  private constructor(o: ReplicaOptions, store: SealedStore) {
    this.#o = o
    this.log = o.log
    this.suite = o.suite
    this.world = o.world
    this.store = store
    this.#history = new AccessHistory(o.suite)
  }

  /** @throws LendError STORE_CORRUPT and those of the disk */
  static async open(o: ReplicaOptions): Promise<Replica> {
    const name = hex(o.log)
    const store = await SealedStore.open({
      suite: o.suite,
      dice: o.world.dice,
      disk: o.disk,
      name: replicaName(name),
      keyFile: replicaKeyFile(name)
    })
    const replica = new Replica(o, store)
    try {
      await replica.#load()
    } catch (error) {
      await store.close()
      throw error
    }
    return replica
  }

  get history(): AccessHistory {
    return this.#history
  }

  /** Null until the share's `create` is here. */
  get list(): ShareList | null {
    const { list } = this.#history
    return list?.kind === 'share' ? list : null
  }

  get state(): ReplicaState {
    return this.#state
  }

  /** The 32-byte key of an epoch, when this account was given it. */
  epochKey(epoch: number): Uint8Array | null {
    if (this.#keysOf !== this.#history.records.length) this.#collectKeys()
    return this.#keys.get(epoch) ?? null
  }

  position(document: DocumentId, device: DeviceId): Position {
    return this.#positions.get(hex(document))?.get(hex(device)) ?? START
  }

  /** Device hex → position, of one document. */
  positions(document: DocumentId): ReadonlyMap<string, Position> {
    return this.#positions.get(hex(document)) ?? new Map()
  }

  allPositions(): ReadonlyMap<string, ReadonlyMap<string, Position>> {
    return this.#positions
  }

  /** One live document, opened when first asked for. */
  document(id: DocumentId): Promise<ReplicaDocument> {
    const key = hex(id)
    let opening = this.#documents.get(key)
    if (!opening) {
      opening = ReplicaDocument.open(this.store, id, this.#clientId(), {
        writable: this.#o.writable,
        edited: this.#o.edited,
        refused: this.#o.refused
      })
      this.#documents.set(key, opening)
    }
    return opening
  }

  set(state: Partial<ReplicaState>): void {
    this.#state = { ...this.#state, ...state }
    this.change(put(KEYS.state, encodeState(this.#state)))
  }

  /** Folds an access entry; its signature is checked. Known ones are passed over. */
  foldAccess(entry: Entry, seq: number, timeMs: number): Refusal | null {
    const history = this.#retold ?? this.#history
    if (history.has(entry.id)) return null
    const refusal = history.fold(entry, seq, timeMs, { timeMs: null, signatures: true })
    if (refusal || this.#retold) return refusal
    this.change(put(KEYS.access(this.#history.records.length), encodeAccess({ seq, timeMs, bytes: entry.bytes })))
    this.set({ accessCount: this.#history.records.length })
    return null
  }

  setPosition(document: DocumentId, device: DeviceId, position: Position): void {
    const key = hex(document)
    const devices = this.#positions.get(key) ?? new Map<string, Position>()
    devices.set(hex(device), position)
    this.#positions.set(key, devices)
    this.change(put(KEYS.position(document, hex(device)), encodePosition(position)))
  }

  /**
   * Begins to read the log from its start, after the relay lost part of it: its access list is taken anew, and counts
   * once it is all here. Documents stay.
   */
  restart(): void {
    for (const [document, devices] of this.#positions) {
      for (const device of devices.keys()) this.change({ key: `position/${document}/${device}`, value: null })
    }
    this.#positions = new Map()
    this.#retold = new AccessHistory(this.suite)
    // The head is still shown: by it a relay that lost the whole log knows that this device was served.
    this.set({ cursor: null })
  }

  /** True when this access entry is here: of the list that is being told anew, or of the list. */
  has(id: Uint8Array): boolean {
    return (this.#retold ?? this.#history).has(id)
  }

  /** A list is being told anew and does not count yet. */
  get isRetold(): boolean {
    return this.#retold !== null
  }

  /** The retold list is whole: it counts from now on. @returns the list that counted before, null when none was retold */
  settleAccess(): ShareList | null {
    // Nothing was told yet, or less than what this device has verified: a relay that goes back takes nothing from us.
    const told = this.#retold?.list?.head
    const ours = this.#history.list?.head
    if (!this.#retold || !told || (ours && !same(told, ours) && this.#history.has(told))) return null
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
    const written = this.#writing.then(() => this.store.write(changes, o))
    // Who wrote these hears of it; the next batch stands for itself.
    this.#writing = written.catch(() => {})
    return written
  }

  /** Closes the disk; documents of the app are destroyed. */
  async close(): Promise<void> {
    await this.#writing
    for (const opening of this.#documents.values()) (await opening.catch(() => null))?.destroy()
    await this.store.close()
  }

  async #load(): Promise<void> {
    const state = await this.store.get(KEYS.state)
    if (state) this.#state = decodeState(state)
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
    for await (const { key, value } of this.store.range('position/')) {
      const { document, device } = positionOf(key)
      const devices = this.#positions.get(hex(document)) ?? new Map<string, Position>()
      devices.set(device, decodePosition(value))
      this.#positions.set(hex(document), devices)
    }
  }

  #collectKeys(): void {
    const statements = this.#history.records.map(record => record.statement)
    this.#keysOf = statements.length
    this.#keys = epochKeys(this.suite, this.log, statements, this.#o.holder, this.#keys)
  }

  /** Fresh for every opening, never stored: two documents with one client id diverge for ever. */
  #clientId(): number {
    const bytes = this.world.dice(4)
    return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  }
}
