/** One share in the account's list: what is known of it without its replica. */
import { accountId, type LogId, Reader, Writer } from '@lend/engine'
import type { Joined } from '../joining/join.ts'

/** A share that is mine. */
export interface OwnedRecord {
  readonly role: 'owner'
  readonly log: LogId
  /** `creating`: its first entry is not written, since it names the relay's key and the relay was never reached. */
  readonly state: 'created' | 'creating'
  readonly relayUrl: string
  /** Null while `creating`. */
  readonly relayKey: Uint8Array | null
  /** 32 bytes from which the log's id comes. */
  readonly nonce: Uint8Array
  readonly leaseMs: number | null
}

/** A share that is lent to me. */
export interface LentRecord {
  readonly role: 'member'
  readonly log: LogId
  /** `joining`: the join may or may not be in the log. `leaving`: the replica goes, the relay does not know yet. */
  readonly state: 'joined' | 'joining' | 'leaving'
  readonly relayUrl: string
  readonly relayKey: Uint8Array
  /** Null until the join is known to be in the log. */
  readonly joined: Joined | null
}

export type ShareRecord = OwnedRecord | LentRecord

const OWNED_STATES = ['created', 'creating'] as const
const LENT_STATES = ['joined', 'joining', 'leaving'] as const
const TEXT_BYTES_MAX = 4096

export function encodeShareRecord(s: ShareRecord): Uint8Array {
  const w = new Writer().flag(s.role === 'owner')
  if (s.role === 'owner') {
    w.u8(OWNED_STATES.indexOf(s.state)).text(s.relayUrl).bytes(s.nonce)
    w.optional(s.relayKey, key => w.bytes(key)).optional(s.leaseMs, ms => w.u53(ms))
  } else {
    w.u8(LENT_STATES.indexOf(s.state)).text(s.relayUrl).bytes(s.relayKey)
    w.optional(s.joined, ({ owner, sinceMs }) => w.bytes(owner.account).text(owner.name).u53(sinceMs))
  }
  return w.finish()
}

export function decodeShareRecord(log: LogId, bytes: Uint8Array): ShareRecord {
  const r = new Reader(bytes, 'BAD_FRAME', 'record')
  if (r.flag()) {
    return {
      role: 'owner',
      log,
      state: OWNED_STATES[r.u8()] ?? r.fail('it is of another version'),
      relayUrl: r.text(TEXT_BYTES_MAX),
      nonce: r.bytes(32),
      relayKey: r.optional(() => r.bytes(32)),
      leaseMs: r.optional(() => r.u53())
    }
  }
  return {
    role: 'member',
    log,
    state: LENT_STATES[r.u8()] ?? r.fail('it is of another version'),
    relayUrl: r.text(TEXT_BYTES_MAX),
    relayKey: r.bytes(32),
    joined: r.optional(() => ({
      owner: { account: accountId(r.bytes(32)), name: r.text(TEXT_BYTES_MAX) },
      sinceMs: r.u53()
    }))
  }
}
