/**
 * The one visible state of a log, from what is known of it. First match wins: what ended or broke, then what keeps it
 * from being read, then what is not yet safe, then where it stands towards its relay.
 */
import type { LendError } from '@lend/engine'
import type { ConnectionState } from '../relay/connection.ts'
import type { LinkState, Progress } from './link.ts'

export type EndReason = 'removed' | 'left' | 'expired' | 'stopped' | 'device-removed' | 'signed-out'

export type Status =
  | { readonly state: 'offline' | 'connecting' }
  | { readonly state: 'syncing'; readonly progress: Progress }
  | { readonly state: 'synced' }
  /** Edits that are not yet durable here. */
  | { readonly state: 'saving'; readonly unsynced: number }
  /** Edits that are durable here and not yet at the relay. */
  | { readonly state: 'saved'; readonly unsynced: number }
  | { readonly state: 'locked'; readonly since: Date }
  | { readonly state: 'ended'; readonly reason: EndReason }
  | { readonly state: 'failed'; readonly error: LendError }

export interface Standing {
  readonly ended: EndReason | null
  readonly failed: LendError | null
  readonly lockedSince: Date | null
  /** Why its relay can't be used until something changes. */
  readonly trouble: LendError | null
  readonly unsaved: number
  readonly unsent: number
  readonly link: LinkState
  readonly connection: ConnectionState
}

export function statusOf(s: Standing): Status {
  if (s.ended) return { state: 'ended', reason: s.ended }
  if (s.failed) return { state: 'failed', error: s.failed }
  if (s.lockedSince) return { state: 'locked', since: s.lockedSince }
  const unsynced = s.unsaved + s.unsent
  if (s.unsaved > 0) return { state: 'saving', unsynced }
  if (s.trouble) return { state: 'failed', error: s.trouble }
  if (s.link.state === 'reading') return { state: 'syncing', progress: s.link.progress }
  if (unsynced > 0) return { state: 'saved', unsynced }
  if (s.link.state === 'live') return { state: 'synced' }
  if (s.link.state === 'asked' || s.connection === 'connecting') return { state: 'connecting' }
  return { state: s.connection === 'open' && s.link.state === 'waiting' ? 'connecting' : 'offline' }
}

export function sameStatus(a: Status, b: Status): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
