/**
 * The library's own document: which items there are, which shares, and what the owner noted about them. Every device of
 * the account has it, so all of them show the same lists; opening an app reads this one document and no other.
 *
 * Each record is one flat value, so two devices that write different records never meet; of two that write the same
 * one, the later wins. What another device wrote in a shape that is not known here is passed over.
 */
import { type AccountId, accountId, type DocumentId, documentId, hex, type LogId, logId } from '@lend/engine'
import type * as Y from 'yjs'
import { unhex } from '../log/records.ts'
import type { Stop } from '../world.ts'

/** One item of the library. */
export interface IndexedItem {
  readonly id: DocumentId
  readonly kind: string
  readonly name: string
}

/** One share in the account's list, mine or lent to me. */
export interface IndexedShare {
  readonly log: LogId
  readonly role: 'owner' | 'member'
  /** `leaving`: this account has left and its relay does not know yet; any device tells it. */
  readonly state: 'joined' | 'leaving'
  readonly relayUrl: string
  readonly relayKey: Uint8Array
  /** As far as it is known without the share itself. */
  readonly title: string
  /** Whose it is, and since when it is lent to me, relay time; null for my own. */
  readonly joined: {
    readonly owner: { readonly account: AccountId; readonly name: string }
    readonly sinceMs: number
  } | null
}

/** What an owner noted about an invite: it stays with the owner's devices. */
export interface InviteNote {
  readonly name: string | null
  /** 32 bytes, which the link carries. */
  readonly secret: Uint8Array
}

/** A device said that it has deleted its replica. */
export interface KeptReceipt {
  /** The access entry on which it did. */
  readonly accessHead: string
  readonly atMs: number
}

/** What has changed since it was last told. */
export type IndexPart = 'account' | 'devices' | 'items' | 'shares' | 'selection' | 'notes' | 'receipts'

const ROOTS: Readonly<Record<IndexPart, string>> = {
  account: 'lend.account',
  devices: 'lend.devices',
  items: 'lend.items',
  shares: 'lend.shares',
  selection: 'lend.selection',
  notes: 'lend.notes',
  receipts: 'lend.receipts'
}

type Fields = Readonly<Record<string, unknown>>

export class LibraryIndex {
  readonly #doc: Y.Doc
  readonly #isDropped: (id: DocumentId) => boolean
  readonly #roots: ReadonlyMap<IndexPart, Y.Map<unknown>>
  readonly #watchers = new Set<(parts: ReadonlySet<IndexPart>) => void>()
  /** By hex id. */
  readonly #itemsById = new Map<string, IndexedItem>()
  /** The place of each in `items`, rising. */
  readonly #orders = new Map<string, number>()
  #ordered = 0
  #items: readonly IndexedItem[] | null = null
  #shares: readonly IndexedShare[] | null = null
  /** Log hex → the records below it, of the parts that have some for each share. */
  readonly #groups = new Map<IndexPart, ReadonlyMap<string, readonly (readonly [string, unknown])[]>>()

  /** @param isDropped whether the library has this document no more: its item is gone, whatever a record says */
  constructor(doc: Y.Doc, isDropped: (id: DocumentId) => boolean = () => false) {
    this.#doc = doc
    this.#isDropped = isDropped
    const parts = Object.keys(ROOTS) as IndexPart[]
    this.#roots = new Map(parts.map(part => [part, doc.getMap(ROOTS[part])]))
    for (const key of this.#root('items').keys()) this.#readItem(key)
    doc.on('afterTransaction', (transaction: Y.Transaction) => {
      const changed = new Map<unknown, ReadonlySet<string | null>>(transaction.changed)
      const keysOf = (part: IndexPart) => changed.get(this.#root(part))
      const touched = new Set(parts.filter(part => keysOf(part)))
      if (touched.size === 0) return
      for (const part of touched) this.#groups.delete(part)
      const moved = [...(keysOf('items') ?? [])].filter(key => key !== null && this.#readItem(key))
      // A record of an item that was dropped already is no news.
      if (moved.length === 0) touched.delete('items')
      else this.#items = null
      if (touched.has('shares')) this.#shares = null
      if (touched.size > 0) for (const watcher of [...this.#watchers]) watcher(touched)
    })
  }

  /** Tells of each change, local or from another device, with the parts that it touched. */
  watch(changed: (parts: ReadonlySet<IndexPart>) => void): Stop {
    this.#watchers.add(changed)
    return () => this.#watchers.delete(changed)
  }

  /** Several records in one edit. */
  edit(run: () => void): void {
    this.#doc.transact(run)
  }

  // --- the account and its devices ---

  get name(): string | null {
    const name = this.#root('account').get('name')
    return typeof name === 'string' ? name : null
  }

  set name(name: string) {
    this.#root('account').set('name', name)
  }

  /** True once the words of the recovery phrase were confirmed, on any device. */
  get phraseConfirmed(): boolean {
    return this.#root('account').get('phraseConfirmed') === true
  }

  confirmPhrase(): void {
    this.#root('account').set('phraseConfirmed', true)
  }

  deviceName(device: Uint8Array): string | null {
    const { name } = fieldsOf(this.#root('devices').get(hex(device))) ?? {}
    return typeof name === 'string' ? name : null
  }

  nameDevice(device: Uint8Array, name: string): void {
    this.#putDevice(device, { name })
  }

  /** When a device last said that it was there, relay time; null when it never did. */
  deviceSeenMs(device: Uint8Array): number | null {
    const { seenMs } = fieldsOf(this.#root('devices').get(hex(device))) ?? {}
    return typeof seenMs === 'number' ? seenMs : null
  }

  seeDevice(device: Uint8Array, seenMs: number): void {
    this.#putDevice(device, { seenMs })
  }

  // --- items ---

  /** All items, by the order in which they were added as far as devices can agree on it. A new array on each change. */
  get items(): readonly IndexedItem[] {
    this.#items ??= [...this.#itemsById.values()]
    return this.#items
  }

  /** Those that are selected into a share and are in the library, in the order of `items`. */
  selectedItems(log: LogId): readonly IndexedItem[] {
    const orderOf = ({ id }: IndexedItem) => this.#orders.get(hex(id)) ?? 0
    const selected = [...this.selection(log).keys()].flatMap(key => this.#itemsById.get(key) ?? [])
    return selected.sort((a, b) => orderOf(a) - orderOf(b))
  }

  get itemCount(): number {
    return this.#itemsById.size
  }

  item(id: DocumentId): IndexedItem | null {
    return this.#itemsById.get(hex(id)) ?? null
  }

  /**
   * The document of an item is no more. Its record may be there still, or again: renamed on one device while it was
   * removed on another. @returns whether its item was there until now
   */
  dropped(id: DocumentId): boolean {
    if (!this.#itemsById.delete(hex(id))) return false
    this.#orders.delete(hex(id))
    this.#items = null
    for (const watcher of [...this.#watchers]) watcher(new Set(['items']))
    return true
  }

  putItem(item: IndexedItem): void {
    this.#root('items').set(hex(item.id), { kind: item.kind, name: item.name })
  }

  /** Takes it out of every share too. */
  removeItem(id: DocumentId): void {
    const key = hex(id)
    this.edit(() => {
      this.#root('items').delete(key)
      const selection = this.#root('selection')
      for (const name of [...selection.keys()]) if (name.endsWith(`/${key}`)) selection.delete(name)
    })
  }

  // --- shares ---

  /** A new array on each change. */
  get shares(): readonly IndexedShare[] {
    this.#shares ??= [...this.#root('shares')].flatMap(([key, value]) => readShare(key, value))
    return this.#shares
  }

  share(log: LogId): IndexedShare | null {
    const key = hex(log)
    return readShare(key, this.#root('shares').get(key))[0] ?? null
  }

  putShare({ log, role, state, relayUrl, relayKey, title, joined }: IndexedShare): void {
    const since = joined && {
      owner: hex(joined.owner.account),
      ownerName: joined.owner.name,
      sinceMs: joined.sinceMs
    }
    this.#root('shares').set(hex(log), { role, state, relayUrl, relayKey: hex(relayKey), title, ...since })
  }

  removeShare(log: LogId): void {
    const key = hex(log)
    this.edit(() => {
      this.#root('shares').delete(key)
      for (const part of ['selection', 'notes', 'receipts'] as const) {
        const root = this.#root(part)
        for (const [name] of this.#below(part, log)) root.delete(`${key}/${name}`)
      }
    })
  }

  // --- what is selected into which share ---

  /** Item hex → its document in that share. */
  selection(log: LogId): ReadonlyMap<string, DocumentId> {
    return new Map(
      this.#below('selection', log).flatMap(([item, value]) => {
        const bytes = idBytes(value, 16)
        return bytes ? [[item, documentId(bytes)]] : []
      })
    )
  }

  select(log: LogId, item: DocumentId, document: DocumentId): void {
    this.#root('selection').set(`${hex(log)}/${hex(item)}`, hex(document))
  }

  unselect(log: LogId, item: DocumentId): void {
    this.#root('selection').delete(`${hex(log)}/${hex(item)}`)
  }

  // --- notes and receipts ---

  /** Invite hex → note. */
  notes(log: LogId): ReadonlyMap<string, InviteNote> {
    return new Map(
      this.#below('notes', log).flatMap(([invite, value]) => {
        const { name, secret } = fieldsOf(value) ?? {}
        const bytes = idBytes(secret, 32)
        return bytes ? [[invite, { name: typeof name === 'string' ? name : null, secret: bytes }]] : []
      })
    )
  }

  keepNote(log: LogId, invite: string, { name, secret }: InviteNote): void {
    this.#root('notes').set(`${hex(log)}/${invite}`, { name, secret: hex(secret) })
  }

  /** Device hex → receipt. */
  receipts(log: LogId): ReadonlyMap<string, KeptReceipt> {
    return new Map(
      this.#below('receipts', log).flatMap(([device, value]) => {
        const { accessHead, atMs } = fieldsOf(value) ?? {}
        return typeof accessHead === 'string' && typeof atMs === 'number' ? [[device, { accessHead, atMs }]] : []
      })
    )
  }

  keepReceipt(log: LogId, device: string, { accessHead, atMs }: KeptReceipt): void {
    this.#root('receipts').set(`${hex(log)}/${device}`, { accessHead, atMs })
  }

  #putDevice(device: Uint8Array, fields: Fields): void {
    const key = hex(device)
    this.#root('devices').set(key, { ...fieldsOf(this.#root('devices').get(key)), ...fields })
  }

  /** @returns whether the list is another than before */
  #readItem(key: string): boolean {
    const [item] = readItem(key, this.#root('items').get(key))
    if (!item || this.#isDropped(item.id)) {
      this.#orders.delete(key)
      return this.#itemsById.delete(key)
    }
    this.#itemsById.set(key, item)
    if (!this.#orders.has(key)) this.#orders.set(key, ++this.#ordered)
    return true
  }

  #root(part: IndexPart): Y.Map<unknown> {
    const root = this.#roots.get(part)
    if (!root) throw new Error(`the index has no ${part}`)
    return root
  }

  #below(part: IndexPart, log: LogId): readonly (readonly [string, unknown])[] {
    let groups = this.#groups.get(part)
    if (!groups) {
      groups = groupByLog(this.#root(part))
      this.#groups.set(part, groups)
    }
    return groups.get(hex(log)) ?? []
  }
}

function groupByLog(root: Y.Map<unknown>): Map<string, (readonly [string, unknown])[]> {
  const groups = new Map<string, (readonly [string, unknown])[]>()
  for (const [name, value] of root) {
    const [log = '', key = ''] = name.split('/')
    const group = groups.get(log)
    if (group) group.push([key, value])
    else groups.set(log, [[key, value]])
  }
  return groups
}

function readItem(key: string, value: unknown): IndexedItem[] {
  const id = idBytes(key, 16)
  const { kind, name } = fieldsOf(value) ?? {}
  if (!id || typeof kind !== 'string' || typeof name !== 'string') return []
  return [{ id: documentId(id), kind, name }]
}

function readShare(key: string, value: unknown): IndexedShare[] {
  const log = idBytes(key, 32)
  const fields = fieldsOf(value) ?? {}
  const { role, state, relayUrl, relayKey, title } = fields
  const pinned = idBytes(relayKey, 32)
  if (!log || !pinned || typeof relayUrl !== 'string' || typeof title !== 'string') return []
  if ((role !== 'owner' && role !== 'member') || (state !== 'joined' && state !== 'leaving')) return []
  const joined = role === 'member' ? readJoined(fields) : null
  if (role === 'member' && !joined) return []
  return [{ log: logId(log), role, state, relayUrl, relayKey: pinned, title, joined }]
}

function readJoined({ owner, ownerName: name, sinceMs }: Fields): IndexedShare['joined'] {
  const account = idBytes(owner, 32)
  if (!account || typeof name !== 'string' || typeof sinceMs !== 'number') return null
  return { owner: { account: accountId(account), name }, sinceMs }
}

function fieldsOf(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null
}

/** Bytes of a hex id; null for anything else. */
function idBytes(value: unknown, bytes: number): Uint8Array | null {
  return typeof value === 'string' && value.length === 2 * bytes && /^[0-9a-f]*$/.test(value) ? unhex(value) : null
}
