/**
 * How much of its relay one log may take. Three bounds: of all bytes that it holds; of what it holds for ever, and of its
 * documents, which are in memory while the log is in use. At a bound nobody and nothing new comes in, and what takes away is always taken: there
 * is only so much to take away, so a log ends up little above it.
 */
import {
  type AccessList,
  type Entry,
  hex,
  type LogState,
  limits,
  type Refusal,
  refuse,
  type Statement
} from '@lend/engine'
import type { RelayLimits } from '../config.ts'

/** What an access entry or a drop takes in memory beside its bytes (measured). */
const MEMORY_BYTES = { access: 2048, drop: 512 } as const
/** A snapshot comes before what it releases is gone: so much may be over `logBytes` meanwhile. */
export const SNAPSHOT_RESERVE_BYTES = 8 * limits.SNAPSHOT_BYTES_MAX

/** What an entry adds to what its log holds for ever. */
export function keptBytesOf({ kind, bytes }: Entry): number {
  return kind === 'access' || kind === 'drop' ? bytes.length + MEMORY_BYTES[kind] : 0
}

/**
 * @param statement null for data
 * @returns why there is no room for an entry that is not in the log yet, or null
 */
export function judgeRoom(
  { state, keptBytes }: { readonly state: LogState; readonly keptBytes: number },
  entry: Entry,
  statement: Statement | null,
  { logBytes, logKeptBytes, logDocuments }: Pick<RelayLimits, 'logBytes' | 'logKeptBytes' | 'logDocuments'>
): Refusal | null {
  const isNewDocument = !statement && !state.trails.get(hex(entry.document))?.size
  if (statement ? !bringsIn(state.access.list, statement) : entry.kind === 'drop' && !isNewDocument) return null
  // A document needs room to be dropped later.
  if (keptBytes + keptBytesOf(entry) > logKeptBytes || (isNewDocument && keptBytes >= logKeptBytes)) {
    const sentence = `the log has ${keptBytes} bytes of access entries and drops, at most ${logKeptBytes}`
    return refuse('LIMIT_STORAGE', `entry: ${sentence}; it takes nobody and no document in: share anew`)
  }
  if (isNewDocument && entry.kind !== 'drop' && state.trails.size >= logDocuments) {
    return refuse(
      'LIMIT_STORAGE',
      `entry: the log has ${state.trails.size} documents, the most there may be; drop some`
    )
  }
  const most = entry.kind === 'snapshot' ? logBytes + SNAPSHOT_RESERVE_BYTES : logBytes
  if (state.bytes + entry.bytes.length > most) {
    const sentence = `the log has ${state.bytes} bytes, at most ${most}`
    return refuse('LIMIT_STORAGE', `entry: ${sentence}; write snapshots or drop documents`)
  }
  return null
}

/** Other statements can be written only as often as there is someone or something to end, or to show of an account. */
function bringsIn(list: AccessList | null, s: Statement): boolean {
  switch (s.type) {
    case 'create-library':
    case 'create-share':
    case 'invite':
    case 'join-library':
    case 'join-share':
    case 'lease':
    case 'until':
      return true
    case 'remove-members':
    case 'remove-devices':
      return s.who.length === 0 && !list?.rotationDue
    default:
      return false
  }
}
