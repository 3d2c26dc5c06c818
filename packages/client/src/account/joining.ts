/** Looking at a link and joining by it: what happens before there is a replica. */
import {
  authorJoin,
  type DeviceKeys,
  decodeLink,
  decodeStatement,
  deviceKeys,
  epochKeys,
  hex,
  inviteKeys,
  LendError,
  type Link,
  openInvite,
  openPreview,
  Refusal,
  type ShareList,
  type Suite,
  same
} from '@lend/engine'
import { AccessVisit } from '../log/visit.ts'
import { RelayConnection } from '../relay/connection.ts'
import type { Offer } from '../share/types.ts'
import type { World } from '../world.ts'
import type { AccountStore } from './account-store.ts'

/** How long a verb that needs the relay waits for it. */
const RELAY_MS_MAX = 10_000

/** @throws LendError BAD_LINK */
export function readLink(text: string): Link {
  try {
    return decodeLink(text)
  } catch (error) {
    throw new LendError('BAD_LINK', 'this is not a whole Lend link; copy it again', {
      retry: 'after-change',
      cause: error
    })
  }
}

/** What a link offers, without an account and without accepting anything. */
export async function preview(
  suite: Suite,
  world: World,
  text: string,
  o: { signal?: AbortSignal } = {}
): Promise<Offer> {
  const link = readLink(text)
  const device = deviceKeys(suite, world.dice(32))
  const connection = new RelayConnection({ url: link.relayUrl, relayKey: link.relayKey, world, suite, device })
  try {
    return await visiting(suite, world, link, device, connection, o, async (visit, list) =>
      offerOf(suite, link, visit, list)
    )
  } finally {
    connection.close()
  }
}

/**
 * Joins by a link. Resolves when the relay has this account as a member; at once when it is one already.
 * @throws LendError INVITE_*, YOU_ARE_THE_OWNER, OFFLINE, RELAY_KEY_CHANGED
 */
export async function join(
  suite: Suite,
  world: World,
  store: AccountStore,
  link: Link,
  connection: RelayConnection,
  o: { signal?: AbortSignal } = {}
): Promise<void> {
  const { account, device, library, proof, sealing } = store.keys
  const invite = inviteKeys(suite, link.secret)
  await visiting(suite, world, link, device, connection, o, async (visit, first) => {
    if (same(first.owner, account)) throw new LendError('YOU_ARE_THE_OWNER', 'this share is your own')
    await visit.write(list => {
      if (list.members.has(hex(account))) return null
      const open = openInvite(list.invites, invite.id, null)
      if (open instanceof Refusal) throw open
      if (open.bound && !same(open.bound, account)) {
        throw new LendError('INVITE_NOT_FOR_YOU', 'this link is for another account; ask for one of your own')
      }
      const statements = visit.history.records.map(record => decodeStatement(record.entry.payload))
      const keys = epochKeys(suite, link.log, statements, { account, sealingKeys: sealing, invite })
      const epochKey = keys.get(list.epoch)
      if (!epochKey) throw new LendError('BAD_LINK', 'this link does not open its share; ask for a new one')
      const name = store.name
      return authorJoin(
        suite,
        list,
        { keys: invite, account: library, accountProof: proof, device, epochKey, name },
        world.dice
      )
    })
  })
}

async function visiting<T>(
  suite: Suite,
  world: World,
  link: Link,
  device: DeviceKeys,
  connection: RelayConnection,
  o: { signal?: AbortSignal },
  run: (visit: AccessVisit, list: ShareList) => Promise<T>
): Promise<T> {
  if (connection.relayKey && !same(connection.relayKey, link.relayKey)) throw keyChanged()
  const visit = new AccessVisit({ suite, log: link.log, device, invite: inviteKeys(suite, link.secret), connection })
  const stopTimer = world.timer(RELAY_MS_MAX, () => visit.close(offline(connection)))
  const unwatch = connection.watch(() => {
    if (connection.trouble?.keyChanged) visit.close(keyChanged())
  })
  const aborted = () => visit.close(o.signal?.reason)
  o.signal?.addEventListener('abort', aborted)
  if (o.signal?.aborted) aborted()
  connection.open()
  try {
    return await run(visit, await visit.list)
  } catch (error) {
    throw asLendError(error)
  } finally {
    stopTimer()
    unwatch()
    o.signal?.removeEventListener('abort', aborted)
    visit.close(new LendError('CLOSED', 'the visit is over'))
  }
}

function offerOf(suite: Suite, link: Link, visit: AccessVisit, list: ShareList): Offer {
  const keys = inviteKeys(suite, link.secret)
  const open = openInvite(list.invites, keys.id, null)
  if (open instanceof Refusal) throw open
  for (const { statement } of visit.history.records) {
    if (statement.type !== 'invite' || !same(statement.invite, keys.id)) continue
    return {
      kind: link.kind,
      ...openPreview(suite, keys, statement.preview),
      expires: new Date(open.expiresMs),
      ...(open.untilMs === null ? {} : { until: new Date(open.untilMs) })
    }
  }
  throw new LendError('INVITE_UNKNOWN', 'there is no such invite; ask for a new one')
}

/** The relay's refusal of a link, in the words of errors.ts. */
function asLendError(error: unknown): unknown {
  if (!(error instanceof Refusal)) return error
  switch (error.code) {
    case 'INVITE_UNKNOWN':
    case 'INVITE_USED':
    case 'INVITE_EXPIRED':
    case 'INVITE_VOID':
    case 'INVITE_NOT_FOR_YOU':
    case 'ALREADY_MEMBER':
    case 'YOU_ARE_THE_OWNER':
    case 'STOPPED':
    case 'LIMIT_MEMBERS':
    case 'PLAN_NEEDED':
    case 'STORE_CORRUPT':
      return new LendError(error.code, error.message, { cause: error })
    case 'NO_ACCESS':
      return new LendError('INVITE_UNKNOWN', 'this relay knows no such invite; ask for a new one', { cause: error })
    case 'RATE_LIMITED':
      return new LendError('RATE_LIMITED', error.message, {
        retry: 'later',
        ...(error.retryAfterMs === null ? {} : { retryAfterMs: error.retryAfterMs })
      })
    case 'UNKNOWN_VERSION':
      return new LendError('APP_TOO_OLD', 'this link needs a newer version of the app', { cause: error })
    default:
      return new LendError('OFFLINE', `the relay could not be used: ${error.message}`, { retry: 'later', cause: error })
  }
}

function offline(connection: RelayConnection): LendError {
  return new LendError('OFFLINE', `no answer from ${connection.url} within ${RELAY_MS_MAX} ms; try again`, {
    retry: 'later'
  })
}

function keyChanged(): LendError {
  return new LendError(
    'RELAY_KEY_CHANGED',
    'the relay at this address has another key than the link says; ask the owner'
  )
}
