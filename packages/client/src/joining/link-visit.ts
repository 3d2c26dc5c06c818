/** A link, and the visit to the log that it leads to: what looking at it and joining by it have in common. */
import {
  type AccessList,
  type DeviceKeys,
  decodeLink,
  inviteKeys,
  LendError,
  type Link,
  Refusal,
  type Suite,
  same
} from '@lend/engine'
import type { AccessVisit } from '../log/visit.ts'
import type { RelayConnection } from '../relay/connection.ts'
import { isRelayUrl } from '../relay/relay-url.ts'
import { rateLimited, troubleOf } from '../relay/trouble.ts'
import type { World } from '../world.ts'
import { visitLog } from './log-visit.ts'

export interface LinkVisit {
  readonly suite: Suite
  readonly world: World
  readonly link: Link
  readonly device: DeviceKeys
  readonly connection: RelayConnection
  readonly signal?: AbortSignal | undefined
}

/** @throws LendError BAD_LINK */
export function readLink(text: string): Link {
  try {
    const link = decodeLink(text)
    if (isRelayUrl(link.relayUrl)) return link
  } catch (error) {
    throw badLink(error)
  }
  throw badLink()
}

/**
 * Runs while the log of a link is visited; its list is whole when it begins.
 * @throws LendError INVITE_*, STOPPED, LIMIT_MEMBERS, STORE_CORRUPT, those of visitLog, what `run` throws, and the signal's reason
 */
export async function visitLink<L extends AccessList, T>(
  kind: L['kind'],
  o: LinkVisit,
  run: (visit: AccessVisit<L>, list: L) => Promise<T> | T
): Promise<T> {
  const { suite, link, connection } = o
  if (connection.relayKey && !same(connection.relayKey, link.relayKey)) {
    throw troubleOf(new Refusal('BAD_AUTH', 'the link names another key'), true).error
  }
  try {
    return await visitLog<L, T>({ ...o, kind, log: link.log, invite: inviteKeys(suite, link.secret) }, run)
  } catch (error) {
    throw error instanceof Refusal ? linkError(error) : error
  }
}

function badLink(cause?: unknown): LendError {
  return new LendError('BAD_LINK', 'this is not a whole Lend link; copy it again', { retry: 'after-change', cause })
}

/** The relay's refusal of a link, in the words of errors.ts. */
function linkError(refusal: Refusal): LendError {
  switch (refusal.code) {
    case 'INVITE_UNKNOWN':
    case 'INVITE_USED':
    case 'INVITE_EXPIRED':
    case 'INVITE_VOID':
    case 'INVITE_NOT_FOR_YOU':
    case 'ALREADY_MEMBER':
    case 'YOU_ARE_THE_OWNER':
    case 'STOPPED':
      return new LendError(refusal.code, refusal.message, { cause: refusal })
    case 'LIMIT_MEMBERS':
    case 'PLAN_NEEDED':
    case 'STORE_CORRUPT':
      return new LendError(refusal.code, refusal.message, { retry: refusal.retry, cause: refusal })
    case 'NO_ACCESS':
      return new LendError('INVITE_UNKNOWN', 'this relay knows no such invite; ask for a new one', { cause: refusal })
    case 'RATE_LIMITED':
      return rateLimited(refusal)
    case 'UNKNOWN_VERSION':
      return new LendError('APP_TOO_OLD', 'this link needs a newer version of the app', {
        retry: 'after-change',
        cause: refusal
      })
    default:
      return new LendError('OFFLINE', `the relay could not be used: ${refusal.message}`, {
        retry: 'later',
        cause: refusal
      })
  }
}
