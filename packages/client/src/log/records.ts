/**
 * The records of a replica and how they are written: one place for every key and every layout on a device's disk.
 * Key names hold no content; values are sealed by the store below.
 */
import {
  type Cursor,
  type DocumentId,
  deviceId,
  documentId,
  entryId,
  hex,
  incarnation,
  type Position,
  Reader,
  Writer
} from '@lend/engine'
import type { Change } from '../disk/sealed-store.ts'

const RECORD_BYTES_MAX = 64 * 1024 * 1024
const AHEAD_MAX = 1_000_000

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
}

export const NEW_REPLICA: ReplicaState = {
  cursor: null,
  head: null,
  heardMs: 0,
  highestMs: 0,
  republish: false,
  accessCount: 0
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

/** An entry that the relay has not acknowledged. */
export interface StoredOutgoing {
  readonly entry: Uint8Array
  /** The plaintext: what is sealed again when the epoch has changed. */
  readonly content: Uint8Array
}

const count = (n: number) => n.toString(16).padStart(14, '0')

export const KEYS = {
  state: 'state',
  access: (index: number) => `access/${count(index)}`,
  position: (document: DocumentId, device: string) => `position/${hex(document)}/${device}`,
  pieces: (document: DocumentId) => `pieces/${hex(document)}`,
  piece: (document: DocumentId, n: number) => `piece/${hex(document)}/${count(n)}`,
  tail: (document: DocumentId) => `tail/${hex(document)}`,
  outgoing: (n: number) => `outbox/${count(n)}`,
  intent: (n: number) => `intent/${count(n)}`,
  receipt: (device: string) => `receipt/${device}`
} as const

export function encodeState(s: ReplicaState): Uint8Array {
  const w = new Writer()
  w.optional(s.cursor, c => w.bytes(c.incarnation).u53(c.seq)).optional(s.head, head => w.sized(head))
  return w.u53(s.heardMs).u53(s.highestMs).flag(s.republish).u32(s.accessCount).finish()
}

export function decodeState(bytes: Uint8Array): ReplicaState {
  const r = record(bytes)
  return {
    cursor: r.optional(() => ({ incarnation: incarnation(r.bytes(16)), seq: r.u53() })),
    head: r.optional(() => r.sized(RECORD_BYTES_MAX)),
    heardMs: r.u53(),
    highestMs: r.u53(),
    republish: r.flag(),
    accessCount: r.u32()
  }
}

export function encodeAccess(a: StoredAccess): Uint8Array {
  return new Writer().u53(a.seq).u53(a.timeMs).sized(a.bytes).finish()
}

export function decodeAccess(bytes: Uint8Array): StoredAccess {
  const r = record(bytes)
  return { seq: r.u53(), timeMs: r.u53(), bytes: r.sized(RECORD_BYTES_MAX) }
}

export function encodePosition(p: Position): Uint8Array {
  const w = new Writer().u53(p.reached)
  w.optional(p.id, id => w.bytes(id))
  w.list(p.ahead, ({ from, to, id }) => w.u53(from).u53(to).bytes(id))
  return w.finish()
}

export function decodePosition(bytes: Uint8Array): Position {
  const r = record(bytes)
  return {
    reached: r.u53(),
    id: r.optional(() => entryId(r.bytes(32))),
    ahead: r.list(AHEAD_MAX, () => ({ from: r.u53(), to: r.u53(), id: entryId(r.bytes(32)) }))
  }
}

export function encodePieces(p: Pieces): Uint8Array {
  return new Writer().u53(p.first).u53(p.next).u53(p.tailBytes).u53(p.firstBytes).finish()
}

export function decodePieces(bytes: Uint8Array): Pieces {
  const r = record(bytes)
  return { first: r.u53(), next: r.u53(), tailBytes: r.u53(), firstBytes: r.u53() }
}

export function encodeTail(t: Tail): Uint8Array {
  return new Writer().u53(t.bytes).u53(t.snapshot).finish()
}

export function decodeTail(bytes: Uint8Array): Tail {
  const r = record(bytes)
  return { bytes: r.u53(), snapshot: r.u53() }
}

export function encodeOutgoing(o: StoredOutgoing): Uint8Array {
  return new Writer().sized(o.entry).sized(o.content).finish()
}

export function decodeOutgoing(bytes: Uint8Array): StoredOutgoing {
  const r = record(bytes)
  return { entry: r.sized(RECORD_BYTES_MAX), content: r.sized(RECORD_BYTES_MAX) }
}

/** Splits a position's key. */
export function positionOf(key: string): { document: DocumentId; device: string } {
  const [, document = '', device = ''] = key.split('/')
  return { document: documentId(unhex(document)), device: hex(deviceId(unhex(device))) }
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
