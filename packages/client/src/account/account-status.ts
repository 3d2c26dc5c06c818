/** The one visible state of an account: that of the share which is furthest from being safe and current. */

import type { Status } from '../log/status.ts'
import type { RelayConnection } from '../relay/connection.ts'

/** @param shares their states; @param own the connection to the account's own relay */
export function accountStatus(shares: readonly Status[], own: Pick<RelayConnection, 'state' | 'trouble'>): Status {
  const unsynced = shares.reduce((sum, s) => sum + ('unsynced' in s ? s.unsynced : 0), 0)
  for (const state of ['failed', 'saving', 'saved', 'syncing'] as const) {
    const found = shares.find(status => status.state === state)
    if (found) return 'unsynced' in found ? { ...found, unsynced } : found
  }
  if (own.trouble?.lasts && own.trouble.error) return { state: 'failed', error: own.trouble.error }
  if (own.state !== 'open') return { state: own.state }
  return shares.find(status => status.state === 'connecting') ?? { state: 'synced' }
}
