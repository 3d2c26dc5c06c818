/**
 * The records of a replica and how they are written: one place for every key and every layout on a device's disk.
 * Key names hold no content; values are sealed by the store below.
 */
import {
  type Cursor,
  type DocumentId,
  documentId,
  type EntryId,
  entryId,
  hex,
  type Incarnation,
  incarnation,
  type Position,
  Reader,
  SHARE_DOCUMENT,
  Writer
} from '@lend/engine'
import type { Change } from '../disk/sealed-store.ts'
import type { Past } from './retelling.ts'

const RECORD_BYTES_MAX = 64 * 1024 * 1024
/** Of a list in a record. */
const LIST_MAX = 1_000_000

/** An access entry as it is kept. */
export interface StoredAccess {
  readonly seq: number
  readonly timeMs: number
  readonly bytes: Uint8Array
}

/** Where a replica stands towards its relay. */
export interface ReplicaState {
  readonly cursor: Cursor | null
  /** The highest head seen, as the relay wrote it. */
  readonly head: Uint8Array | null
  /** The relay's last word that showed membership, relay time; 0 for never. */
  readonly heardMs: number
  /** The highest time ever seen, own or relay's. */
  readonly highestMs: number
  /** The log began anew at the relay: what the documents have and the log lacks is still to be published. */
  readonly republish: boolean
  /** Access entries on this disk; fewer when it is opened means that the disk lost some. */
  readonly accessCount: number
  /** How often the log was read from its start: ledgers of an earlier reading are void. */
  readonly readings: number
}

/** For a log that its relay has not shown us yet. */
export const NO_INCARNATION: Incarnation = incarnation(new Uint8Array(16))

/** Stands for none. */
export const NO_ENTRY: EntryId = entryId(new Uint8Array(32))

export const NEW_REPLICA: ReplicaState = {
  cursor: null,
  head: null,
  heardMs: 0,
  highestMs: 0,
  republish: false,
  accessCount: 0,
  readings: 0
}

/** The pieces of a document: updates `first` to `next − 1`, which together are all of it. */
export interface Pieces {
  readonly first: number
  readonly next: number
  /** Bytes of the pieces after the first, which was the whole when it was written. */
  readonly tailBytes: number
  readonly firstBytes: number
}

/** What stands in the log of a document: decides when a snapshot is worth its writing. */
export interface Tail {
  /** Bytes of entries behind the last snapshot. */
  readonly bytes: number
  /** Bytes of that snapshot. */
  readonly snapshot: number
}

export const NO_TAIL: Tail = { bytes: 0, snapshot: 0 }

/** Which entries of one document are here. */
export interface Ledger {
  /** Device hex → how far. */
  readonly positions: Map<string, Position>
  tail: Tail
}

/** An entry that the relay has not acknowledged. */
export interface StoredOutgoing {
  readonly entry: Uint8Array
  /** The plaintext: what is sealed again when the epoch has changed. */
  readonly content: Uint8Array
}

const count = (n: number) => n.toString(16).padStart(14, '0')

export const KEYS = {
  state: 'state',
  past: 'past',
  /** The device whose counters these are; another one reads the log anew. */
  author: 'author',
  access: (index: number) => `access/${count(index)}`,
  ledger: (document: DocumentId) => `ledger/${hex(document)}`,
  gap: (document: DocumentId, device: string) => `gap/${hex(document)}/${device}`,
  pieces: (document: DocumentId) => `pieces/${hex(document)}`,
  piece: (document: DocumentId, n: number) => `piece/${hex(document)}/${count(n)}`,
  /** Of a document that is no more: whether its drop is still to be written. */
  dropped: (document: DocumentId) => `dropped/${hex(document)}`,
  /** What of an item its copy has, see share/selecting.ts. */
  mirrored: (document: DocumentId) => `mirrored/${hex(document)}`,
  /** There while bytes of deleted records may be on the disk. */
  renewal: 'renewal',
  outgoing: (n: number) => `outbox/${count(n)}`,
  intent: (n: number) => `intent/${count(n)}`
} as const

const FIRST = hex(SHARE_DOCUMENT)

/** How the keys begin of all records of a replica but those of its other documents: by them it is shown and followed. */
export const HEAD: readonly string[] = [
  KEYS.state,
  KEYS.past,
  KEYS.author,
  KEYS.renewal,
  'access/',
  'dropped/',
  'gap/',
  'intent/',
  'mirrored/',
  'outbox/',
  'pieces/',
  `ledger/${FIRST}`,
  `piece/${FIRST}/`
]

export function encodeState(s: ReplicaState): Uint8Array {
  const w = new Writer()
  w.optional(s.cursor, c => w.bytes(c.incarnation).u53(c.seq)).optional(s.head, head => w.sized(head))
  return w.u53(s.heardMs).u53(s.highestMs).flag(s.republish).u32(s.accessCount).u32(s.readings).finish()
}

export function decodeState(bytes: Uint8Array): ReplicaState {
  const r = record(bytes)
  return {
    cursor: r.optional(() => ({ incarnation: incarnation(r.bytes(16)), seq: r.u53() })),
    head: r.optional(() => r.sized(RECORD_BYTES_MAX)),
    heardMs: r.u53(),
    highestMs: r.u53(),
    republish: r.flag(),
    accessCount: r.u32(),
    readings: r.u32()
  }
}

export function encodePast({ joins, devicesOut }: Past): Uint8Array {
  const w = new Writer()
  for (const ids of [joins, devicesOut]) w.list([...ids], id => w.bytes(unhex(id)))
  return w.finish()
}

export function decodePast(bytes: Uint8Array): Past {
  const r = record(bytes)
  const ids = () => new Set(r.list(LIST_MAX, () => hex(r.bytes(32))))
  return { joins: ids(), devicesOut: ids() }
}

export function encodeAccess(a: StoredAccess): Uint8Array {
  return new Writer().u53(a.seq).u53(a.timeMs).sized(a.bytes).finish()
}

export function decodeAccess(bytes: Uint8Array): StoredAccess {
  const r = record(bytes)
  return { seq: r.u53(), timeMs: r.u53(), bytes: r.sized(RECORD_BYTES_MAX) }
}

export function encodeLedger(reading: number, { positions, tail }: Ledger): Uint8Array {
  const w = new Writer().u32(reading).u53(tail.bytes).u53(tail.snapshot)
  w.list([...positions], ([device, { reached, id, ahead }]) => {
    w.bytes(unhex(device))
      .u53(reached)
      .optional(id, known => w.bytes(known))
    w.list(ahead, run => w.u53(run.from).u53(run.to).bytes(run.id))
  })
  return w.finish()
}

/** @param reading the one that counts; @param bytes null when nothing is kept */
export function decodeLedger(reading: number, bytes: Uint8Array | null): Ledger {
  const r = bytes && record(bytes)
  if (!r || r.u32() !== reading) return { positions: new Map(), tail: NO_TAIL }
  const tail = { bytes: r.u53(), snapshot: r.u53() }
  const position = () => ({
    reached: r.u53(),
    id: r.optional(() => entryId(r.bytes(32))),
    ahead: r.list(LIST_MAX, () => ({ from: r.u53(), to: r.u53(), id: entryId(r.bytes(32)) }))
  })
  return { positions: new Map(r.list(LIST_MAX, () => [hex(r.bytes(32)), position()])), tail }
}

export function encodePieces(p: Pieces): Uint8Array {
  return new Writer().u53(p.first).u53(p.next).u53(p.tailBytes).u53(p.firstBytes).finish()
}

export function decodePieces(bytes: Uint8Array): Pieces {
  const r = record(bytes)
  return { first: r.u53(), next: r.u53(), tailBytes: r.u53(), firstBytes: r.u53() }
}

export function encodeOutgoing(o: StoredOutgoing): Uint8Array {
  return new Writer().sized(o.entry).sized(o.content).finish()
}

export function decodeOutgoing(bytes: Uint8Array): StoredOutgoing {
  const r = record(bytes)
  return { entry: r.sized(RECORD_BYTES_MAX), content: r.sized(RECORD_BYTES_MAX) }
}

/** The number at the end of a key. */
export function numberOf(key: string): number {
  return Number.parseInt(key.slice(key.lastIndexOf('/') + 1), 16)
}

export function documentOf(key: string): DocumentId {
  return documentId(unhex(key.split('/')[1] ?? ''))
}

export function unhex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], byte => Number.parseInt(byte, 16))
}

export function put(key: string, value: Uint8Array): Change {
  return { key, value }
}

export function del(key: string): Change {
  return { key, value: null }
}

function record(bytes: Uint8Array): Reader {
  return new Reader(bytes, 'BAD_FRAME', 'record')
}
