/**
 * What an app sees when a relay ends a session, or this device does because of what the relay says. Refusals of one log
 * are not sessions' and are told by who asked (log/, joining/).
 *
 * | refusal                                        | status  | told as an `error`                |
 * | ---------------------------------------------- | ------- | --------------------------------- |
 * | the relay proved another key than the pinned   | failed  | RELAY_KEY_CHANGED                 |
 * | UNKNOWN_VERSION, UNKNOWN_FRAME, UNKNOWN_KIND   | failed  | APP_TOO_OLD                       |
 * | PLAN_NEEDED                                    | failed  | PLAN_NEEDED                       |
 * | RATE_LIMITED, LIMIT_CONNECTIONS                | offline | RATE_LIMITED, with `retryAfterMs` |
 * | RELAY_CLOSING, HANDSHAKE_SLOW, STALLED         | offline | nothing: it passes by itself      |
 * | any other                                      | offline | OFFLINE, with the relay's reason  |
 */
import { LendError, type Refusal } from '@lend/engine'

export interface Trouble {
  readonly refusal: Refusal
  /** Null for what passes by itself and needs nobody's attention. */
  readonly error: LendError | null
  /** Trying again does not help: something must change, here or at the relay. */
  readonly lasts: boolean
}

export function troubleOf(refusal: Refusal, keyChanged: boolean): Trouble {
  if (keyChanged) {
    const why = 'the relay at this address has another key than before, or than the link says; ask who runs it'
    return { refusal, error: new LendError('RELAY_KEY_CHANGED', why, { cause: refusal }), lasts: true }
  }
  switch (refusal.code) {
    case 'UNKNOWN_VERSION':
    case 'UNKNOWN_FRAME':
    case 'UNKNOWN_KIND': {
      const why = 'this app and its relay speak different versions; update the app, nothing here is lost'
      const error = new LendError('APP_TOO_OLD', why, { retry: 'after-change', cause: refusal })
      return { refusal, error, lasts: true }
    }
    case 'PLAN_NEEDED': {
      const error = new LendError('PLAN_NEEDED', refusal.message, { retry: 'after-change', cause: refusal })
      return { refusal, error, lasts: true }
    }
    case 'RATE_LIMITED':
    case 'LIMIT_CONNECTIONS':
      return { refusal, error: rateLimited(refusal), lasts: false }
    case 'RELAY_CLOSING':
    case 'HANDSHAKE_SLOW':
    case 'STALLED':
      return { refusal, error: null, lasts: false }
    default: {
      const why = `the relay ended the session (${refusal.code}): ${refusal.message}`
      return { refusal, error: new LendError('OFFLINE', why, { retry: 'later', cause: refusal }), lasts: false }
    }
  }
}

/** A relay's limit, in the words of errors.ts. */
export function rateLimited(refusal: Refusal): LendError {
  const { retryAfterMs } = refusal
  return new LendError('RATE_LIMITED', refusal.message, {
    retry: 'later',
    cause: refusal,
    ...(retryAfterMs === null ? {} : { retryAfterMs })
  })
}
