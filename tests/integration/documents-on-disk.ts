/** The documents of a log as a device has them on its disk, and what two devices must have alike of one. */
import type { LogId } from '@lend/engine'
import * as Y from 'yjs'
import { decodePieces, numberOf } from '../../packages/client/src/log/records.ts'
import { recordsIn } from './all-keys.ts'

/** What a device keeps of one log. */
export interface Kept {
  /** By hex id. */
  readonly documents: ReadonlyMap<string, Y.Doc>
  /** Hex ids of those that are no more. */
  readonly dropped: ReadonlySet<string>
  /** Records of what its relay does not have yet. */
  readonly waiting: readonly string[]
}

/** Its account must be closed. @param log `account`: its library */
export async function keptIn(folder: string, log: LogId | 'account'): Promise<Kept> {
  const records = await recordsIn(folder, log)
  const documents = new Map<string, Y.Doc>()
  for (const [key, value] of records) {
    const [kind, id = ''] = key.split('/')
    if (kind !== 'pieces') continue
    const { first, next } = decodePieces(value)
    const doc = new Y.Doc()
    for (const [name, piece] of records) {
      if (!name.startsWith(`piece/${id}/`) || numberOf(name) < first || numberOf(name) >= next) continue
      Y.applyUpdate(doc, piece)
    }
    documents.set(id, doc)
  }
  const dropped = new Set([...records.keys()].flatMap(key => (key.startsWith('dropped/') ? [key.slice(8)] : [])))
  return { documents, dropped, waiting: [...records.keys()].filter(key => /^(outbox|intent)\//.test(key)) }
}

/** All that a document says, in one word: its state vector, what of it is deleted, and what stands in its roots. */
export function stateOf(doc: Y.Doc): string {
  const clients = [...Y.decodeStateVector(Y.encodeStateVector(doc))].sort(byClient)
  const deleted = [...Y.createDeleteSetFromStructStore(doc.store).clients]
    .sort(byClient)
    .map(([client, ranges]) => [client, ranges.map(({ clock, len }) => `${clock}+${len}`)])
  const roots = [...doc.share.keys()].sort().map(name => [name, contentOf(doc, name)])
  return JSON.stringify({ clients, deleted, roots })
}

/** What each document says, by hex id. */
export function statesOf({ documents }: Kept): Map<string, string> {
  return new Map([...documents].sort().map(([id, doc]) => [id, stateOf(doc)]))
}

/** A root has no type before somebody reads it as one. */
function contentOf(doc: Y.Doc, name: string): unknown {
  const isMap = (doc.share.get(name)?._map.size ?? 0) > 0
  if (!isMap) return doc.getText(name).toJSON()
  return Object.entries(doc.getMap(name).toJSON()).sort(([a], [b]) => (a < b ? -1 : 1))
}

function byClient([a]: readonly [number, unknown], [b]: readonly [number, unknown]): number {
  return a - b
}
