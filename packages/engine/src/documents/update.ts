/**
 * Reads a Yjs update of format V1 without a document: which structs and deletions it holds. It takes what Yjs writes and
 * refuses all else, so that Yjs, which checks nothing, never meets what would make it throw halfway, loop, or differ
 * from one reader to the next. The layout is that of Yjs's UpdateEncoderV1; every number is a varuint of lib0:
 *
 *     update  := n, n × (count, client, clock, count × struct), deletes
 *     struct  := 0, length                                     collected
 *              | 10, length                                    skipped: unknown to the writer
 *              | info, [origin id], [right origin id], [parent], content      info: content 1–9 | flags
 *     parent  := (1, root name | 0, id), [key]                 only without any origin
 *     deletes := n, n × (client, count, count × (clock, length))
 */
import * as decoding from 'lib0/decoding'
import { LendError } from '../errors.ts'
import { CLOCK_MAX, STRUCT_LENGTH_MAX, UPDATE_STRUCTS_MAX } from '../limits.ts'
import { bad, byte, count, readContent, readKey } from './struct-content.ts'

export interface Id {
  readonly client: number
  readonly clock: number
}

export interface Run {
  readonly clock: number
  readonly length: number
}

export interface Struct extends Id, Run {
  readonly kind: 'collected' | 'skipped' | 'deleted' | 'type' | 'value'
  readonly origin: Id | null
  readonly rightOrigin: Id | null
  /** The type that it is in: a root's name or the id of a type; null where it is that of an origin. */
  readonly parent: Id | string | null
  /** The key in its type, with `parent`; null where it has none, or that of an origin. */
  readonly key: string | null
}

export interface Update {
  /** In order of clock and without gaps, by client. */
  readonly structs: ReadonlyMap<number, readonly Struct[]>
  /** In order and apart, by client. */
  readonly deletions: ReadonlyMap<number, readonly Run[]>
}

const RIGHT_ORIGIN = 0x40
const ORIGIN = 0x80
const KEYED = 0x20
const CONTENT = 0x1f

/** @throws BAD_UPDATE, with a sentence that names the bound and the value, never content */
export function readUpdate(bytes: Uint8Array): Update {
  const from = decoding.createDecoder(bytes)
  try {
    const structs = readStructs(from)
    const deletions = readDeletions(from)
    const left = bytes.length - from.pos
    if (left > 0) bad(`${left} bytes are left after its end; is it of format V2?`)
    return { structs, deletions }
  } catch (error) {
    if (error instanceof LendError) throw error
    // lib0 or JSON.parse: their sentences may quote content.
    return bad(`it can not be read after byte ${Math.min(from.pos, bytes.length)} of ${bytes.length}`)
  }
}

function readStructs(from: decoding.Decoder): Map<number, Struct[]> {
  const byClient = new Map<number, Struct[]>()
  let total = 0
  for (let clients = count(from); clients > 0; clients--) {
    const structs = count(from)
    total += structs
    if (total > UPDATE_STRUCTS_MAX) bad(`${total} structs are over ${UPDATE_STRUCTS_MAX}`, UPDATE_STRUCTS_MAX)
    let { client, clock } = readId(from)
    if (byClient.has(client)) bad('a client comes twice')
    if (structs === 0) bad('a client has no structs')
    const run: Struct[] = []
    for (let i = 0; i < structs; i++) {
      const struct = readStruct(from, client, clock)
      clock = end(clock, struct.length)
      run.push(struct)
    }
    byClient.set(client, run)
  }
  return byClient
}

function readStruct(from: decoding.Decoder, client: number, clock: number): Struct {
  const info = byte(from)
  const isItem = info !== 0 && info !== 10
  const origin = isItem && (info & ORIGIN) !== 0 ? readEarlierId(from, client, clock) : null
  const rightOrigin = isItem && (info & RIGHT_ORIGIN) !== 0 ? readEarlierId(from, client, clock) : null
  let parent: Id | string | null = null
  let key: string | null = null
  if (isItem && origin === null && rightOrigin === null) {
    parent = decoding.readVarUint(from) === 1 ? readKey(from) : readEarlierId(from, client, clock)
    if ((info & KEYED) !== 0) key = readKey(from)
  }
  const content = info & CONTENT
  const taken = isItem ? readContent(from, content) : decoding.readVarUint(from)
  return { client, clock, length: length(taken), kind: kindOf(info), origin, rightOrigin, parent, key }
}

function kindOf(info: number): Struct['kind'] {
  if (info === 0) return 'collected'
  if (info === 10) return 'skipped'
  const content = info & CONTENT
  return content === 1 ? 'deleted' : content === 7 ? 'type' : 'value'
}

function readDeletions(from: decoding.Decoder): Map<number, Run[]> {
  const byClient = new Map<number, Run[]>()
  let total = 0
  for (let clients = count(from); clients > 0; clients--) {
    const client = whole(decoding.readVarUint(from))
    if (byClient.has(client)) bad('a client comes twice in the deletions')
    const ranges = count(from)
    total += ranges
    if (total > UPDATE_STRUCTS_MAX) bad(`${total} deletions are over ${UPDATE_STRUCTS_MAX}`, UPDATE_STRUCTS_MAX)
    const runs: Run[] = []
    let reached = 0
    for (let i = 0; i < ranges; i++) {
      const clock = decoding.readVarUint(from)
      if (clock < reached) bad('deletions are not in order')
      const deleted = decoding.readVarUint(from)
      if (deleted === 0) bad('a deletion is empty')
      reached = end(clock, deleted)
      runs.push({ clock, length: deleted })
    }
    byClient.set(client, runs)
  }
  return byClient
}

function whole(n: number): number {
  if (!Number.isSafeInteger(n)) bad('a number is over 2^53 − 1')
  return n
}

function readId(from: decoding.Decoder): { client: number; clock: number } {
  return { client: whole(decoding.readVarUint(from)), clock: whole(decoding.readVarUint(from)) }
}

/** Yjs takes for granted that a client refers to its own past only. */
function readEarlierId(from: decoding.Decoder, client: number, clock: number): Id {
  const id = readId(from)
  if (id.client === client && id.clock >= clock) bad('a struct refers to itself or to a later one')
  return id
}

function length(n: number): number {
  if (n === 0) bad('a struct is empty')
  if (n > STRUCT_LENGTH_MAX) bad(`a struct of ${n} clocks is over ${STRUCT_LENGTH_MAX}`, STRUCT_LENGTH_MAX)
  return n
}

function end(clock: number, run: number): number {
  const reached = clock + run
  if (reached > CLOCK_MAX) bad(`a clock of ${reached} is over ${CLOCK_MAX}`, CLOCK_MAX)
  return reached
}
