/**
 * Edits on their way to the relay. An edit, its entry and its ctr are written in one batch, then sent: signed once, the
 * bytes kept, those bytes sent again until they are acknowledged. Bytes that were never sent may be replaced (later edits
 * merge in, a new epoch began); bytes that may have been sent only after the relay refused exactly them.
 */
import {
  type AccessList,
  type Cover,
  coversOf,
  type DeviceKeys,
  type DocumentId,
  dataKey,
  decodeEntry,
  deviceId,
  type Entry,
  type EntryId,
  hex,
  limits,
  type Position,
  same,
  sealSnapshot,
  sealUpdate,
  signEntry
} from '@lend/engine'
import type { ReplicaDocument } from './document.ts'
import { mergeAll } from './document.ts'
import { decodeOutgoing, del, encodeOutgoing, KEYS, numberOf, put, unhex } from './records.ts'
import type { Replica } from './replica.ts'

/** Merged content over which the next edit gets an entry of its own. */
const MERGED_BYTES_MAX = 64 * 1024
/** Entries that may be on their way at a time. */
const WINDOW = 256

export interface Outgoing {
  readonly n: number
  entry: Entry
  content: Uint8Array
  /** May have been sent, by this process or one before. */
  sent: boolean
  inFlight: boolean
  /** The relay refused exactly these bytes for their epoch or covers: seal again. */
  stale: boolean
}

export class Outbox {
  readonly #replica: Replica<AccessList>
  #device: DeviceKeys
  /** In the order in which they were made. */
  readonly #items = new Set<Outgoing>()
  /** The same, of each document; by hex id. */
  readonly #byDocument = new Map<string, readonly Outgoing[]>()
  #next = 1

  constructor(replica: Replica<AccessList>, device: DeviceKeys) {
    this.#replica = replica
    this.#device = device
  }

  async load(): Promise<void> {
    for await (const { key, value } of this.#replica.store.range('outbox/')) {
      const { entry, content } = decodeOutgoing(value)
      const n = numberOf(key)
      this.#put({
        n,
        entry: decodeEntry(this.#replica.suite, entry),
        content,
        sent: true,
        inFlight: false,
        stale: false
      })
      this.#next = n + 1
    }
  }

  get size(): number {
    return this.#items.size
  }

  get inFlight(): number {
    let count = 0
    for (const item of this.#items) if (item.inFlight) count++
    return count
  }

  /** Puts an edit in, with the changes that keep its document; nothing is on disk before the replica's next commit. */
  add(document: ReplicaDocument, update: Uint8Array, list: AccessList): void {
    this.#replica.change(...document.keep(update))
    const last = this.of(document.id).at(-1)
    if (last && !last.sent && last.entry.kind === 'update' && last.content.length + update.length <= MERGED_BYTES_MAX) {
      this.#seal(last, mergeAll([last.content, update]), list, document)
      return
    }
    this.#append(document, update, list)
  }

  /** Puts a snapshot in, of all that this device has of the document right now. */
  addSnapshot(document: ReplicaDocument, list: AccessList): void {
    this.#append(document, null, list)
  }

  /**
   * Puts the document's drop in, in place of what was never sent of it. The ledger of the document must be loaded, and is
   * not written: nothing is kept of what is dropped.
   */
  addDrop(document: DocumentId, list: AccessList): void {
    if (this.dropOf(document)) return
    const unsent = this.of(document).filter(item => !item.sent)
    for (const item of unsent) this.#remove(item)
    const top = this.#replica.position(document, this.#device.id).reached
    const ctr = unsent[0]?.entry.ctr ?? top + 1
    const item = { n: this.#next++, sent: false, inFlight: false, stale: false, content: new Uint8Array(0) } as Outgoing
    this.#writeDrop(item, document, ctr, list)
    this.#put(item)
  }

  /** All that waits of a document. */
  of(document: DocumentId): readonly Outgoing[] {
    return this.#byDocument.get(hex(document)) ?? []
  }

  dropOf(document: DocumentId): Outgoing | null {
    return this.of(document).find(({ entry }) => entry.kind === 'drop') ?? null
  }

  /** The document was dropped by another device: none of this is taken any more. */
  forget(document: DocumentId): void {
    for (const item of this.of(document)) this.#remove(item)
  }

  /** Documents of which something is to be sealed anew before it can be sent; open them for `take`. */
  toSeal(list: AccessList): DocumentId[] {
    const isOpened = (item: Outgoing) => !item.inFlight && item.entry.kind !== 'drop' && isToSeal(item, list)
    const first = [...this.#items].filter(isOpened).slice(0, WINDOW)
    return [...new Map(first.map(({ entry: { document } }) => [hex(document), document])).values()]
  }

  /**
   * What can be sent now, re-sealed where it must be. Commit before sending. Of each document in order: what was refused
   * goes again once all that was sent behind it is answered, so that no entry is on its way twice.
   * @param documentOf null for a document that is not open
   */
  take(list: AccessList, documentOf: (id: DocumentId) => ReplicaDocument | null): Outgoing[] {
    const free = WINDOW - this.inFlight
    const taken: Outgoing[] = []
    const held = this.#behindRefused()
    for (const item of this.#items) {
      if (taken.length >= free) break
      const key = hex(item.entry.document)
      const moved = item.entry.epoch !== list.epoch
      if (item.inFlight) {
        if (moved) held.add(key)
        continue
      }
      if (held.has(key)) continue
      if (isToSeal(item, list)) {
        if (item.entry.kind === 'drop') this.#writeDrop(item, item.entry.document, item.entry.ctr, list)
        else {
          const document = documentOf(item.entry.document)
          if (!document) {
            held.add(key)
            continue
          }
          this.#seal(item, item.content, list, document)
          this.#staleBehind(item)
        }
      }
      // It may be in the log already. If it isn't, it is refused, and with it all that is behind it.
      else if (moved) held.add(key)
      taken.push(item)
    }
    return taken
  }

  /** @returns the entry when it was one of ours */
  acked(id: EntryId): Outgoing | null {
    const item = this.find(id)
    if (item) this.#remove(item)
    return item
  }

  has(document: DocumentId, ctr: number): boolean {
    return this.of(document).some(({ entry }) => entry.ctr === ctr)
  }

  find(id: EntryId): Outgoing | null {
    // Answers come in the order of what was sent: it is among the first.
    for (const item of this.#items) if (same(item.entry.id, id)) return item
    return null
  }

  /** The connection is lost. */
  lost(): void {
    for (const item of this.#items) item.inFlight = false
  }

  /** What waits was signed by another device than this. */
  get isForeign(): boolean {
    for (const { entry } of this.#items) if (!same(entry.author, this.#device.id)) return true
    return false
  }

  /** This device is another one from now on. */
  renew(device: DeviceKeys): void {
    this.#device = device
    this.clear()
  }

  /** The log began anew: what was on its way will be published from the documents instead. */
  clear(): void {
    for (const item of this.#items) this.#replica.change(del(KEYS.outgoing(item.n)))
    this.#items.clear()
    this.#byDocument.clear()
  }

  #put(item: Outgoing): void {
    const { document } = item.entry
    this.#items.add(item)
    this.#byDocument.set(hex(document), [...this.of(document), item])
  }

  #remove(item: Outgoing): void {
    const key = hex(item.entry.document)
    const left = this.of(item.entry.document).filter(other => other !== item)
    this.#items.delete(item)
    if (left.length > 0) this.#byDocument.set(key, left)
    else this.#byDocument.delete(key)
    this.#replica.change(del(KEYS.outgoing(item.n)))
  }

  /** A snapshot names the entry before it by its id. It can't be in the log: that entry wasn't. */
  #staleBehind(sealed: Outgoing): void {
    for (const item of this.of(sealed.entry.document)) {
      if (item.n > sealed.n && item.entry.kind === 'snapshot') item.stale = true
    }
  }

  /** Documents of which an entry was refused while those behind it are still on their way. */
  #behindRefused(): Set<string> {
    const held = new Set<string>()
    for (const [key, items] of this.#byDocument) {
      const refused = items.findIndex(item => !item.inFlight)
      if (refused >= 0 && items.slice(refused).some(item => item.inFlight)) held.add(key)
    }
    return held
  }

  #append(document: ReplicaDocument, update: Uint8Array | null, list: AccessList): void {
    const item = { n: this.#next++, sent: false, inFlight: false, stale: false } as Outgoing
    const ctr = this.#replica.position(document.id, this.#device.id).reached + 1
    const snapshot = update === null || update.length > limits.UPDATE_BYTES_MAX
    this.#write(item, snapshot ? null : update, ctr, list, document)
    this.#put(item)
  }

  #seal(item: Outgoing, content: Uint8Array, list: AccessList, document: ReplicaDocument): void {
    this.#write(item, item.entry.kind === 'snapshot' ? null : content, item.entry.ctr, list, document)
    item.stale = false
    item.sent = false
  }

  /** Signs and seals; a null update is a snapshot. State and positions are taken in this one synchronous step. */
  #write(item: Outgoing, update: Uint8Array | null, ctr: number, list: AccessList, document: ReplicaDocument): void {
    const replica = this.#replica
    const epochKey = replica.epochKey(list.epoch)
    if (!epochKey) throw new Error('an owner without the key of its own epoch')
    const keys = { dataKey: dataKey(replica.suite, epochKey), secretKey: this.#device.signing.secretKey }
    const place = this.#place(document.id, ctr, list)
    if (update) {
      item.content = update
      item.entry = sealUpdate(replica.suite, { ...place, kind: 'update' }, update, keys, replica.world.dice)
    } else {
      // The state has edits that are nowhere else yet; this entry is theirs too.
      const captured = document.takeCaptured()
      if (captured) replica.change(...document.keep(captured))
      item.content = document.state()
      const covers = this.#covers(document.id, ctr, item.entry)
      item.entry = sealSnapshot(
        replica.suite,
        { ...place, kind: 'snapshot' },
        covers,
        item.content,
        keys,
        replica.world.dice
      )
    }
    const own: Position = { ...replica.position(document.id, this.#device.id), reached: ctr, id: item.entry.id }
    if (ctr >= replica.position(document.id, this.#device.id).reached)
      replica.setPosition(document.id, this.#device.id, own)
    this.#keep(item)
  }

  #writeDrop(item: Outgoing, document: DocumentId, ctr: number, list: AccessList): void {
    const header = { ...this.#place(document, ctr, list), kind: 'drop' } as const
    item.entry = signEntry(this.#replica.suite, header, item.content, this.#device.signing.secretKey)
    item.stale = false
    item.sent = false
    this.#keep(item)
  }

  #place(document: DocumentId, ctr: number, list: AccessList) {
    return { log: this.#replica.log, author: this.#device.id, document, ctr, epoch: list.epoch, accessHead: list.head }
  }

  #keep({ n, entry, content }: Outgoing): void {
    this.#replica.change(put(KEYS.outgoing(n), encodeOutgoing({ entry: entry.bytes, content })))
  }

  /**
   * A snapshot covers what this device has of each device, and of itself all before it.
   * @param before the snapshot that is sealed anew
   */
  #covers(document: DocumentId, ctr: number, before: Entry | undefined): Cover[] {
    const covers: Cover[] = []
    for (const [name, { reached, id }] of this.#replica.positions(document)) {
      const author = deviceId(unhex(name))
      if (id && reached > 0 && !same(author, this.#device.id)) covers.push({ author, ctr: reached, id })
    }
    const own = this.#idBefore(document, ctr, before)
    if (own) covers.push({ author: this.#device.id, ctr: ctr - 1, id: own })
    return covers
  }

  /** The id of this device's entry before `ctr`: it waits here, or was the last, or the snapshot covered it before. */
  #idBefore(document: DocumentId, ctr: number, before: Entry | undefined): EntryId | null {
    const waiting = this.of(document).find(({ entry }) => entry.ctr === ctr - 1)
    if (waiting) return waiting.entry.id
    const { reached, id } = this.#replica.position(document, this.#device.id)
    if (reached === ctr - 1) return id
    const covered = before ? coversOf(before) : []
    return covered.find(({ author }) => same(author, this.#device.id))?.id ?? null
  }
}

/** Its bytes are of another epoch and were never sent, or the relay refused exactly them. */
function isToSeal({ stale, sent, entry }: Outgoing, list: AccessList): boolean {
  return stale || (entry.epoch !== list.epoch && !sent)
}
