/**
 * Why an entry, a frame or a session is refused: one table of codes, the same in `step`, on the wire and in the docs.
 * Not here: what an app sees (errors.ts); the client translates.
 */
import type { Retry } from './errors.ts'

/** code → [wire number, what the refused may do]. Numbers are never reused. */
export const REFUSALS = {
  // bytes
  BAD_FRAME: [1, 'no'],
  FRAME_TOO_BIG: [2, 'no'],
  UNKNOWN_FRAME: [3, 'no'],
  BAD_ENTRY: [4, 'no'],
  UNKNOWN_VERSION: [5, 'after-change'],
  UNKNOWN_KIND: [6, 'no'],
  BAD_FLAGS: [7, 'no'],
  ENTRY_TOO_BIG: [8, 'after-change'],
  BAD_STATEMENT: [9, 'no'],
  // sessions
  BAD_AUTH: [16, 'no'],
  HANDSHAKE_SLOW: [17, 'later'],
  FOREIGN_ORIGIN: [18, 'no'],
  NO_ACCESS: [19, 'later'],
  RATE_LIMITED: [20, 'later'],
  LIMIT_CONNECTIONS: [21, 'later'],
  LIMIT_SUBSCRIPTIONS: [22, 'after-change'],
  RELAY_CLOSING: [23, 'later'],
  STORE_CORRUPT: [24, 'later'],
  INCARNATION: [25, 'later'],
  BAD_RECEIPT: [27, 'no'],
  STALLED: [28, 'later'],
  PLAN_NEEDED: [29, 'after-change'],
  UNEXPECTED_FRAME: [30, 'no'],
  // any entry
  FOREIGN_LOG: [32, 'no'],
  BAD_SIGNATURE: [33, 'no'],
  NO_LOG: [34, 'no'],
  NOT_OWNER: [35, 'no'],
  STOPPED: [36, 'no'],
  // data entries
  CTR_REUSED: [48, 'no'],
  CTR_GAP: [49, 'later'],
  COVERED: [50, 'no'],
  COVER_AHEAD: [51, 'after-change'],
  COVER_MISMATCH: [52, 'after-change'],
  EPOCH_STALE: [53, 'after-change'],
  EPOCH_UNKNOWN: [54, 'no'],
  RELAY_BEHIND: [55, 'later'],
  HEAD_AFTER: [56, 'no'],
  DOCUMENT_DROPPED: [57, 'no'],
  LIMIT_STORAGE: [58, 'after-change'],
  COVER_BEHIND: [59, 'after-change'],
  // access entries
  ACCESS_CONFLICT: [64, 'after-change'],
  LOG_EXISTS: [65, 'no'],
  BAD_PROOF: [66, 'no'],
  INVITE_UNKNOWN: [67, 'no'],
  INVITE_USED: [68, 'no'],
  INVITE_EXPIRED: [69, 'no'],
  INVITE_VOID: [70, 'no'],
  INVITE_NOT_FOR_YOU: [71, 'no'],
  INVITE_EXISTS: [72, 'no'],
  ALREADY_MEMBER: [73, 'no'],
  YOU_ARE_THE_OWNER: [74, 'no'],
  NOT_MEMBER: [75, 'no'],
  NOT_DEVICE: [76, 'no'],
  KNOWN_DEVICE: [77, 'no'],
  ROTATE_INCOMPLETE: [78, 'after-change'],
  LIMIT_MEMBERS: [79, 'after-change'],
  LIMIT_INVITES: [80, 'after-change'],
  DEVICE_REMOVED: [81, 'no'],
  ACCOUNT_STALE: [82, 'after-change'],
  LIMIT_ACCESS: [83, 'after-change'],
  RESET_OLD: [84, 'no']
} as const satisfies Record<string, readonly [number, Retry]>

export type RefusalCode = keyof typeof REFUSALS

const byNumber = new Map(Object.entries(REFUSALS).map(([code, [number]]) => [number as number, code as RefusalCode]))

/** A refusal is returned by what judges (`step`) and thrown by what decodes. */
export class Refusal extends Error {
  readonly code: RefusalCode
  readonly retryAfterMs: number | null

  constructor(code: RefusalCode, sentence: string, retryAfterMs: number | null = null) {
    super(sentence)
    this.name = 'Refusal'
    this.code = code
    this.retryAfterMs = retryAfterMs
  }

  get retry(): Retry {
    return REFUSALS[this.code][1]
  }
}

export function refuse(code: RefusalCode, sentence: string): Refusal {
  return new Refusal(code, sentence)
}

export function refusalNumber(code: RefusalCode): number {
  return REFUSALS[code][0]
}

/** @returns the code, or null for a number that this version does not know. */
export function refusalCode(number: number): RefusalCode | null {
  return byNumber.get(number) ?? null
}
