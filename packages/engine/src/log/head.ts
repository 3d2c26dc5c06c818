/**
 * A head: a relay's word on how far a log goes, under the relay's MAC, so that it knows its own word when a client shows
 * it one later; and the running hash over entry ids that shows whether two parties saw the same log.
 * Source: docs/PROTOCOL.md, Heads.
 */
import { type EntryId, entryId, type Incarnation, incarnation, type LogId, logId, same } from '../bytes/ids.ts'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import type { Suite } from '../crypto/suite.ts'

export interface Head {
  readonly log: LogId
  readonly incarnation: Incarnation
  readonly seq: number
  /** Over the ids of all entries up to `seq`, forgotten ones too. */
  readonly runningHash: Uint8Array
  /** The newest access entry; zero for an empty log. */
  readonly accessHead: EntryId
  /** Relay time in ms; never goes back. */
  readonly timeMs: number
}

export const HEAD_BYTES = 32 + 16 + 8 + 32 + 32 + 8 + 32

/** The running hash of a log without entries. */
export const RUNNING_HASH_START: Uint8Array = new Uint8Array(32)

export function nextRunningHash(suite: Suite, running: Uint8Array, id: EntryId): Uint8Array {
  return suite.hash('running hash', running, id)
}

/** @param macKey the relay's own secret, 32 bytes @returns HEAD_BYTES bytes */
export function encodeHead(suite: Suite, head: Head, macKey: Uint8Array): Uint8Array {
  const body = new Writer()
    .bytes(head.log)
    .bytes(head.incarnation)
    .u53(head.seq)
    .bytes(head.runningHash)
    .bytes(head.accessHead)
    .u53(head.timeMs)
    .finish()
  return new Writer()
    .bytes(body)
    .bytes(suite.mac(macKey, 'head', body))
    .finish()
}

/** Reads a head as a client does, who can't check its MAC. @throws Refusal BAD_FRAME */
export function decodeHead(bytes: Uint8Array): Head {
  const r = new Reader(bytes, 'BAD_FRAME', 'head')
  const head: Head = {
    log: logId(r.bytes(32)),
    incarnation: incarnation(r.bytes(16)),
    seq: r.u53(),
    runningHash: r.bytes(32),
    accessHead: entryId(r.bytes(32)),
    timeMs: r.u53()
  }
  r.bytes(32)
  r.end()
  return head
}

/**
 * @returns the head if this relay has said it, else null. A session keeps it: it is a copy, apart from the frame that it came in.
 * @throws Refusal BAD_FRAME
 */
export function ownHead(suite: Suite, bytes: Uint8Array, macKey: Uint8Array): Head | null {
  const head = decodeHead(bytes.slice())
  const body = bytes.subarray(0, HEAD_BYTES - 32)
  return same(suite.mac(macKey, 'head', body), bytes.subarray(HEAD_BYTES - 32)) ? head : null
}
