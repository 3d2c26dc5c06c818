/**
 * The records of the LevelDB store: their keys, their layouts, and what tells a sound one from a damaged one. The layouts
 * stand at the head of level-store.ts, and why.
 */
import { createHash } from 'node:crypto'
import type { LogId } from '@lend/engine'
import { type Seq, StoreCorrupt, type Stored } from './log-store.ts'

const VERSION = 1
export const LOG_BYTES = 32
export const KEY_BYTES = LOG_BYTES + 8
export const INCARNATION_BYTES = 16
export const HASH_BYTES = 32
const CHECKSUM_BYTES = 16
const RECORD_HEAD_BYTES = 1 + 8 + HASH_BYTES
const META_BYTES = 1 + INCARNATION_BYTES + 3 * 8 + 2 * CHECKSUM_BYTES

export type Operation = { type: 'put'; key: Uint8Array; value: Uint8Array } | { type: 'del'; key: Uint8Array }

/** What a log holds. */
export interface Tally {
  records: number
  bytes: number
  digest: Uint8Array
}

export interface Meta extends Readonly<Tally> {
  readonly incarnation: Uint8Array
  readonly head: Seq
}

export function keyOf(log: LogId, seq: Seq): Uint8Array {
  const key = Buffer.alloc(KEY_BYTES)
  key.set(log)
  key.writeBigUInt64BE(BigInt(seq), LOG_BYTES)
  return key
}

export function rangeOf(log: LogId): { gte: Uint8Array; lte: Uint8Array } {
  return { gte: keyOf(log, 0), lte: Buffer.concat([log, Buffer.alloc(8, 0xff)]) }
}

export function encodeRecord(key: Uint8Array, incarnation: Uint8Array, entry: Stored): Uint8Array {
  const value = Buffer.allocUnsafe(RECORD_HEAD_BYTES + entry.bytes.length + CHECKSUM_BYTES)
  value.writeUInt8(VERSION, 0)
  value.writeBigUInt64BE(BigInt(entry.timeMs), 1)
  value.set(entry.runningHash, 1 + 8)
  value.set(entry.bytes, RECORD_HEAD_BYTES)
  value.set(checksum(key, incarnation, bodyOf(value)), value.length - CHECKSUM_BYTES)
  return value
}

export function decodeRecord(log: LogId, meta: Meta, key: Uint8Array, value: Uint8Array): Stored {
  const sound =
    value.length >= RECORD_HEAD_BYTES + CHECKSUM_BYTES &&
    Buffer.compare(checksum(key, meta.incarnation, bodyOf(value)), checksumOf(value)) === 0
  if (!sound) throw new StoreCorrupt(log, `log ${short(log)}: a record has the wrong checksum`)
  const buffer = Buffer.from(value.buffer, value.byteOffset, value.length)
  if (buffer.readUInt8(0) !== VERSION) throw new StoreCorrupt(log, `log ${short(log)}: a record of an unknown version`)
  const seq = Number(Buffer.from(key).readBigUInt64BE(LOG_BYTES))
  if (seq > meta.head) throw new StoreCorrupt(log, `log ${short(log)}: record ${seq} is beyond the head ${meta.head}`)
  return {
    seq,
    timeMs: Number(buffer.readBigUInt64BE(1)),
    runningHash: part(value, 1 + 8, HASH_BYTES),
    bytes: part(value, RECORD_HEAD_BYTES, value.length - RECORD_HEAD_BYTES - CHECKSUM_BYTES)
  }
}

export function metaOperation(log: LogId, meta: Meta | undefined): Operation {
  const key = keyOf(log, 0)
  return meta ? { type: 'put', key, value: encodeMeta(key, meta) } : { type: 'del', key }
}

function encodeMeta(key: Uint8Array, meta: Meta): Uint8Array {
  const value = Buffer.alloc(META_BYTES)
  let at = value.writeUInt8(VERSION, 0)
  value.set(meta.incarnation, at)
  at += INCARNATION_BYTES
  for (const number of [meta.head, meta.records, meta.bytes]) at = value.writeBigUInt64BE(BigInt(number), at)
  value.set(meta.digest, at)
  value.set(checksum(key, bodyOf(value)), at + CHECKSUM_BYTES)
  return value
}

export function decodeMeta(log: LogId, value: Uint8Array): Meta {
  const sound =
    value.length === META_BYTES && Buffer.compare(checksum(keyOf(log, 0), bodyOf(value)), checksumOf(value)) === 0
  if (!sound) throw new StoreCorrupt(log, `log ${short(log)}: its meta record has the wrong checksum`)
  const buffer = Buffer.from(value.buffer, value.byteOffset, value.length)
  if (buffer.readUInt8(0) !== VERSION) throw new StoreCorrupt(log, `log ${short(log)}: its meta has an unknown version`)
  const numbers = 1 + INCARNATION_BYTES
  return {
    incarnation: part(value, 1, INCARNATION_BYTES),
    head: Number(buffer.readBigUInt64BE(numbers)),
    records: Number(buffer.readBigUInt64BE(numbers + 8)),
    bytes: Number(buffer.readBigUInt64BE(numbers + 16)),
    digest: part(value, numbers + 24, CHECKSUM_BYTES)
  }
}

/** The meta record, given the first key and value of a log's range. */
export function firstOf(log: LogId, first: [Uint8Array, Uint8Array] | undefined): Meta | undefined {
  if (first === undefined) return undefined
  const [key, value] = first
  if (Buffer.compare(key, keyOf(log, 0)) === 0) return decodeMeta(log, value)
  throw new StoreCorrupt(log, `log ${short(log)}: its meta record is lost`)
}

export function tallyOf(tally?: Readonly<Tally>): Tally {
  return tally
    ? { records: tally.records, bytes: tally.bytes, digest: Uint8Array.from(tally.digest) }
    : { records: 0, bytes: 0, digest: new Uint8Array(CHECKSUM_BYTES) }
}

export function count(tally: Tally, value: Uint8Array, by: 1 | -1): void {
  tally.records += by
  tally.bytes += by * (value.length - RECORD_HEAD_BYTES - CHECKSUM_BYTES)
  const sum = checksumOf(value)
  tally.digest = tally.digest.map((byte, i) => byte ^ (sum[i] ?? 0))
}

export function compare(log: LogId, meta: Meta, seen: Readonly<Tally>): void {
  if (seen.records === meta.records && seen.bytes === meta.bytes && hex(seen.digest) === hex(meta.digest)) return
  const found = `${seen.records} records of ${seen.bytes} bytes`
  const want = `${meta.records} of ${meta.bytes} bytes`
  throw new StoreCorrupt(log, `log ${short(log)}: found ${found}, want ${want}, or not the same ones`)
}

function checksum(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('blake2b512')
  for (const bytes of parts) hash.update(bytes)
  return hash.digest().subarray(0, CHECKSUM_BYTES)
}

function bodyOf(value: Uint8Array): Uint8Array {
  return value.subarray(0, value.length - CHECKSUM_BYTES)
}

function checksumOf(value: Uint8Array): Uint8Array {
  return value.subarray(value.length - CHECKSUM_BYTES)
}

/** A plain Uint8Array even where LevelDB hands out a Buffer, whose `slice` would not copy. */
function part(value: Uint8Array, at: number, length: number): Uint8Array {
  return new Uint8Array(value.buffer, value.byteOffset + at, length)
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}

export function short(log: LogId): string {
  return hex(log.subarray(0, 4))
}
