/** The faces of shares as apps see them; the classes behind them are owned-share.ts and lent-share.ts. */
import type { AccountId, DeviceId, LendError, LogId } from '@lend/engine'
import type * as Y from 'yjs'
import type { Progress } from '../log/sync.ts'
import type { Stop } from '../world.ts'
import type { EndReason, Status } from './status.ts'

export type ShareId = LogId

interface Subscribable<E> {
  on<K extends keyof E>(event: K, listener: (value: E[K]) => void): Stop
}

export interface ShareEvents {
  change: undefined
  status: Status
  progress: Progress
  ended: Ended
  refused: LendError
}

interface ShareBase extends Subscribable<ShareEvents> {
  readonly id: ShareId
  readonly title: string
  readonly status: Status
  /** Title and items under reserved roots (`lend.*`); further roots are the app's. @throws LendError LOCKED, ENDED */
  readonly doc: Y.Doc
  /** Resolves when all that is known here is at the relay, and all that is there is here. Rejects when the signal aborts. */
  synced(o?: { signal?: AbortSignal }): Promise<void>
}

export interface InviteOptions {
  /** What the owner calls this person; stays on the owner's devices. */
  name?: string
  /** How many accounts may join by it. Default 1. */
  uses?: number
  /** Default in seven days. */
  expires?: Date
  /** The membership that it gives ends here. */
  until?: Date
  /** Only this account may use it. */
  for?: AccountId
}

/** A share that is mine. */
export interface Share extends ShareBase {
  readonly members: readonly Member[]
  readonly invites: readonly Invite[]
  readonly leaseMs: number | null
  rename(title: string): Promise<void>
  invite(o?: InviteOptions): Promise<Invite>
  /** Takes a member out; `voided` are the open invites that die with it. */
  remove(who: Member): Promise<{ voided: readonly Invite[] }>
  limit(who: Member, until: Date | null): Promise<void>
  stop(): Promise<void>
}

export interface Member {
  readonly account: AccountId
  readonly name: string
  readonly label?: string
  readonly joined: Date
  readonly until?: Date
  readonly state: 'joined' | 'removing' | 'removed' | 'left' | 'expired'
  /** When this state began. */
  readonly at: Date
  readonly devices: number
  /** Devices that said they have deleted their replica. */
  readonly wiped: number
}

export interface Invite {
  readonly id: string
  /** Null on a device that did not make it and cannot know. */
  readonly link: string | null
  readonly name?: string
  readonly bound?: AccountId
  readonly expires: Date
  readonly uses: number
  readonly usedBy: readonly Member[]
  readonly state: 'pending' | 'open' | 'used' | 'expired' | 'void'
  void(): Promise<void>
}

/** A share that is lent to me: every write throws ReadOnlyError. */
export interface LentShare extends ShareBase {
  readonly owner: { readonly account: AccountId; readonly name: string }
  readonly since: Date
  readonly until?: Date | undefined
  readonly leaseEnds: Date | null
  leave(): Promise<void>
}

export interface Ended {
  readonly share: LentShare
  readonly reason: EndReason
  readonly at: Date
  /** False when access ended, true once the replica is gone from this device. */
  readonly wiped: boolean
}

export interface Offer {
  readonly kind: 'share' | 'device'
  readonly owner: string
  readonly title: string
  readonly items: Readonly<Record<string, number>>
  readonly expires: Date
  readonly until?: Date
  readonly presence: boolean
}

export interface Device {
  readonly id: DeviceId
  readonly name: string
  readonly isThis: boolean
  readonly added: Date
}
