/**
 * Which items a share has, as its members see it: flat values in `share.doc`, document id in hex → kind and name. Only the
 * owner's side writes it (selecting.ts); what stands there in a shape that is not known here is passed over.
 */
import { documentId, hex } from '@lend/engine'
import type * as Y from 'yjs'
import { unhex } from '../log/records.ts'
import type { Item } from './types.ts'

const ITEMS_ROOT = 'lend.items'

const ID = /^[0-9a-f]{32}$/

/** The items in the manifest, each by the id of its document in this share. */
export function readManifest(doc: Y.Doc): Item[] {
  return [...doc.getMap(ITEMS_ROOT)].flatMap(([key, value]) => {
    const { kind, name } = isFields(value) ? value : {}
    if (!ID.test(key) || typeof kind !== 'string' || typeof name !== 'string') return []
    return [{ id: documentId(unhex(key)), kind, name }]
  })
}

/** In one edit. @param changes document id in hex → what is listed for it; null for nothing any more */
export function writeManifest(doc: Y.Doc, changes: ReadonlyMap<string, { kind: string; name: string } | null>): void {
  const root = doc.getMap(ITEMS_ROOT)
  doc.transact(() => {
    for (const [key, item] of changes) {
      if (item) root.set(key, { kind: item.kind, name: item.name })
      else root.delete(key)
    }
  })
}

/** The array as it was, if it says the same: a list is a new array on each change and only then. */
export function sameItems(before: readonly Item[], now: readonly Item[]): readonly Item[] {
  const isSame = (item: Item, i: number) => {
    const other = before[i]
    return other && hex(other.id) === hex(item.id) && other.kind === item.kind && other.name === item.name
  }
  return before.length === now.length && now.every(isSame) ? before : now
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
