/**
 * What a data entry carries: a Yjs update, padded and sealed under the epoch's data key, with the header as associated
 * data; a snapshot states before it, in the clear, which entries it replaces. Source: docs/PROTOCOL.md, Envelope.
 */
import { type DeviceId, deviceId, type EntryId, entryId, hex } from '../bytes/ids.ts'
import { Reader } from '../bytes/reader.ts'
import { concat, Writer } from '../bytes/writer.ts'
import { pad, paddedBytes, unpad } from '../crypto/padding.ts'
import { type Dice, SEALED_BYTES, type Suite } from '../crypto/suite.ts'
import { COVERS_MAX, SNAPSHOT_BYTES_MAX, UPDATE_BYTES_MAX } from '../limits.ts'
import { Refusal } from '../refusal.ts'
import { type Entry, encodeHeader, type Header, signEntry } from './entry.ts'

/** A snapshot replaces this device's entries of its document with a ctr of 1 to `ctr`. */
export interface Cover {
  readonly author: DeviceId
  readonly ctr: number
  /** The id of the entry with that ctr: two entries under one ctr (a clone's) are told apart. */
  readonly id: EntryId
}

const NO_COVERS: readonly Cover[] = []

/** Seals and signs an `update`. @param update at most UPDATE_BYTES_MAX bytes */
export function sealUpdate(
  suite: Suite,
  header: Header & { kind: 'update' },
  update: Uint8Array,
  keys: { dataKey: Uint8Array; secretKey: Uint8Array },
  dice: Dice
): Entry {
  if (update.length > UPDATE_BYTES_MAX) throw tooBig(update.length, UPDATE_BYTES_MAX)
  return sealContent(suite, header, new Uint8Array(0), update, keys, dice)
}

/** Seals and signs a `snapshot`. @param state a whole document, at most SNAPSHOT_BYTES_MAX bytes */
export function sealSnapshot(
  suite: Suite,
  header: Header & { kind: 'snapshot' },
  covers: readonly Cover[],
  state: Uint8Array,
  keys: { dataKey: Uint8Array; secretKey: Uint8Array },
  dice: Dice
): Entry {
  if (state.length > SNAPSHOT_BYTES_MAX) throw tooBig(state.length, SNAPSHOT_BYTES_MAX)
  if (covers.length > COVERS_MAX) throw new RangeError(`${covers.length} covers, at most ${COVERS_MAX}`)
  return sealContent(suite, header, encodeCovers(covers), state, keys, dice)
}

/**
 * The covers of a snapshot; none for other kinds.
 * @throws Refusal BAD_ENTRY
 */
export function coversOf(entry: Entry): readonly Cover[] {
  return entry.kind === 'snapshot' ? readCovers(entry).covers : NO_COVERS
}

/**
 * Opens an `update` or `snapshot`.
 * @returns the Yjs update
 * @throws Refusal BAD_ENTRY when it was sealed under another key or is not padded in the one way
 */
export function openContent(suite: Suite, entry: Entry, dataKey: Uint8Array): Uint8Array {
  const { prefix, sealed } =
    entry.kind === 'snapshot' ? readCovers(entry) : { prefix: new Uint8Array(0), sealed: entry.payload }
  const padded = suite.open(dataKey, sealed, concat(entry.header, prefix))
  if (!padded) throw new Refusal('BAD_ENTRY', 'entry: its content does not open under its epoch')
  const content = unpad(padded)
  if (!content) throw new Refusal('BAD_ENTRY', 'entry: its content is not padded as the protocol says')
  const max = entry.kind === 'snapshot' ? SNAPSHOT_BYTES_MAX : UPDATE_BYTES_MAX
  if (content.length > max)
    throw new Refusal('BAD_ENTRY', `entry: a content of ${content.length} bytes, at most ${max}`)
  return content
}

function sealContent(
  suite: Suite,
  header: Header,
  prefix: Uint8Array,
  content: Uint8Array,
  keys: { dataKey: Uint8Array; secretKey: Uint8Array },
  dice: Dice
): Entry {
  const bytes = encodeHeader(header, prefix.length + SEALED_BYTES + paddedBytes(content.length))
  const sealed = suite.seal(keys.dataKey, pad(content), concat(bytes, prefix), dice)
  return signEntry(suite, header, concat(prefix, sealed), keys.secretKey)
}

function encodeCovers(covers: readonly Cover[]): Uint8Array {
  const sorted = [...covers].sort((a, b) => (hex(a.author) < hex(b.author) ? -1 : 1))
  const writer = new Writer().u16(sorted.length)
  for (const { author, ctr, id } of sorted) writer.bytes(author).u53(ctr).bytes(id)
  return writer.finish()
}

function readCovers(entry: Entry): { covers: Cover[]; prefix: Uint8Array; sealed: Uint8Array } {
  const reader = new Reader(entry.payload, 'BAD_ENTRY', 'snapshot')
  const count = reader.u16()
  if (count > COVERS_MAX) reader.fail(`${count} covers, at most ${COVERS_MAX}`)
  const covers: Cover[] = []
  let last = ''
  for (let i = 0; i < count; i++) {
    const cover = { author: deviceId(reader.bytes(32)), ctr: reader.u53(), id: entryId(reader.bytes(32)) }
    const author = hex(cover.author)
    if (author <= last) reader.fail('covers are not in order of their device')
    if (cover.ctr === 0) reader.fail('a cover of nothing')
    last = author
    covers.push(cover)
  }
  return { covers, prefix: entry.payload.subarray(0, reader.at), sealed: reader.rest() }
}

function tooBig(bytes: number, max: number): RangeError {
  return new RangeError(`a content of ${bytes} bytes, at most ${max}`)
}
