/**
 * What a valid log is. `step` judges the next entry against the fold of all before it and, if it is valid, advances the
 * fold: the same code in relay, client, hub and simulator. Cheap checks first, the signature last; `ctr` before epoch, so
 * that a lost acknowledgement is answered with the original one. Source: docs/PROTOCOL.md, Validity.
 *
 * The state is a fold of what is stored and of nothing else. It belongs to one caller and is advanced in place (a copy of
 * every counter for each keystroke would be the price of doing otherwise); a refused entry leaves it as it was.
 */
import { type DocumentId, type EntryId, entryId, hex, SHARE_DOCUMENT, same } from '../bytes/ids.ts'
import type { Suite } from '../crypto/suite.ts'
import { type Cover, coversOf } from '../entry/content.ts'
import { type Entry, PAYLOAD_BYTES_MIN, verifyEntry } from '../entry/entry.ts'
import { UNCOVERED_ENTRIES_MAX } from '../limits.ts'
import { Refusal, refuse } from '../refusal.ts'
import { nextRunningHash, RUNNING_HASH_START } from './head.ts'
import { AccessHistory } from './history.ts'
import { Trail } from './trail.ts'

/** Where a log puts an entry. */
export interface Place {
  readonly seq: number
  /** Relay time. */
  readonly timeMs: number
}

/** Where an entry stands in a store. */
export interface StoredPlace extends Place {
  /** Over all entries up to this one, forgotten ones too. */
  readonly runningHash: Uint8Array
}

export interface LogState {
  readonly suite: Suite
  readonly access: AccessHistory
  /** Document hex → device hex → its entries; none once it is dropped. */
  readonly trails: Map<string, Map<string, Trail>>
  /** Document hex → its `drop`, which stays for ever: no entry of it comes after. */
  readonly dropped: Map<string, { readonly id: EntryId; readonly seq: number }>
  seq: number
  timeMs: number
  runningHash: Uint8Array
  /** Data entries that are still there, and the bytes of all entries. */
  entries: number
  bytes: number
}

/** What a valid entry did. */
export type Step =
  | {
      readonly taken: true /** What is now released, by a snapshot, a drop or the stop. */
      readonly released: readonly number[]
    }
  /** These bytes are in the log already, at this seq, or were and are covered (null). */
  | { readonly taken: false; readonly seq: number | null }

export function emptyLog(suite: Suite): LogState {
  return {
    suite,
    access: new AccessHistory(suite),
    trails: new Map(),
    dropped: new Map(),
    seq: 0,
    timeMs: 0,
    runningHash: RUNNING_HASH_START,
    entries: 0,
    bytes: 0
  }
}

/** Judges an entry that asks to be the next one, as the relay that orders the log does, and folds it if it is valid. */
export function step(state: LogState, entry: Entry, place: Place): Step | Refusal {
  if (entry.kind === 'access') {
    const index = state.access.indexOf(entry.id)
    if (index !== null) return { taken: false, seq: state.access.records[index]?.seq ?? null }
    const refusal = state.access.fold(entry, place.seq, place.timeMs, { timeMs: place.timeMs, signatures: true })
    if (refusal) return refusal
    const runningHash = nextRunningHash(state.suite, state.runningHash, entry.id)
    return { taken: true, released: foldAccess(state, entry, { ...place, runningHash }) }
  }
  const judged = judgeData(state, entry, place)
  if (judged instanceof Refusal || 'taken' in judged) return judged
  const runningHash = nextRunningHash(state.suite, state.runningHash, entry.id)
  return { taken: true, released: fold(state, entry, judged, { ...place, runningHash }) }
}

/**
 * Folds an entry that is in the log: read from one's own store, where it was judged when it came in. Folding a compacted
 * log gives the state that the live one had.
 * @returns the seqs that it released; a crash may have left some in the store
 */
export function foldStored(state: LogState, entry: Entry, place: StoredPlace): readonly number[] | Refusal {
  if (entry.kind !== 'access') {
    const covers = readCovers(entry)
    return covers instanceof Refusal ? covers : fold(state, entry, covers, place)
  }
  const refusal = state.access.fold(entry, place.seq, place.timeMs, { timeMs: null, signatures: false })
  return refusal ?? foldAccess(state, entry, place)
}

/** The highest ctr of a device in a document, and the id under it: what tells a clone from a lost acknowledgement. */
export function topOf(state: LogState, entry: Entry): { ctr: number; id: EntryId } | null {
  const trail = state.trails.get(hex(entry.document))?.get(hex(entry.author))
  const id = trail?.idAt(trail.top)
  return trail && id ? { ctr: trail.top, id: entryId(id) } : null
}

/** @returns the covers of a valid entry, or what `step` answers instead of taking it */
function judgeData(state: LogState, entry: Entry, place: Place): readonly Cover[] | Step | Refusal {
  const list = state.access.list
  if (!list) return refuse('NO_LOG', 'entry: its log does not exist here')
  if (!same(entry.log, list.kind === 'library' ? list.account : list.log)) {
    return refuse('FOREIGN_LOG', 'entry: it belongs to another log')
  }
  if (entry.kind === 'drop' && same(entry.document, SHARE_DOCUMENT)) {
    return refuse('BAD_ENTRY', 'drop: the first document lasts as long as its log; stop the share instead')
  }
  const dropped = state.dropped.get(hex(entry.document))
  if (dropped && same(dropped.id, entry.id)) return { taken: false, seq: dropped.seq }
  const trail = trailOf(state, entry.document, entry.author)
  const top = trail?.top ?? 0
  if (entry.ctr <= top) return judgeUsedCtr(trail, entry)
  if (list.stopped) return refuse('STOPPED', 'entry: its owner has stopped this log')
  if (dropped) return refuse('DOCUMENT_DROPPED', 'entry: its document was dropped')
  const refusal = state.access.judgeData(entry, place.seq)
  if (entry.ctr > top + 1 && refusal?.code !== 'RELAY_BEHIND' && refusal?.code !== 'NOT_OWNER') {
    return refuse('CTR_GAP', `entry: ctr ${entry.ctr}, want ${top + 1}`)
  }
  if (refusal) return refusal
  // Snapshots and drops pass: they are the way back under the limit.
  if (entry.kind === 'update' && state.entries >= UNCOVERED_ENTRIES_MAX) {
    return refuse(
      'LIMIT_STORAGE',
      `entry: the log has ${state.entries} entries that no snapshot covers; write a snapshot`
    )
  }
  if (entry.payload.length < PAYLOAD_BYTES_MIN[entry.kind]) {
    return refuse('BAD_ENTRY', `entry: a payload of ${entry.payload.length} bytes, no content is sealed in so few`)
  }
  const covers = readCovers(entry)
  if (covers instanceof Refusal) return covers
  const wrong = judgeCovers(state, entry, covers)
  if (wrong) return wrong
  if (!verifyEntry(state.suite, entry)) return refuse('BAD_SIGNATURE', 'entry: its signature is not its author’s')
  return covers
}

function judgeCovers(state: LogState, entry: Entry, covers: readonly Cover[]): Refusal | null {
  if (entry.kind !== 'snapshot') return null
  const trails = state.trails.get(hex(entry.document)) ?? new Map<string, Trail>()
  const ctrs = new Map(covers.map(cover => [hex(cover.author), cover.ctr]))
  // What an earlier snapshot covered stays covered when this one replaces it, or a compacted log would fold to less.
  for (const [device, { covered }] of trails) {
    if ((ctrs.get(device) ?? 0) < covered.ctr) {
      return refuse('COVER_BEHIND', 'snapshot: it covers less than one before it; read on and write it anew')
    }
  }
  for (const cover of covers) {
    const covered = trails.get(hex(cover.author))
    if (!covered || cover.ctr > covered.top) return refuse('COVER_AHEAD', 'snapshot: it covers what is not in the log')
    if (!covered.holds(cover.ctr, cover.id)) {
      return refuse('COVER_MISMATCH', 'snapshot: it covers another entry than the log has')
    }
  }
  return null
}

function readCovers(entry: Entry): readonly Cover[] | Refusal {
  try {
    return coversOf(entry)
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
}

function judgeUsedCtr(trail: Trail | undefined, entry: Entry): Step | Refusal {
  if (trail?.holds(entry.ctr, entry.id)) return { taken: false, seq: trail.seqAt(entry.ctr) }
  if (trail && trail.idAt(entry.ctr) === null) {
    return refuse('COVERED', `entry: ctr ${entry.ctr} is covered by a snapshot`)
  }
  return refuse('CTR_REUSED', `entry: ctr ${entry.ctr} was used for other bytes; this device was cloned or restored`)
}

/** After `state.access` has taken it. @returns the seqs that are released: all data, once the log is stopped */
function foldAccess(state: LogState, entry: Entry, place: StoredPlace): number[] {
  advance(state, entry, place)
  const { list } = state.access
  if (!list?.stopped) return []
  const released = [...state.trails.values()].flatMap(trails => [...trails.values()].flatMap(trail => trail.entries()))
  state.trails.clear()
  return release(state, released)
}

/** @returns the seqs that are released */
function fold(state: LogState, entry: Entry, covers: readonly Cover[], place: StoredPlace): number[] {
  const released: { seq: number; bytes: number }[] = []
  const document = hex(entry.document)
  if (entry.kind === 'drop') {
    const trails = state.trails.get(document)?.values() ?? []
    for (const trail of trails) for (const entry of trail.entries()) released.push(entry)
    state.trails.delete(document)
    state.dropped.set(document, { id: entry.id, seq: place.seq })
  } else {
    const trails = getOrMake(state.trails, document, () => new Map<string, Trail>())
    getOrMake(trails, hex(entry.author), () => new Trail()).add(entry.ctr, entry.id, place.seq, entry.bytes.length)
    for (const cover of covers) {
      const trail = getOrMake(trails, hex(cover.author), () => new Trail())
      // One by one: there may be more of them than a call takes arguments.
      for (const entry of trail.cover(cover.ctr, cover.id)) released.push(entry)
    }
    state.entries++
  }
  advance(state, entry, place)
  return release(state, released)
}

function release(state: LogState, released: readonly { readonly seq: number; readonly bytes: number }[]): number[] {
  for (const { bytes } of released) state.bytes -= bytes
  state.entries -= released.length
  return released.map(({ seq }) => seq)
}

function advance(state: LogState, entry: Entry, place: StoredPlace): void {
  state.seq = place.seq
  state.timeMs = place.timeMs
  state.runningHash = place.runningHash
  state.bytes += entry.bytes.length
}

function trailOf(state: LogState, document: DocumentId, device: Uint8Array): Trail | undefined {
  return state.trails.get(hex(document))?.get(hex(device))
}

function getOrMake<V>(map: Map<string, V>, key: string, make: () => V): V {
  const found = map.get(key)
  if (found !== undefined) return found
  const made = make()
  map.set(key, made)
  return made
}
