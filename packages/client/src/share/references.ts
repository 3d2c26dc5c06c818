/**
 * Which items of a share refer to items that are not in it: a dashboard that names cameras. What an item refers to only the
 * app knows, so it is asked, with the item's document: each selected item once, from the moment on when somebody wants to
 * know, and again when something of it was kept that is new. What it said is remembered, documents stay closed.
 */
import { type DocumentId, documentId, hex, LendError, type LogId, SHARE_DOCUMENT, same } from '@lend/engine'
import type * as Y from 'yjs'
import { asLendError } from '../disk/disk-error.ts'
import { unhex } from '../log/records.ts'
import { sameItems } from './manifest.ts'
import type { SelectionLibrary } from './selecting.ts'
import type { Item, Missing, Refers } from './types.ts'

export interface ReferencesOptions {
  readonly log: LogId
  readonly library: SelectionLibrary
  /** What is selected. */
  readonly items: () => readonly Item[]
  readonly refers: Refers
  readonly listener: {
    /** `missing` is another. */
    changed(): void
    /** An item could not be asked about. */
    failed(error: LendError): void
  }
}

const ID = /^[0-9a-f]{32}$/

export class References {
  readonly #o: ReferencesOptions
  readonly #unwatch: readonly (() => void)[]
  /** Item hex → what it refers to, in hex, as it was looked at last. */
  readonly #found = new Map<string, ReadonlySet<string>>()
  /** Item hex → to be looked at. */
  readonly #due = new Map<string, Item>()
  #missing: readonly Missing[] = []
  #isAsked = false
  #isLooking = false
  #closed = false

  constructor(o: ReferencesOptions) {
    this.#o = o
    this.#unwatch = [
      o.library.index.watch(parts => {
        if (parts.has('items') || parts.has('selection')) this.#follow()
      }),
      o.library.watchDocuments(id => this.#moved(id))
    ]
  }

  /** A new array on each change. The first who asks begins the looking. */
  get missing(): readonly Missing[] {
    if (!this.#isAsked) {
      this.#isAsked = true
      this.#follow()
    }
    return this.#missing
  }

  close(): void {
    this.#closed = true
    for (const stop of this.#unwatch) stop()
  }

  /** Items came or went, or are called otherwise. */
  #follow(): void {
    if (!this.#isAsked) return
    const selected = this.#selected()
    for (const key of this.#found.keys()) if (!selected.has(key)) this.#found.delete(key)
    for (const key of this.#due.keys()) if (!selected.has(key)) this.#due.delete(key)
    for (const [key, item] of selected) if (!this.#found.has(key)) this.#due.set(key, item)
    void this.#look()
  }

  #moved(id: DocumentId): void {
    if (!this.#isAsked || same(id, SHARE_DOCUMENT)) return
    const item = this.#selected().get(hex(id))
    if (!item) return
    this.#due.set(hex(id), item)
    void this.#look()
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    for (let next = this.#next(); next; next = this.#next()) {
      const [key, item] = next
      this.#due.delete(key)
      this.#found.set(key, await this.#lookAt(item))
    }
    this.#isLooking = false
    if (!this.#closed) this.#tell()
  }

  #next(): readonly [string, Item] | null {
    const [next] = this.#due
    return this.#closed ? null : (next ?? null)
  }

  async #lookAt(item: Item): Promise<ReadonlySet<string>> {
    const { library, listener } = this.#o
    try {
      const answer = await library.within(item.id, doc => this.#ask(item, doc))
      if (!(answer instanceof LendError)) return answer
      listener.failed(answer)
    } catch (error) {
      if (!this.#closed) listener.failed(asLendError(error))
    }
    return new Set()
  }

  /** What the app throws is its own, and none of the document's trouble. */
  #ask(item: Item, doc: Y.Doc): ReadonlySet<string> | LendError {
    try {
      return new Set([...this.#o.refers(item, doc)].map(hexOf))
    } catch (cause) {
      const message = 'refers: the app’s function threw, see `cause`; of that item nothing is known to be missing'
      return new LendError('BAD_FIELD', message, { cause })
    }
  }

  #tell(): void {
    const now = this.#compare()
    if (now.length === this.#missing.length && now.every((one, i) => isSame(one, this.#missing[i]))) return
    this.#missing = now
    this.#o.listener.changed()
  }

  #compare(): Missing[] {
    const { items, library } = this.#o
    const selected = this.#selected()
    const missing = new Map<string, Missing>()
    for (const [key, item] of selected) {
      const refersTo = [...(this.#found.get(key) ?? [])].flatMap(id => {
        const other = id !== key && ID.test(id) ? library.index.item(documentId(unhex(id))) : null
        return other ? [other] : []
      })
      const notShared = refersTo.filter(({ id }) => !selected.has(hex(id)))
      if (notShared.length > 0) missing.set(key, { item, refersTo, notShared })
    }
    if (missing.size === 0) return []
    return items().flatMap(({ id }) => missing.get(hex(id)) ?? [])
  }

  /** By hex. Without a look at all that the library has. */
  #selected(): Map<string, Item> {
    const { log, library } = this.#o
    const selected = new Map<string, Item>()
    for (const key of library.index.selection(log).keys()) {
      const item = library.index.item(documentId(unhex(key)))
      if (item) selected.set(key, item)
    }
    return selected
  }
}

/** Empty for what is no id. */
function hexOf(id: unknown): string {
  if (typeof id === 'string') return id.toLowerCase()
  return id instanceof Uint8Array ? hex(id) : ''
}

function isSame(one: Missing, other: Missing | undefined): boolean {
  if (!other || sameItems([other.item], [one.item])[0] !== other.item) return false
  return (
    sameItems(other.refersTo, one.refersTo) === other.refersTo &&
    sameItems(other.notShared, one.notShared) === other.notShared
  )
}
