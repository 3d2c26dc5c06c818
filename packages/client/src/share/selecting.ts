/**
 * What an owner has selected into a share. The truth is in the library (item → document in this share); manifest, copies
 * and drops follow from it by comparing the two, whatever happened before and on whichever device. What is missing is
 * done at once by the device that made the edit, by others some seconds later if it is still missing then.
 *
 * A copy is written by nothing but this, only while its share is at one with its relay, and never while something of it is
 * on its way: so what is sent is what the item says then, and nothing that it said before.
 */
import {
  bring,
  type DocumentId,
  documentId,
  hex,
  LendError,
  type LogId,
  lacking,
  limits,
  type Position,
  SHARE_DOCUMENT,
  same
} from '@lend/engine'
import * as Y from 'yjs'
import { asLendError } from '../disk/disk-error.ts'
import type { LibraryIndex } from '../library/library-index.ts'
import { KEYS, put, unhex } from '../log/records.ts'
import type { Replica } from '../log/replica.ts'
import type { LogSync } from '../log/sync.ts'
import type { Stop } from '../world.ts'
import { readManifest, sameItems, writeManifest } from './manifest.ts'
import type { Item, ItemId } from './types.ts'

/** What the library is to a selection. */
export interface SelectionLibrary {
  readonly index: LibraryIndex
  /** Nothing that another device of the account wrote is missing here, and nothing of this one there. */
  readonly isSettled: boolean
  /** No other device could do it. */
  readonly isAlone: boolean
  edit(run: (index: LibraryIndex) => void): Promise<void>
  /** Device hex → how far, of a document that need not be open. */
  positions(id: DocumentId): Promise<ReadonlyMap<string, Position>>
  /** See LogSync. */
  within<T>(id: DocumentId, run: (doc: Y.Doc, positions: ReadonlyMap<string, Position>) => T): Promise<T>
  /** @param moved called once something of a document is kept here that was not */
  watchDocuments(moved: (id: DocumentId, isLocal: boolean) => void): Stop
}

export interface SelectingOptions {
  readonly log: LogId
  readonly library: SelectionLibrary
  readonly replica: Replica
  readonly sync: LogSync
  /** `share.doc`, for a look that ends at once. */
  readonly manifest: <T>(run: (doc: Y.Doc) => T) => T
  readonly listener: {
    /** Items came, went, or have other names. */
    listed(): void
    unselected(item: ItemId): void
    /** What is still to be done has changed. */
    changed(): void
    /** Maybe nothing of it any more: another device did something. */
    waitedFor(): void
    refused(error: LendError): void
  }
}

/** By document in this share, in hex. */
type Task =
  | { readonly does: 'fill' | 'list'; readonly document: string; readonly item: Item }
  /** `isKnown`: this device knows that it was selected and is no more. */
  | { readonly does: 'drop'; readonly document: string; readonly isKnown: boolean }
  /** Its document is no more: it gets another. */
  | { readonly does: 'select'; readonly document: string; readonly item: Item }

/** Before another device's work is done for it, and as much again by chance. */
const OTHERS_MS = 3_000
/** Before a document goes that no selection here explains: the library may be behind. */
const STRAY_MS = 60_000

export class Selecting {
  readonly #o: SelectingOptions
  readonly #unwatch: Stop
  /** Document hex → what of its item was mirrored last, see `reachedIn`. */
  readonly #mirrored = new Map<string, string>()
  /** Documents of this share that are here, by hex. */
  readonly #copies = new Set<string>()
  /** Documents that were selected at any time since the share was opened, by hex. */
  readonly #known = new Set<string>()
  /** Items of which something was kept that may not be mirrored, by hex → how often since it was. */
  readonly #moved = new Map<string, number>()
  /** What this device edited itself: items by hex, and the index. */
  readonly #edited = new Set<string>()
  /** Items that could not be read; left until they move. */
  readonly #broken = new Set<string>()
  /** Task → when it is this device's turn. */
  readonly #turns = new Map<string, number>()
  #items: readonly Item[] = []
  /** Of which the app has heard, and the documents that are selected with it: item hex → document. */
  #told: readonly Item[]
  #selection: ReadonlyMap<string, DocumentId>
  #plan: readonly Task[] | null = null
  #working = false
  #stopTimer: Stop | null = null
  #closed = false

  constructor(o: SelectingOptions) {
    this.#o = o
    this.#told = this.items
    this.#selection = o.library.index.selection(o.log)
    this.#unwatch = o.library.watchDocuments((id, isLocal) => this.#libraryMoved(id, isLocal))
  }

  /** Reads what was mirrored before, and which items have moved since: none is opened for that. */
  async load(): Promise<void> {
    const { log, library, replica } = this.#o
    for await (const { key, value } of replica.store.range('mirrored/')) {
      this.#mirrored.set(key.slice('mirrored/'.length), new TextDecoder().decode(value))
    }
    for (const id of await replica.documents()) {
      if (!same(id, SHARE_DOCUMENT) && !replica.isDropped(id)) this.#copies.add(hex(id))
    }
    for (const [item, document] of library.index.selection(log)) {
      const reached = reachedIn(await library.positions(documentId(unhex(item))))
      if (this.#mirrored.get(hex(document)) !== reached) this.#move(item)
    }
    this.#plan = null
  }

  /** Items of the library that are selected. A new array on each change. */
  get items(): readonly Item[] {
    this.#items = sameItems(this.#items, this.#o.library.index.selectedItems(this.#o.log))
    return this.#items
  }

  /** True while something that is known to be selected or not is not so at the relay. */
  get waits(): boolean {
    return this.#tasks.some(task => !isStray(task))
  }

  /** How much of that is this device's to do. */
  get pending(): number {
    return this.#tasks.filter(task => this.#isMine(task)).length
  }

  /** Resolves when it is saved here. @throws LendError BAD_FIELD, LIMIT_ITEMS and those of the disk */
  async select(items: readonly Item[]): Promise<void> {
    const { log, library, replica } = this.#o
    const { index } = library
    const max = limits.SHARE_ITEMS_MAX
    const selected = new Set(this.items.map(({ id }) => hex(id)))
    const fresh = new Map(items.map(({ id }) => [hex(id), id] as const).filter(([key]) => !selected.has(key)))
    for (const id of fresh.values()) if (!index.item(id)) throw notInLibrary()
    if (selected.size + fresh.size > max) {
      const message = `the share would have ${selected.size + fresh.size} items, at most ${max}; unselect some first`
      throw new LendError('LIMIT_ITEMS', message, { retry: 'after-change', limit: max })
    }
    if (fresh.size === 0) return
    await library.edit(() => {
      for (const id of fresh.values()) index.select(log, id, documentId(replica.world.dice(16)))
    })
  }

  /** Resolves when it is saved here. */
  async unselect(items: readonly Item[]): Promise<void> {
    const { log, library } = this.#o
    const selection = library.index.selection(log)
    const gone = items.filter(({ id }) => selection.has(hex(id)))
    if (gone.length === 0) return
    await library.edit(index => {
      for (const { id } of gone) index.unselect(log, id)
    })
  }

  /** Something of a document of this share is kept here that was not. */
  copyMoved(id: DocumentId): void {
    if (!same(id, SHARE_DOCUMENT) && !this.#o.replica.isDropped(id)) this.#copies.add(hex(id))
    this.#copiesChanged()
  }

  /** A document of this share is no more. */
  copyDropped(id: DocumentId): void {
    this.#copies.delete(hex(id))
    this.#mirrored.delete(hex(id))
    this.#copiesChanged()
  }

  /** Does what is this device's turn. */
  async work(): Promise<void> {
    if (this.#working) return
    this.#working = true
    const { world } = this.#o.replica
    let done = 0
    let nowMs = world.now()
    try {
      for (let ready = this.#ready(nowMs); ready.length > 0; ready = this.#ready(nowMs)) {
        await this.#do(ready)
        done++
        nowMs = world.now()
      }
    } catch (error) {
      if (!this.#closed) this.#o.listener.refused(asLendError(error))
    } finally {
      this.#working = false
    }
    this.#arm(nowMs)
    if (done > 0) this.#o.listener.changed()
  }

  close(): void {
    this.#closed = true
    this.#unwatch()
    this.#stopTimer?.()
  }

  // --- what the library says ---

  #libraryMoved(id: DocumentId, isLocal: boolean): void {
    const key = hex(id)
    if (same(id, SHARE_DOCUMENT)) {
      if (!this.#indexMoved()) return
    } else if (this.#selection.has(key)) {
      this.#move(key)
      this.#broken.delete(key)
    } else return
    if (isLocal) this.#edited.add(key)
    this.#plan = null
    this.#o.listener.changed()
  }

  /** Another device may have done what was to be done here. */
  #copiesChanged(): void {
    const waited = this.#plan !== null && this.#plan.length > 0
    this.#plan = null
    if (waited && !this.#working && !this.#closed) this.#o.listener.waitedFor()
  }

  #move(item: string): void {
    this.#moved.set(item, (this.#moved.get(item) ?? 0) + 1)
  }

  /** @returns whether anything of it is about this share: the index names all items of all shares */
  #indexMoved(): boolean {
    const { library, log, listener } = this.#o
    const before = this.#told
    const now = this.items
    const selection = library.index.selection(log)
    if (before === now && isSameSelection(this.#selection, selection)) return false
    this.#selection = selection
    this.#told = now
    if (before === now) return true
    listener.listed()
    const selected = new Set(now.map(({ id }) => hex(id)))
    for (const { id } of before) if (!selected.has(hex(id))) listener.unselected(id)
    return true
  }

  // --- what is to be done ---

  get #tasks(): readonly Task[] {
    this.#plan ??= this.#o.replica.list?.stopped ? [] : this.#compare()
    return this.#plan
  }

  #compare(): Task[] {
    const { log, library, replica, manifest } = this.#o
    const selection = library.index.selection(log)
    const listed = new Map(manifest(readManifest).map(item => [hex(item.id), item]))
    const wanted = new Set<string>()
    const tasks: Task[] = []
    for (const item of this.items) {
      const id = selection.get(hex(item.id))
      if (!id) continue
      const document = hex(id)
      wanted.add(document)
      this.#known.add(document)
      if (replica.isDropped(id)) {
        tasks.push({ does: 'select', document, item })
        continue
      }
      const isBehind = this.#moved.has(hex(item.id)) || !this.#mirrored.has(document)
      if (isBehind && !this.#broken.has(hex(item.id))) tasks.push({ does: 'fill', document, item })
      const shown = listed.get(document)
      if (shown?.kind !== item.kind || shown.name !== item.name) tasks.push({ does: 'list', document, item })
    }
    for (const document of new Set([...this.#copies, ...listed.keys(), ...replica.dropsDue])) {
      if (wanted.has(document)) continue
      const isDropped = replica.isDropped(documentId(unhex(document)))
      const isKnown = isDropped || this.#known.has(document) || this.#mirrored.has(document)
      tasks.push({ does: 'drop', document, isKnown })
    }
    const keys = new Set(tasks.map(keyOf))
    for (const key of this.#turns.keys()) if (!keys.has(key)) this.#turns.delete(key)
    if (tasks.length === 0) this.#edited.clear()
    return tasks
  }

  #isMine(task: Task): boolean {
    if (isStray(task)) return false
    if (this.#o.library.isAlone || this.#edited.has(hex(SHARE_DOCUMENT))) return true
    return 'item' in task && this.#edited.has(hex(task.item.id))
  }

  /** When it is this device's turn. */
  #turnMs(task: Task): number {
    const { world } = this.#o.replica
    const key = keyOf(task)
    const waitMs = (isStray(task) ? STRAY_MS : OTHERS_MS) * (1 + world.jitter())
    const turnMs = this.#turns.get(key) ?? world.now() + waitMs
    this.#turns.set(key, turnMs)
    return this.#isMine(task) ? 0 : turnMs
  }

  #canDo(task: Task): boolean {
    const { library, sync } = this.#o
    if (isStray(task) && !library.isSettled) return false
    return task.does === 'list' || task.does === 'select' || !sync.isOnItsWay(documentId(unhex(task.document)))
  }

  /** What is written now would be sent now. */
  get #canWork(): boolean {
    const { replica, sync } = this.#o
    if (this.#closed || sync.link.state !== 'live' || sync.holdData()) return false
    return replica.list !== null && !replica.list.rotationDue && !replica.state.republish
  }

  #ready(nowMs: number): Task[] {
    if (!this.#canWork) return []
    return this.#tasks.filter(task => this.#turnMs(task) <= nowMs && this.#canDo(task))
  }

  /** @param nowMs when it was last looked for what is ready: a turn that came since then must not be passed over */
  #arm(nowMs: number): void {
    this.#stopTimer?.()
    this.#stopTimer = null
    if (!this.#canWork) return
    const turnsMs = this.#tasks.map(task => this.#turnMs(task)).filter(turnMs => turnMs > nowMs)
    if (turnsMs.length === 0) return
    this.#stopTimer = this.#o.replica.world.timer(Math.min(...turnsMs) - nowMs, () => void this.work())
  }

  // --- doing it ---

  /** Copies first: an item is in the manifest once there is something of it. */
  async #do(tasks: readonly Task[]): Promise<void> {
    const { log, library, replica, sync } = this.#o
    for (const task of tasks) if (task.does === 'fill') await this.#fill(task.document, task.item)
    const listed = new Map(tasks.flatMap(task => listing(task)))
    if (listed.size > 0) await sync.within(SHARE_DOCUMENT, doc => writeManifest(doc, listed))
    for (const { does, document } of tasks) {
      const id = documentId(unhex(document))
      if (does !== 'drop' || same(id, SHARE_DOCUMENT) || this.#isWanted(document)) continue
      if (!replica.isDropped(id) || replica.dropsDue.includes(document)) await sync.drop(id)
    }
    const anew = tasks.flatMap(task => (task.does === 'select' && this.#isWanted(task.document) ? [task.item] : []))
    if (anew.length > 0) {
      await library.edit(index => {
        for (const { id } of anew) index.select(log, id, documentId(replica.world.dice(16)))
      })
    }
    this.#plan = null
  }

  async #fill(document: string, item: Item): Promise<void> {
    const { library, replica, sync } = this.#o
    const id = documentId(unhex(document))
    const key = hex(item.id)
    const moves = this.#moved.get(key)
    const known = await this.#knownOf(id, item)
    if (!known) return
    let seen: { readonly lacked: Uint8Array; readonly reached: string }
    try {
      // What the copy gets is durable in the library: else a crash would leave members what the item never said.
      seen = await library.within(item.id, (doc, positions) => ({
        lacked: lacking(doc, known),
        reached: reachedIn(positions)
      }))
    } catch (error) {
      this.#broken.add(key)
      if (!this.#closed) this.#o.listener.refused(asLendError(error))
      return
    }
    if (!this.#isWanted(document)) return
    await sync.within(id, copy => bring(copy, seen.lacked))
    if (this.#moved.get(key) === moves) this.#moved.delete(key)
    this.#mirrored.set(document, seen.reached)
    replica.change(put(KEYS.mirrored(id), new TextEncoder().encode(seen.reached)))
    await replica.commit({ durable: false })
  }

  /** What the copy has; null when it does not open. Then it goes, and its item is selected anew: the truth is in the library. */
  async #knownOf(id: DocumentId, item: Item): Promise<Uint8Array | null> {
    const { sync, listener } = this.#o
    try {
      return await sync.within(id, copy => Y.encodeStateVector(copy))
    } catch (error) {
      const known = asLendError(error)
      if (known.code !== 'STORE_CORRUPT') throw error
      listener.refused(known)
      this.#broken.add(hex(item.id))
      await sync.drop(id)
      return null
    }
  }

  #isWanted(document: string): boolean {
    const { log, library } = this.#o
    const selection = library.index.selection(log)
    return this.items.some(({ id }) => hex(selection.get(hex(id)) ?? new Uint8Array()) === document)
  }
}

/** How far a document was when it was looked at, in one word. */
function reachedIn(positions: ReadonlyMap<string, Position>): string {
  return [...positions]
    .map(([device, { reached }]) => `${device}:${reached}`)
    .sort()
    .join()
}

function isSameSelection(a: ReadonlyMap<string, DocumentId>, b: ReadonlyMap<string, DocumentId>): boolean {
  return a.size === b.size && [...a].every(([item, document]) => same(document, b.get(item) ?? new Uint8Array()))
}

function keyOf({ does, document }: Task): string {
  return `${does}/${document}`
}

/** The library may explain it once it is all here. */
function isStray(task: Task): boolean {
  return task.does === 'select' || (task.does === 'drop' && !task.isKnown)
}

/** What the task says in the manifest. */
function listing(task: Task): (readonly [string, Item | null])[] {
  if (task.does === 'list') return [[task.document, task.item]]
  return task.does === 'drop' ? [[task.document, null]] : []
}

function notInLibrary(): LendError {
  return new LendError('BAD_FIELD', 'item: the library has no such item; it may have been removed', {
    retry: 'after-change'
  })
}
