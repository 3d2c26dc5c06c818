/**
 * The entry: one signed unit of a log, `header(132) | payload | signature(64)`. Source: docs/PROTOCOL.md, Entry.
 * Here are its bytes and its signature; whether it is valid in a log is log/step.ts.
 */
import {
  type DeviceId,
  type DocumentId,
  deviceId,
  documentId,
  type EntryId,
  entryId,
  type LogId,
  logId,
  NO_DOCUMENT,
  same
} from '../bytes/ids.ts'
import { Reader } from '../bytes/reader.ts'
import { concat, Writer } from '../bytes/writer.ts'
import { paddedBytes } from '../crypto/padding.ts'
import { SEALED_BYTES, type Suite } from '../crypto/suite.ts'
import { ACCESS_BYTES_MAX, COVERS_MAX, SNAPSHOT_BYTES_MAX, UPDATE_BYTES_MAX } from '../limits.ts'
import { Refusal } from '../refusal.ts'

export const VERSION = 1
export const HEADER_BYTES = 132
export const SIGNATURE_BYTES = 64
export const ENTRY_BYTES_MIN = HEADER_BYTES + SIGNATURE_BYTES

export const KINDS = { access: 1, update: 2, snapshot: 3, drop: 4 } as const
export type Kind = keyof typeof KINDS

export interface Header {
  readonly kind: Kind
  readonly log: LogId
  readonly author: DeviceId
  /** NO_DOCUMENT for access entries, and only for them. */
  readonly document: DocumentId
  /** Counts from 1 for each (log, document, device); 0 for access entries. */
  readonly ctr: number
  /** Counts from 1; 0 for access entries. */
  readonly epoch: number
  /** Access: the predecessor, zero for `create`. Data: the newest access entry that the author had verified. */
  readonly accessHead: EntryId
}

export interface Entry extends Header {
  readonly id: EntryId
  /** The whole entry as it travels. */
  readonly bytes: Uint8Array
  /** Views into `bytes`. */
  readonly header: Uint8Array
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  readonly payloadHash: Uint8Array
}

const COVER_BYTES = 32 + 8 + 32
const COVERS_BYTES_MAX = 2 + COVERS_MAX * COVER_BYTES

/** Payload bytes that an entry of each kind may have. */
export const PAYLOAD_BYTES_MAX: Readonly<Record<Kind, number>> = {
  access: ACCESS_BYTES_MAX,
  update: SEALED_BYTES + paddedBytes(UPDATE_BYTES_MAX),
  snapshot: COVERS_BYTES_MAX + SEALED_BYTES + paddedBytes(SNAPSHOT_BYTES_MAX),
  drop: 0
}

/** Payload bytes that a valid entry of each kind has at least: no content is sealed in fewer. */
export const PAYLOAD_BYTES_MIN: Readonly<Record<Kind, number>> = {
  access: 0,
  update: SEALED_BYTES + paddedBytes(0),
  snapshot: 2 + SEALED_BYTES + paddedBytes(0),
  drop: 0
}

const kindByNumber = new Map<number, Kind>(Object.entries(KINDS).map(([kind, number]) => [number, kind as Kind]))

export function encodeHeader(header: Header, payloadBytes: number): Uint8Array {
  return new Writer()
    .u8(VERSION)
    .u8(KINDS[header.kind])
    .u16(0)
    .bytes(header.log)
    .bytes(header.author)
    .bytes(header.document)
    .u53(header.ctr)
    .u32(header.epoch)
    .bytes(header.accessHead)
    .u32(payloadBytes)
    .finish()
}

/** Signs and assembles an entry. @param secretKey the author's, 64 bytes. */
export function signEntry(suite: Suite, header: Header, payload: Uint8Array, secretKey: Uint8Array): Entry {
  const head = encodeHeader(header, payload.length)
  const signature = suite.sign(secretKey, 'entry', head, suite.hash('payload', payload))
  return decodeEntry(suite, concat(head, payload, signature))
}

/** True when the author that the header names has signed exactly these bytes. */
export function verifyEntry(suite: Suite, entry: Entry): boolean {
  return suite.verify(entry.author, entry.signature, 'entry', entry.header, entry.payloadHash)
}

/**
 * Reads one entry; its signature is not checked here.
 * @param bytes exactly one entry; kept, not copied.
 * @throws Refusal UNKNOWN_VERSION, UNKNOWN_KIND, BAD_FLAGS, ENTRY_TOO_BIG, BAD_ENTRY
 */
export function decodeEntry(suite: Suite, bytes: Uint8Array): Entry {
  const reader = new Reader(bytes, 'BAD_ENTRY', 'entry')
  const version = reader.u8()
  if (version !== VERSION)
    throw new Refusal('UNKNOWN_VERSION', `entry: version ${version}, this side speaks ${VERSION}`)
  const kindNumber = reader.u8()
  const kind = kindByNumber.get(kindNumber)
  if (!kind) throw new Refusal('UNKNOWN_KIND', `entry: kind ${kindNumber} is not one of 1 to 4`)
  const flags = reader.u16()
  if (flags !== 0) throw new Refusal('BAD_FLAGS', `entry: flags ${flags}, want 0`)
  const log = logId(reader.bytes(32))
  const author = deviceId(reader.bytes(32))
  const document = documentId(reader.bytes(16))
  const ctr = reader.u53()
  const epoch = reader.u32()
  const accessHead = entryId(reader.bytes(32))
  const payloadBytes = reader.u32()
  if (payloadBytes > PAYLOAD_BYTES_MAX[kind]) {
    throw new Refusal(
      'ENTRY_TOO_BIG',
      `entry: a payload of ${payloadBytes} bytes, ${kind} takes ${PAYLOAD_BYTES_MAX[kind]}`
    )
  }
  const payload = reader.bytes(payloadBytes)
  const signature = reader.bytes(SIGNATURE_BYTES)
  reader.end()
  if (kind === 'access') {
    if (!same(document, NO_DOCUMENT) || ctr !== 0 || epoch !== 0) {
      reader.fail('an access entry has document, ctr and epoch zero')
    }
  } else if (same(document, NO_DOCUMENT) || ctr === 0 || epoch === 0) {
    reader.fail('a data entry has document, ctr and epoch other than zero')
  }
  const header = bytes.subarray(0, HEADER_BYTES)
  const payloadHash = suite.hash('payload', payload)
  const id = entryId(suite.hash('entry id', header, payloadHash, signature))
  return { id, bytes, header, payload, signature, payloadHash, kind, log, author, document, ctr, epoch, accessHead }
}
