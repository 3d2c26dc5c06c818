/**
 * All that travels: one WebSocket message is one frame, its first byte says which. Encoders and decoders stand side by
 * side; the numbers are in this one table. Source: docs/PROTOCOL.md, Frames.
 */
import { readProof } from '../access/statement.ts'
import {
  type DeviceId,
  deviceId,
  type EntryId,
  entryId,
  type Incarnation,
  type InviteId,
  incarnation,
  inviteId,
  type LogId,
  logId
} from '../bytes/ids.ts'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { FRAME_BYTES_MAX, FRAME_ENTRIES_MAX, REQUEST_ENTRIES_MAX, SENTENCE_BYTES_MAX } from '../limits.ts'
import { HEAD_BYTES } from '../log/head.ts'
import { Refusal, type RefusalCode, refusalCode, refusalNumber } from '../refusal.ts'
import { type Receipt, readReceipt, writeReceipt } from './receipt.ts'

/** Numbers are never reused. 32 to 47 are kept for ephemeral frames. */
export const FRAME_NUMBERS = {
  hello: 1,
  greeting: 2,
  prove: 3,
  welcome: 4,
  follow: 5,
  following: 6,
  unfollow: 7,
  entries: 8,
  append: 9,
  ack: 10,
  offer: 11,
  ready: 12,
  refused: 13,
  receipts: 14,
  'receipts-stored': 15,
  ping: 16,
  pong: 17
} as const

/** Client → relay, first. */
interface Hello {
  readonly type: 'hello'
  readonly nonce: Uint8Array
}

/** Relay → client: who it is, proved over the client's nonce. */
export interface Greeting {
  readonly type: 'greeting'
  readonly relayKey: Uint8Array
  readonly nonce: Uint8Array
  readonly timeMs: number
  readonly signature: Uint8Array
}

/** Client → relay: which device it is, proved over both nonces. */
export interface Prove {
  readonly type: 'prove'
  readonly device: DeviceId
  readonly signature: Uint8Array
}

/** Relay → client: the device is who it says. */
interface Welcome {
  readonly type: 'welcome'
  readonly timeMs: number
}

/** Where a reader of a log is. */
export interface Cursor {
  readonly incarnation: Incarnation
  readonly seq: number
}

/** Client → relay: serve me this log from my cursor. */
export interface Follow {
  readonly type: 'follow'
  readonly log: LogId
  readonly cursor: Cursor | null
  /** The highest head that this device has seen of the log, HEAD_BYTES bytes. */
  readonly head: Uint8Array | null
  /** For who holds a link and is no member yet: shown the access entries. */
  readonly invite: { readonly id: InviteId; readonly signature: Uint8Array } | null
  /** This account's library entries, for a device that the log's list does not have yet. */
  readonly accountProof: readonly Uint8Array[]
}

export const STANDINGS = { owner: 1, member: 2, former: 3, invited: 4, waiting: 5 } as const

/** Relay → client: you are served, and so much is coming. */
export interface Following {
  readonly type: 'following'
  readonly log: LogId
  readonly standing: keyof typeof STANDINGS
  readonly incarnation: Incarnation
  /** Where serving begins: the reader's cursor, or 0 when it must read from the beginning. */
  readonly from: number
  readonly entriesTotal: number
  readonly bytesTotal: number
  readonly head: Uint8Array
}

export interface Unfollow {
  readonly type: 'unfollow'
  readonly log: LogId
}

export interface Placed {
  readonly seq: number
  readonly timeMs: number
  readonly bytes: Uint8Array
}

/** Relay → client: entries, the same bytes for every reader. */
export interface Entries {
  readonly type: 'entries'
  readonly log: LogId
  readonly incarnation: Incarnation
  /** The reader's cursor after these. */
  readonly upTo: number
  readonly head: Uint8Array
  readonly entries: readonly Placed[]
}

/** Client → relay: take these into the log. */
export interface Append {
  readonly type: 'append'
  readonly log: LogId
  /** What the entries are for; zero for a log that the client has not seen yet. */
  readonly incarnation: Incarnation
  readonly entries: readonly Uint8Array[]
}

/** Relay → client: these are durable. */
export interface Ack {
  readonly type: 'ack'
  readonly log: LogId
  readonly head: Uint8Array
  readonly ids: readonly EntryId[]
}

/** Client → relay: access entries that the log lost, verbatim. */
export interface Offer {
  readonly type: 'offer'
  readonly log: LogId
  readonly incarnation: Incarnation
  readonly entries: readonly Uint8Array[]
}

/** Owner device → relay: all that I have of this log is in it; serve the members. */
export interface Ready {
  readonly type: 'ready'
  readonly log: LogId
  readonly incarnation: Incarnation
}

/** Relay → client: no, and why. About one entry (log and id), a log (log), or the session (neither). */
export interface Refused {
  readonly type: 'refused'
  readonly log: LogId | null
  readonly entry: EntryId | null
  readonly code: RefusalCode
  readonly retryAfterMs: number | null
  readonly sentence: string
  /** For CTR_* and COVERED: the highest ctr of that device in that document, and the id under it. */
  readonly top: { readonly ctr: number; readonly id: EntryId } | null
}

/** Device → relay: its own receipt. Relay → owner device: all that wait, when it follows, and each that comes meanwhile. */
export interface Receipts {
  readonly type: 'receipts'
  readonly log: LogId
  readonly receipts: readonly Receipt[]
}

/** Relay → device: its receipt is durable here. Owner device → relay: these are durable with the owner; forget them. */
export interface ReceiptsStored {
  readonly type: 'receipts-stored'
  readonly log: LogId
  readonly devices: readonly DeviceId[]
}

interface Ping {
  readonly type: 'ping'
}

export interface Pong {
  readonly type: 'pong'
  readonly timeMs: number
}

export type Frame =
  | Hello
  | Greeting
  | Prove
  | Welcome
  | Follow
  | Following
  | Unfollow
  | Entries
  | Append
  | Ack
  | Offer
  | Ready
  | Refused
  | Receipts
  | ReceiptsStored
  | Ping
  | Pong

export const PROTOCOL_VERSION = 1
const RECEIPTS_MAX = 1024

const standingByNumber = new Map(
  Object.entries(STANDINGS).map(([name, n]) => [n as number, name as keyof typeof STANDINGS])
)

export function encodeFrame(f: Frame): Uint8Array {
  const w = new Writer().u8(FRAME_NUMBERS[f.type])
  switch (f.type) {
    case 'hello':
      w.u8(PROTOCOL_VERSION).bytes(f.nonce)
      break
    case 'greeting':
      w.u8(PROTOCOL_VERSION).bytes(f.relayKey).bytes(f.nonce).u53(f.timeMs).bytes(f.signature)
      break
    case 'prove':
      w.bytes(f.device).bytes(f.signature)
      break
    case 'welcome':
    case 'pong':
      w.u53(f.timeMs)
      break
    case 'follow':
      w.bytes(f.log)
        .optional(f.cursor, c => w.bytes(c.incarnation).u53(c.seq))
        .optional(f.head, head => w.bytes(head))
      w.optional(f.invite, i => w.bytes(i.id).bytes(i.signature)).list(f.accountProof, entry => w.sized(entry))
      break
    case 'following':
      w.bytes(f.log).u8(STANDINGS[f.standing]).bytes(f.incarnation).u53(f.from)
      w.u53(f.entriesTotal).u53(f.bytesTotal).bytes(f.head)
      break
    case 'unfollow':
      w.bytes(f.log)
      break
    case 'entries':
      w.bytes(f.log).bytes(f.incarnation).u53(f.upTo).bytes(f.head)
      w.list(f.entries, e => w.u53(e.seq).u53(e.timeMs).sized(e.bytes))
      break
    case 'append':
    case 'offer':
      w.bytes(f.log)
        .bytes(f.incarnation)
        .list(f.entries, entry => w.sized(entry))
      break
    case 'ack':
      w.bytes(f.log)
        .bytes(f.head)
        .list(f.ids, id => w.bytes(id))
      break
    case 'ready':
      w.bytes(f.log).bytes(f.incarnation)
      break
    case 'refused':
      w.optional(f.log, log => w.bytes(log))
        .optional(f.entry, id => w.bytes(id))
        .u8(refusalNumber(f.code))
      w.optional(f.retryAfterMs, ms => w.u53(ms)).text(f.sentence)
      w.optional(f.top, top => w.u53(top.ctr).bytes(top.id))
      break
    case 'receipts':
      w.bytes(f.log).list(f.receipts, receipt => writeReceipt(w, receipt))
      break
    case 'receipts-stored':
      w.bytes(f.log).list(f.devices, device => w.bytes(device))
      break
    case 'ping':
      break
  }
  return w.finish()
}

/** @throws Refusal FRAME_TOO_BIG, UNKNOWN_FRAME, UNKNOWN_VERSION, BAD_FRAME */
export function decodeFrame(bytes: Uint8Array, bytesMax: number = FRAME_BYTES_MAX): Frame {
  if (bytes.length > bytesMax) {
    throw new Refusal('FRAME_TOO_BIG', `frame: ${bytes.length} bytes, at most ${bytesMax} at this point`)
  }
  const r = new Reader(bytes, 'BAD_FRAME', 'frame')
  const frame = readFrame(r)
  r.end()
  return frame
}

function readFrame(r: Reader): Frame {
  const number = r.u8()
  const log = () => logId(r.bytes(32))
  const incarnationOf = () => incarnation(r.bytes(16))
  const asked = () => r.list(REQUEST_ENTRIES_MAX, () => r.sized(FRAME_BYTES_MAX))
  switch (number) {
    case FRAME_NUMBERS.hello:
      readVersion(r)
      return { type: 'hello', nonce: r.bytes(32) }
    case FRAME_NUMBERS.greeting:
      readVersion(r)
      return { type: 'greeting', relayKey: r.bytes(32), nonce: r.bytes(32), timeMs: r.u53(), signature: r.bytes(64) }
    case FRAME_NUMBERS.prove:
      return { type: 'prove', device: deviceId(r.bytes(32)), signature: r.bytes(64) }
    case FRAME_NUMBERS.welcome:
      return { type: 'welcome', timeMs: r.u53() }
    case FRAME_NUMBERS.follow:
      return {
        type: 'follow',
        log: log(),
        cursor: r.optional(() => ({ incarnation: incarnationOf(), seq: r.u53() })),
        head: r.optional(() => r.bytes(HEAD_BYTES)),
        invite: r.optional(() => ({ id: inviteId(r.bytes(32)), signature: r.bytes(64) })),
        accountProof: readProof(r)
      }
    case FRAME_NUMBERS.following:
      return {
        type: 'following',
        log: log(),
        standing: readStanding(r),
        incarnation: incarnationOf(),
        from: r.u53(),
        entriesTotal: r.u53(),
        bytesTotal: r.u53(),
        head: r.bytes(HEAD_BYTES)
      }
    case FRAME_NUMBERS.unfollow:
      return { type: 'unfollow', log: log() }
    case FRAME_NUMBERS.entries:
      return {
        type: 'entries',
        log: log(),
        incarnation: incarnationOf(),
        upTo: r.u53(),
        head: r.bytes(HEAD_BYTES),
        entries: r.list(FRAME_ENTRIES_MAX, () => ({ seq: r.u53(), timeMs: r.u53(), bytes: r.sized(FRAME_BYTES_MAX) }))
      }
    case FRAME_NUMBERS.append:
      return {
        type: 'append',
        log: log(),
        incarnation: incarnationOf(),
        entries: asked()
      }
    case FRAME_NUMBERS.ack:
      return {
        type: 'ack',
        log: log(),
        head: r.bytes(HEAD_BYTES),
        ids: r.list(FRAME_ENTRIES_MAX, () => entryId(r.bytes(32)))
      }
    case FRAME_NUMBERS.offer:
      return {
        type: 'offer',
        log: log(),
        incarnation: incarnationOf(),
        entries: asked()
      }
    case FRAME_NUMBERS.ready:
      return { type: 'ready', log: log(), incarnation: incarnationOf() }
    case FRAME_NUMBERS.refused: {
      const refusedLog = r.optional(log)
      const entry = r.optional(() => entryId(r.bytes(32)))
      if (entry && !refusedLog) r.fail('a refused entry without its log')
      return {
        type: 'refused',
        log: refusedLog,
        entry,
        code: readCode(r),
        retryAfterMs: r.optional(() => r.u53()),
        sentence: r.text(SENTENCE_BYTES_MAX),
        top: r.optional(() => ({ ctr: r.u53(), id: entryId(r.bytes(32)) }))
      }
    }
    case FRAME_NUMBERS.receipts:
      return { type: 'receipts', log: log(), receipts: r.list(RECEIPTS_MAX, () => readReceipt(r)) }
    case FRAME_NUMBERS['receipts-stored']:
      return { type: 'receipts-stored', log: log(), devices: r.list(RECEIPTS_MAX, () => deviceId(r.bytes(32))) }
    case FRAME_NUMBERS.ping:
      return { type: 'ping' }
    case FRAME_NUMBERS.pong:
      return { type: 'pong', timeMs: r.u53() }
    default:
      throw new Refusal('UNKNOWN_FRAME', `frame: type ${number} is not one of this version`)
  }
}

function readVersion(r: Reader): void {
  const version = r.u8()
  if (version !== PROTOCOL_VERSION) {
    throw new Refusal('UNKNOWN_VERSION', `frame: protocol ${version}, this side speaks ${PROTOCOL_VERSION}`)
  }
}

function readStanding(r: Reader): keyof typeof STANDINGS {
  const number = r.u8()
  return standingByNumber.get(number) ?? r.fail(`standing ${number} is unknown`)
}

function readCode(r: Reader): RefusalCode {
  const number = r.u8()
  return refusalCode(number) ?? r.fail(`refusal ${number} is unknown`)
}
