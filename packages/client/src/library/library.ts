/**
 * The items of an account: the `Library` face. An item is a document of the library; which there are, of what kind and by
 * what name, is in the index (library-index.ts), so that a list of all of them opens none. Beside each there may be a
 * private document, which never leaves the library.
 */
import { type DocumentId, LendError, limits } from '@lend/engine'
import type * as Y from 'yjs'
import { Emitter } from '../emitter.ts'
import { isFromLog } from '../log/document.ts'
import type { Status } from '../log/status.ts'
import type { Stop } from '../world.ts'
import { badItem, checkFields, checkKind, type Fields, nameIn } from './fields.ts'
import type { LibraryLog } from './library-log.ts'

export type ItemId = DocumentId

export interface Item {
  readonly id: ItemId
  readonly kind: string
  /** What its field `name` says, cut to what a list can show; empty without one. */
  readonly name: string
}

export interface LibraryEvents {
  /** Items came, went, or have other names. */
  change: undefined
  status: Status
}

export interface Library {
  /** A new array on each change. */
  readonly items: readonly Item[]
  readonly status: Status
  on<K extends keyof LibraryEvents>(event: K, listener: (value: LibraryEvents[K]) => void): Stop
  /**
   * Makes an item; resolves when it is saved here.
   * @param kind any word of the app's, at most 64 bytes; it can't begin with `lend.`
   * @param fields what stands in `doc.getMap(kind)`, at most 128 KiB as JSON
   * @param o.private what stands in the same map of its private document
   * @throws LendError BAD_FIELD, LIMIT_ITEMS, CLOSED and those of the disk
   */
  add(kind: string, fields?: Fields, o?: { private?: Fields }): Promise<Item>
  /**
   * The item's one live document, with its fields in `doc.getMap(item.kind)`. `doc.destroy()` closes it: what was edited
   * until then is published, and the next `open` gives another Y.Doc.
   * @throws LendError BAD_FIELD when the library has no such item (any more), CLOSED, STORE_CORRUPT
   */
  open(item: Item): Promise<Y.Doc>
  /** The document beside it that never leaves the library, see `open`. */
  openPrivate(item: Item): Promise<Y.Doc>
  /** Takes it out of the library and of every share; resolves when that is saved here. */
  remove(item: Item): Promise<void>
}

export class OpenLibrary extends Emitter<LibraryEvents> implements Library {
  readonly #log: LibraryLog
  /** Y.Docs whose name is watched. */
  readonly #watched = new WeakSet<Y.Doc>()

  constructor(log: LibraryLog) {
    super()
    this.#log = log
    log.on('status', status => this.emit('status', status))
    log.index.watch(parts => {
      if (parts.has('items')) this.emit('change', undefined)
    })
  }

  get items(): readonly Item[] {
    return this.#log.index.items
  }

  get status(): Status {
    return this.#log.status
  }

  async add(kind: string, fields: Fields = {}, o: { private?: Fields } = {}): Promise<Item> {
    const log = this.#log
    checkKind(kind)
    checkFields('fields', fields)
    checkFields('private', o.private ?? {})
    const item = { id: log.newDocument(), kind, name: nameIn(fields) }
    const doc = await log.hold(item.id)
    const hidden = await log.hold(log.privateDocument(item.id))
    try {
      if (log.index.itemCount >= limits.ITEMS_MAX) throw tooMany()
      // One turn of the event loop, so one batch on the disk: an item is here with all of its fields, or not at all. On its
      // way to others its fields come first.
      fill(doc, kind, fields)
      fill(hidden, kind, o.private ?? {})
      log.index.putItem(item)
    } finally {
      doc.destroy()
      hidden.destroy()
    }
    await log.saved()
    return item
  }

  async open(item: Item): Promise<Y.Doc> {
    const { id, kind } = this.#listed(item)
    const doc = await this.#log.hold(id)
    if (!this.#watched.has(doc)) this.#watchName(doc, id, kind)
    return doc
  }

  async openPrivate(item: Item): Promise<Y.Doc> {
    const { id } = this.#listed(item)
    return this.#log.hold(this.#log.privateDocument(id))
  }

  async remove(item: Item): Promise<void> {
    const log = this.#log
    if (!log.index.item(item.id)) return
    // What is private first, and the item's name last: cut off anywhere, nothing stays that nobody can name.
    for (const id of [log.privateDocument(item.id), item.id]) await log.drop(id)
    await log.edit(index => index.removeItem(item.id))
  }

  #listed({ id }: Item): Item {
    const item = this.#log.index.item(id)
    if (!item) throw badItem('the library has no such item; it may have been removed')
    return item
  }

  /** The device that edits a name says it in the index too; others hear of both. */
  #watchName(doc: Y.Doc, id: DocumentId, kind: string): void {
    this.#watched.add(doc)
    const fields: Y.Map<unknown> = doc.getMap(kind)
    fields.observe((event, transaction) => {
      if (isFromLog(transaction) || !event.keysChanged.has('name')) return
      const { index } = this.#log
      const name = nameIn({ name: fields.get('name') })
      const listed = index.item(id)
      if (listed && listed.name !== name) index.putItem({ ...listed, name })
    })
  }
}

function fill(doc: Y.Doc, kind: string, fields: Fields): void {
  const map = doc.getMap(kind)
  doc.transact(() => {
    for (const [name, value] of Object.entries(fields)) map.set(name, value)
  })
}

function tooMany(): LendError {
  return new LendError('LIMIT_ITEMS', `the library has ${limits.ITEMS_MAX} items; remove some first`, {
    retry: 'after-change',
    limit: limits.ITEMS_MAX
  })
}
