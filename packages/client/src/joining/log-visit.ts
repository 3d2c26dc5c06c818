/**
 * A verb's visit to one log: bounded in time, and given up when its relay can't be had. What a link's holder, a device on
 * its way into an account and a recovery have in common.
 */
import { type AccessList, type DeviceKeys, type InviteKeys, LendError, type LogId, type Suite } from '@lend/engine'
import { AccessVisit } from '../log/visit.ts'
import type { RelayConnection } from '../relay/connection.ts'
import type { World } from '../world.ts'

export interface LogVisit<L extends AccessList> {
  readonly suite: Suite
  readonly world: World
  readonly kind: L['kind']
  readonly log: LogId
  readonly device: DeviceKeys
  readonly invite: InviteKeys | null
  readonly connection: RelayConnection
  readonly signal?: AbortSignal | undefined
}

/** How long a verb that needs the relay waits for it. */
const RELAY_MS_MAX = 10_000

/**
 * Runs while the log is visited; its list is whole when it begins.
 * @throws LendError RATE_LIMITED, PLAN_NEEDED, APP_TOO_OLD, RELAY_KEY_CHANGED, OFFLINE after 10 s; the relay's Refusal of this
 * log; what `run` throws; the signal's reason
 */
export async function visitLog<L extends AccessList, T>(
  o: LogVisit<L>,
  run: (visit: AccessVisit<L>, list: L) => Promise<T> | T
): Promise<T> {
  const { world, connection, signal } = o
  const visit = new AccessVisit<L>(o)
  const stopTimer = world.timer(RELAY_MS_MAX, () => visit.close(connection.trouble?.error ?? offline(connection)))
  // What the relay said of a dial that was before ours does not count.
  const unwatch = connection.watch(state => {
    if (state === 'offline' && connection.trouble?.lasts) visit.close(connection.trouble.error)
  })
  const aborted = () => visit.close(signal?.reason)
  signal?.addEventListener('abort', aborted)
  if (signal?.aborted) aborted()
  connection.open()
  try {
    return await run(visit, await visit.list)
  } finally {
    stopTimer()
    unwatch()
    signal?.removeEventListener('abort', aborted)
    visit.close(new LendError('CLOSED', 'the visit is over'))
  }
}

function offline(connection: RelayConnection): LendError {
  return new LendError('OFFLINE', `no answer from ${connection.url} within ${RELAY_MS_MAX} ms; try again`, {
    retry: 'later'
  })
}
