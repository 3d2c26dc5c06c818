/**
 * The account's own log as it is open on this device: which devices the account has, the keys that come from its epochs,
 * the library's documents. It is what proves this account to others. Not here: what the documents say (library-index.ts,
 * items.ts), and how a device comes to be one (account/).
 */
import {
  type AccessRecord,
  type AccountId,
  accountSealingKeys,
  authorDeviceRemoval,
  authorInvite,
  type DeviceId,
  type DeviceKeys,
  type DocumentId,
  decodeEntry,
  documentId,
  encodeLink,
  hex,
  type InviteId,
  inviteId,
  inviteKeys,
  type KeyPair,
  LendError,
  type LibraryList,
  libraryEpochKeys,
  logId,
  type Position,
  SHARE_DOCUMENT,
  type Statement,
  type Suite
} from '@lend/engine'
import type * as Y from 'yjs'
import type { AccountKeys } from '../account/account-keys.ts'
import { asLendError } from '../disk/disk-error.ts'
import type { Change, SealedStore } from '../disk/sealed-store.ts'
import { continueList } from '../log/continuing.ts'
import type { ReplicaDocument } from '../log/document.ts'
import { type Intent, Intents } from '../log/intents.ts'
import { OpenLog } from '../log/open-log.ts'
import { unhex } from '../log/records.ts'
import { Replica } from '../log/replica.ts'
import { Wishes } from '../log/wishes.ts'
import type { RelayConnection } from '../relay/connection.ts'
import type { Invite } from '../share/types.ts'
import type { Disk, Stop, World } from '../world.ts'
import { type IndexPart, LibraryIndex } from './library-index.ts'

export interface LibraryLogOptions {
  readonly suite: Suite
  readonly world: World
  readonly disk: Disk
  /** The account's own store, which the library is kept in. */
  readonly store: SealedStore
  readonly account: AccountId
  readonly device: DeviceKeys
  readonly connection: RelayConnection
  /** What the account is called until the library says so. */
  readonly name: string
  /** The library's first entry, on the device that made the account. */
  readonly created: Uint8Array | null
  readonly listener: LibraryListener
}

interface LibraryListener {
  /** Records of the index have changed, here or on another device. */
  indexed(parts: ReadonlySet<IndexPart>): void
  /** The devices or the keys of the account have changed: every share must hear of it. */
  rekeyed(): void
  /** This device is no device of the account any more. */
  ended(): void
  /** Likewise, because another copy of it became a device of its own: what is here stays. */
  putOut(device: DeviceId): void
  /** The library shows that this device was copied or restored, see LogSync. */
  cloned(device: DeviceId): void
}

/** A device of the account. */
export interface ListedDevice {
  readonly id: DeviceId
  readonly name: string
  readonly isThis: boolean
  readonly addedMs: number
  /** When it was last known to be there, relay time, to the day; null for this one. */
  readonly lastSeenMs: number | null
}

const LINK_PREFIX = 'lend://device'
/** How long a link for a device lives. */
export const DEVICE_INVITE_MS = 30 * 60 * 1000
/** How often a device says that it is there. */
const SEEN_MS = 24 * 60 * 60 * 1000

export class LibraryLog extends OpenLog<LibraryList> implements AccountKeys {
  readonly account: AccountId
  readonly index: LibraryIndex
  readonly #o: LibraryLogOptions
  readonly #intents: Intents
  readonly #wishes: Wishes<LibraryList>
  readonly #documentWatchers = new Set<(id: DocumentId, isLocal: boolean) => void>()
  #proof: readonly Uint8Array[] = []
  #sealing: readonly KeyPair[] = []
  #toldHead = ''
  /** What the account is to be called, said on a device that has never seen the library. */
  #renamed: string | null = null
  #isOut = false

  private constructor(o: LibraryLogOptions, replica: Replica<LibraryList>, document: ReplicaDocument) {
    const { device, connection, account } = o
    super({ replica, device, writable: true, connection, accountProof: () => [] })
    this.#o = o
    this.account = account
    this.index = new LibraryIndex(document.doc, id => replica.isDropped(id))
    this.index.watch(parts => o.listener.indexed(parts))
    this.#intents = new Intents(replica)
    this.#wishes = new Wishes({
      replica,
      sync: this.sync,
      intents: this.#intents,
      decide: {
        due: () => null,
        intent: (intent, list) => this.#decide(intent, list),
        rotation: list => this.#decideRotation(list)
      },
      listener: {
        carriedOut: () => this.#moved(),
        refused: error => this.refused(error),
        failed: error => this.failed(error)
      }
    })
    this.sync.holdData = () => this.#wishes.holdData
  }

  /** @throws LendError STORE_CORRUPT and those of the disk */
  static async open(o: LibraryLogOptions): Promise<LibraryLog> {
    let library: LibraryLog | null = null
    const { suite, world, disk, store, device } = o
    const log = logId(o.account)
    const holder = () => ({ device: library?.device ?? device, recovery: null, invite: null })
    const replica = await Replica.open<LibraryList>({
      kind: 'library',
      suite,
      world,
      disk,
      log,
      writable: true,
      account: null,
      store,
      openKeys: (statements, known) => libraryEpochKeys(suite, log, statements, holder(), known),
      edited: () => library?.sync.edited(),
      refused: error => library?.refused(error),
      moved: (document, author) => library?.documentMoved(document, author),
      dropped: document => library?.documentDropped(document)
    })
    if (!replica.list && o.created) {
      const refusal = replica.foldAccess(decodeEntry(suite, o.created), 1, world.now())
      if (refusal) throw refusal
      await replica.commit({ durable: true })
    }
    const document = await replica.document(SHARE_DOCUMENT)
    library = new LibraryLog(o, replica, document)
    library.#noteName()
    await library.#intents.load()
    await library.sync.load()
    library.#moved()
    return library
  }

  /** Begins to sync. */
  start(): void {
    this.begin()
  }

  get name(): string {
    return this.index.name ?? this.#o.name
  }

  /** Resolves when it is saved here. */
  async rename(name: string): Promise<void> {
    await this.edit(index => {
      index.name = name
    })
    this.#noteName()
  }

  // --- what proves and opens ---

  /** @throws LendError OFFLINE on a device that has never seen the library */
  get library(): LibraryList {
    const { list } = this.replica
    if (!list)
      throw new LendError('OFFLINE', 'the library is not here yet; try again when its relay is reached', {
        retry: 'later'
      })
    return list
  }

  get proof(): readonly Uint8Array[] {
    const { records } = this.replica.history
    if (this.#proof.length !== records.length) this.#proof = records.map(({ entry }) => entry.bytes)
    return this.#proof
  }

  get sealing(): readonly KeyPair[] {
    return this.#sealing
  }

  get devices(): readonly ListedDevice[] {
    const { list, history, world } = this.replica
    return [...(list?.devices.values() ?? [])].map(({ id, entry }) => {
      const isThis = hex(id) === hex(this.device.id)
      const addedMs = history.timeOf(entry) ?? 0
      const seenMs = Math.min(this.index.deviceSeenMs(id) ?? addedMs, world.now())
      return { id, name: this.index.deviceName(id) ?? '', isThis, addedMs, lastSeenMs: isThis ? null : seenMs }
    })
  }

  // --- documents ---

  /** One document of the library, live until it is destroyed. @throws LendError CLOSED, STORE_CORRUPT */
  hold(id: DocumentId): Promise<Y.Doc> {
    this.assertUsable()
    return this.replica.hold(id)
  }

  /** Looks at a document; what was seen is durable here. See LogSync. */
  within<T>(id: DocumentId, run: (doc: Y.Doc, positions: ReadonlyMap<string, Position>) => T): Promise<T> {
    return this.sync.within(id, run)
  }

  /** Device hex → how far, of a document that need not be open. */
  async positions(id: DocumentId): Promise<ReadonlyMap<string, Position>> {
    return (await this.replica.ledger(id)).positions
  }

  /** @param moved called once something of a document is kept here that was not; `isLocal`: by this device */
  watchDocuments(moved: (id: DocumentId, isLocal: boolean) => void): Stop {
    this.#documentWatchers.add(moved)
    return () => this.#documentWatchers.delete(moved)
  }

  /** Nothing that another device of the account wrote is missing here, and nothing of this one there. */
  get isSettled(): boolean {
    return this.status.state === 'synced' && !this.waits
  }

  /** The account has no other device. */
  get isAlone(): boolean {
    return (this.replica.list?.devices.size ?? 1) === 1
  }

  private documentMoved(id: DocumentId, author: DeviceId): void {
    for (const moved of [...this.#documentWatchers]) moved(id, hex(author) === hex(this.device.id))
  }

  /** What the index may still say of its item counts no more. */
  private documentDropped(id: DocumentId): void {
    if (!this.index.dropped(id)) return
    for (const moved of [...this.#documentWatchers]) moved(SHARE_DOCUMENT, false)
  }

  /** Takes a document out of the library for ever; resolves when that is saved here. */
  async drop(id: DocumentId): Promise<void> {
    this.assertUsable()
    await this.sync.drop(id)
  }

  /** The document beside an item that never leaves the library. */
  privateDocument(item: DocumentId): DocumentId {
    return documentId(this.replica.suite.hash('private document', item).slice(0, 16))
  }

  /** A new document's id. */
  newDocument(): DocumentId {
    return documentId(this.replica.world.dice(16))
  }

  /** Resolves when every edit up to now is durable here. */
  saved(): Promise<void> {
    return this.sync.saved()
  }

  /** Edits the index; resolves when that is saved here. */
  async edit(run: (index: LibraryIndex) => void): Promise<void> {
    this.assertUsable()
    this.index.edit(() => run(this.index))
    await this.saved()
  }

  // --- devices ---

  /** A link for one more device: one use, half an hour. Resolves when it is saved here. */
  async inviteDevice(): Promise<Invite> {
    this.assertUsable()
    const { world, suite } = this.replica
    const secret = world.dice(32)
    const expiresMs = world.now() + DEVICE_INVITE_MS
    await this.#want({ type: 'invite', secret, uses: 1, expiresMs, untilMs: null, bound: null })
    return this.#inviteView(inviteKeys(suite, secret).id, secret, expiresMs)
  }

  /** Takes a device out of the account; resolves when that is saved here. */
  async removeDevice(device: DeviceId, reason: 'device-removed' | 'cloned' = 'device-removed'): Promise<void> {
    this.assertUsable()
    await this.#want({ type: 'remove-device', device, reason })
  }

  /** The device takes itself out; resolves when the relay has it. @throws LendError, Refusal */
  async leave(): Promise<void> {
    await this.sync.write(list => (list.devices.has(hex(this.device.id)) ? { type: 'leave' } : null))
  }

  /**
   * This device goes on as a fresh one, which the list has already; the one that it was goes out. In one batch with
   * `changes`.
   * @param records of the list, as its relay has just shown it
   * @throws LendError RELAY_BEHIND when that list lacks what this one has
   */
  async become(device: DeviceKeys, records: readonly AccessRecord[], changes: readonly Change[]): Promise<void> {
    const { replica } = this
    const before = this.device.id
    continueList(replica, records)
    await this.renew(device, async () => {
      replica.change(...changes)
      replica.openMoreKeys()
      await this.#intents.add({ type: 'remove-device', device: before, reason: 'cloned' })
    })
    this.#toldHead = ''
    this.#moved()
  }

  cloned(device: DeviceId): void {
    this.#o.listener.cloned(device)
  }

  // --- what sync says ---

  async listSettled(list: LibraryList): Promise<void> {
    const gone = list.devices.has(hex(this.device.id)) ? null : list.gone.get(hex(this.device.id))
    if (gone?.reason === 'cloned') {
      void this.sync.disconnect()
      this.#o.listener.putOut(this.device.id)
      return
    }
    if (gone && !this.#isOut) {
      this.#isOut = true
      this.sync.halt()
      this.#o.listener.ended()
      return
    }
    this.#moved()
    void this.#wishes.work()
  }

  /** The relay lost some of the list: who was out goes out again. An owner device never goes back. */
  async listRetold(before: LibraryList, now: LibraryList): Promise<void> {
    const again: Intent[] = []
    for (const { id } of now.devices.values()) {
      if (before.gone.has(hex(id))) again.push({ type: 'remove-device', device: id, reason: 'device-removed' })
    }
    for (const [key, invite] of now.invites) {
      const known = before.invites.get(key)
      if (known && known.state !== 'open' && invite.state === 'open') {
        again.push({ type: 'void', invite: inviteId(invite.id) })
      }
    }
    await this.#intents.add(...again)
  }

  async receipts(): Promise<void> {}

  /** The relay knows this device as one of the account: once a day that is said to the others. */
  heard(timeMs: number): void {
    const { list, history } = this.replica
    const { id } = this.device
    const listed = list?.devices.get(hex(id))
    if (!listed) return
    const seenMs = this.index.deviceSeenMs(id) ?? history.timeOf(listed.entry) ?? 0
    // Also after a relay's clock that was ahead.
    if (Math.abs(timeMs - seenMs) >= SEEN_MS) this.index.edit(() => this.index.seeDevice(id, timeMs))
  }

  override changed(): void {
    super.changed()
    void this.#wishes?.work()
    if (this.sync?.link.state !== 'live') return
    this.#dropAgain()
    this.#nameAgain()
  }

  override async close(): Promise<void> {
    this.#wishes.close()
    await super.close()
  }

  /** Nothing more is read or written: all of it is about to be destroyed. */
  letGo(): Promise<void> {
    this.#wishes.close()
    return this.halt()
  }

  protected get waits(): boolean {
    return !this.replica.list || this.#wishes.wait
  }

  protected override get outlives(): boolean {
    return true
  }

  protected override get standing() {
    const base = super.standing
    const { cursor, republish } = this.replica.state
    const isNew = cursor === null && !republish
    return { ...base, unsent: base.unsent + this.#intents.all.length + (isNew ? 1 : 0) }
  }

  /** The list may have grown: keys and devices are as it says. */
  #moved(): void {
    const { list, suite } = this.replica
    if (!list || hex(list.head) === this.#toldHead) return
    this.#toldHead = hex(list.head)
    this.#sealing = [...this.replica.epochKeys.values()].map(key => accountSealingKeys(suite, key))
    this.#o.listener.rekeyed()
    this.emit('change', undefined)
  }

  /** A name that was set without a look at the one before may lose against that: it is set again once the library is here. */
  #noteName(): void {
    const isUnseen = this.replica.state.head === null && !this.#o.created
    if (isUnseen) this.#renamed = this.index.name
  }

  #nameAgain(): void {
    const name = this.#renamed
    this.#renamed = null
    if (name === null || name === this.index.name) return
    this.rename(name).catch(error => this.refused(asLendError(error)))
  }

  /** Of what was dropped a relay that lost the drop has something again. */
  #dropAgain(): void {
    for (const document of this.replica.dropsDue) {
      const id = documentId(unhex(document))
      if (!this.sync.isOnItsWay(id)) this.sync.drop(id).catch(error => this.failed(error))
    }
  }

  async #want(intent: Intent): Promise<void> {
    await this.#intents.add(intent)
    this.changed()
  }

  #decide(intent: Intent, list: LibraryList): Statement | null {
    const { suite, world } = this.replica
    const epochKey = this.#epochKey(list)
    switch (intent.type) {
      case 'invite': {
        if (list.invites.has(hex(inviteKeys(suite, intent.secret).id))) return null
        const preview = { owner: this.index.name ?? '', title: '', items: {}, presence: false }
        return authorInvite(suite, { ...intent, preview, epochKey }, world.dice)
      }
      case 'void':
        return list.invites.get(hex(intent.invite))?.state === 'open' ? { type: 'void', invite: intent.invite } : null
      case 'remove-device': {
        if (!list.devices.has(hex(intent.device))) return null
        const { device, reason } = intent
        return authorDeviceRemoval(suite, list, { who: [device], reason, epochKey }, world.dice)?.statement ?? null
      }
      default:
        return null
    }
  }

  #decideRotation(list: LibraryList): Statement | null {
    const { suite, world } = this.replica
    const o = { who: [], reason: 'rotation', epochKey: this.#epochKey(list) } as const
    return authorDeviceRemoval(suite, list, o, world.dice)?.statement ?? null
  }

  #epochKey(list: LibraryList): Uint8Array {
    const key = this.replica.epochKey(list.epoch)
    if (!key) throw new LendError('STORE_CORRUPT', 'this device lacks the key of its own library')
    return key
  }

  #inviteView(id: InviteId, secret: Uint8Array, expiresMs: number): Invite {
    const { replica, connection } = this
    const log = this.id
    return {
      id: hex(id),
      /** Null while the relay was never reached: a link names its key. */
      get link() {
        const { url: relayUrl, relayKey } = connection
        return relayKey && `${LINK_PREFIX}#${encodeLink({ kind: 'device', relayUrl, relayKey, log, secret })}`
      },
      expires: new Date(expiresMs),
      uses: 1,
      usedBy: [],
      get state() {
        const listed = replica.list?.invites.get(hex(id))
        if (!listed) return 'pending'
        return listed.state === 'open' && replica.world.now() >= expiresMs ? 'expired' : listed.state
      },
      void: () => this.#want({ type: 'void', invite: id })
    }
  }
}
