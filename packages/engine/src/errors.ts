/**
 * What an app can catch: one class, one stable code each, a sentence for a developer, and what to do next.
 * Messages are free to change, codes are not. Never a key, a secret or content in a message.
 */
export type ErrorCode =
  | 'BAD_LINK'
  | 'INVITE_UNKNOWN'
  | 'INVITE_USED'
  | 'INVITE_EXPIRED'
  | 'INVITE_VOID'
  | 'INVITE_NOT_FOR_YOU'
  | 'ALREADY_MEMBER'
  | 'YOU_ARE_THE_OWNER'
  | 'REMOVED'
  | 'STOPPED'
  | 'EXPIRED'
  | 'PLAN_NEEDED'
  | 'APP_TOO_OLD'
  | 'OFFLINE'
  | 'LOCKED'
  | 'ENDED'
  | 'CLOSED'
  | 'READ_ONLY'
  | 'NOT_OWNER'
  | 'NO_ACCESS'
  | 'UNSYNCED'
  | 'LAST_DEVICE'
  | 'PHRASE_WRONG'
  | 'PHRASE_GONE'
  | 'DEVICE_REMOVED'
  | 'DEVICE_CLONED'
  | 'ALREADY_OPEN'
  | 'DISK_FULL'
  | 'NO_PERMISSION'
  | 'STORE_CORRUPT'
  | 'RELAY_BEHIND'
  | 'RELAY_KEY_CHANGED'
  | 'ACCOUNT_STALE'
  | 'RATE_LIMITED'
  | 'DOCUMENT_TOO_BIG'
  | 'BAD_FIELD'
  | 'BAD_UPDATE'
  | 'LIMIT_MEMBERS'
  | 'LIMIT_INVITES'
  | 'LIMIT_ITEMS'
  | 'LIMIT_STORAGE'

export type Retry = 'no' | 'later' | 'after-change'

export class LendError extends Error {
  readonly code: ErrorCode
  readonly retry: Retry
  readonly retryAfterMs?: number
  readonly limit?: number

  constructor(
    code: ErrorCode,
    message: string,
    o: { retry?: Retry; retryAfterMs?: number; limit?: number; cause?: unknown } = {}
  ) {
    super(message, o.cause === undefined ? undefined : { cause: o.cause })
    this.name = 'LendError'
    this.code = code
    this.retry = o.retry ?? 'no'
    if (o.retryAfterMs !== undefined) this.retryAfterMs = o.retryAfterMs
    if (o.limit !== undefined) this.limit = o.limit
  }
}

/** A member wrote to a document that only its owner can write. The document is as it was. */
export class ReadOnlyError extends LendError {
  constructor(message = 'this document is lent to you: only its owner can write it') {
    super('READ_ONLY', message)
    this.name = 'ReadOnlyError'
  }
}
