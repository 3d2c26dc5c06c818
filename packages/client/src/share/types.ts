/** The faces of shares as apps see them; the classes behind them are owned-share.ts and lent-share.ts. */
import type { AccountId, DeviceId, DocumentId, ErrorCode, LogId } from '@lend/engine'
import type * as Y from 'yjs'
import type { IndexedItem } from '../library/library-index.ts'
import type { LogEvents } from '../log/open-log.ts'
import type { EndReason, Status } from '../log/status.ts'
import type { Stop } from '../world.ts'

export type ShareId = LogId

/** Of an item of one's own: its id in the library. Of one that is lent: its id in that share, and there alone. */
export type ItemId = DocumentId

/** One thing with a kind, as `camera`. */
export type Item = IndexedItem

/**
 * Says which items an item refers to, as a dashboard to its cameras: the app's own knowledge.
 * @param doc the item's document, to be read and not kept
 * @returns their ids, as `Item.id` or as its hex text, which a document can hold; what is none of the library's is passed over
 */
export type Refers = (item: Item, doc: Y.Doc) => Iterable<ItemId | string>

/** An item that is shared, and refers to items that are not: "3 of its 5 cameras are not shared". */
export interface Missing {
  readonly item: Item
  /** All that it refers to, each once, as far as the library has it; shared or not. */
  readonly refersTo: readonly Item[]
  /** Those of them that this share does not have; at least one. */
  readonly notShared: readonly Item[]
}

interface Subscribable<E> {
  on<K extends keyof E>(event: K, listener: (value: E[K]) => void): Stop
}

export type ShareEvents = LogEvents<Ended>

interface ShareBase extends Subscribable<ShareEvents> {
  readonly id: ShareId
  readonly title: string
  readonly status: Status
  /**
   * Mine: the library's items that are selected, also before their copies are at the relay. Lent: those that are here; none
   * while the share is locked. A new array on each change.
   */
  readonly items: readonly Item[]
  /** Title and items under reserved roots (`lend.*`); further roots are the app's. @throws LendError LOCKED, ENDED */
  readonly doc: Y.Doc
  /**
   * The one live document of an item; `doc.destroy()` closes it. Mine: the library's own, and what is written to it is mirrored
   * into every share that has the item; nobody writes the copy in the share. Lent: that copy, which throws ReadOnlyError at
   * each write, and is destroyed when it is unselected.
   * @param item of `items`, or its id
   * @throws LendError BAD_FIELD when the share has no such item (any more), LOCKED, ENDED, CLOSED, STORE_CORRUPT
   */
  open(item: Item | ItemId): Promise<Y.Doc>
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
  /**
   * Items that refer to items which are not shared, by what `OpenOptions.refers` says; none without it. A new array on each
   * change. From the first time that it is asked for every selected item is looked at, and `change` follows what is found.
   */
  readonly missing: readonly Missing[]
  rename(title: string): Promise<void>
  /**
   * Lends items of the library: each gets a copy in this share, which has what the item says from now on, and nothing that
   * it said before. Those that are selected already stay as they are. Resolves when it is saved here.
   * @throws LendError BAD_FIELD, LIMIT_ITEMS, STOPPED, CLOSED
   */
  select(...items: Item[]): Promise<void>
  /** Takes items back: their copies go from every member's device. Resolves when it is saved here. @throws LendError STOPPED, CLOSED */
  unselect(...items: Item[]): Promise<void>
  invite(o?: InviteOptions): Promise<Invite>
  /**
   * Takes a member out; `voided` are the invites that die by it, of those that were `open` or `pending`: all that are for
   * anyone, and those that are for this account. @throws LendError STOPPED, CLOSED
   */
  remove(who: Member): Promise<{ voided: readonly Invite[] }>
  limit(who: Member, until: Date | null): Promise<void>
  stop(): Promise<void>
  /**
   * Who was invited, joined, left, was taken out, when and by which device, oldest first: what the relay has, as far as this
   * device knows it; what is still on its way is not in it. @throws LendError CLOSED
   */
  history(): Promise<readonly HistoryEvent[]>
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
  /** Null on a device that did not make it and cannot know, and until the share's relay was reached for the first time. */
  readonly link: string | null
  readonly name?: string
  readonly bound?: AccountId
  readonly expires: Date
  readonly uses: number
  readonly usedBy: readonly Member[]
  readonly state: 'pending' | 'open' | 'used' | 'expired' | 'void'
  void(): Promise<void>
}

/** Somebody as the owner knows them, at one event of a share's history. */
export type HistoryPerson = Pick<Member, 'account' | 'name' | 'label'>

/** An invite at one event of a share's history; `id` is that of `Share.invites`. */
export type HistoryInvite = Pick<Invite, 'id' | 'name'>

/**
 * One thing that happened to who may read a share; all of it is signed by the device that did it.
 *
 * - `voided`: invites that died, `taken-back` by the owner or because someone was `out` (see `Share.remove`); those whose time
 *   was over are not among them
 * - `limited`: `until` is another; null for without end
 * - `lease`: `leaseMs` is another; null for none
 *
 * What has no meaning to people is left out: new keys, and what accounts said of their devices.
 */
export type HistoryEvent = {
  /** When the relay took it; `created`, on the device that did it, by its own clock. Of what a relay had lost, a device that comes later knows only when it was told again. */
  readonly at: Date
  /** Who did it, on which device; its name when it is, or was, one of the owner's own. */
  readonly by: { readonly account: AccountId; readonly device: DeviceId; readonly deviceName?: string }
} & (
  | { readonly type: 'created' | 'stopped' }
  | {
      readonly type: 'invited'
      readonly invite: HistoryInvite
      readonly uses: number
      readonly expires: Date
      readonly until?: Date
      readonly bound?: AccountId
    }
  | { readonly type: 'voided'; readonly invites: readonly HistoryInvite[]; readonly because: 'taken-back' | 'out' }
  | { readonly type: 'joined'; readonly who: HistoryPerson; readonly invite: HistoryInvite }
  | { readonly type: 'left'; readonly who: HistoryPerson }
  | { readonly type: 'removed'; readonly who: HistoryPerson; readonly reason: 'removed' | 'expired' }
  | { readonly type: 'limited'; readonly who: HistoryPerson; readonly until: Date | null }
  | { readonly type: 'lease'; readonly leaseMs: number | null }
)

/** Who lends a share. */
export interface Owner {
  readonly account: AccountId
  /** As the owner wrote it into the share; empty while this device can't read it. */
  readonly name: string
}

/** A share that is lent to me: every write throws ReadOnlyError. */
export interface LentShare extends ShareBase {
  readonly owner: Owner
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
  /**
   * What `accept` would say for this account; missing when nobody's account asked. ALREADY_MEMBER: it has the share, and
   * `accept` resolves with it.
   */
  readonly answer?: 'ok' | ErrorCode
}

export interface Device {
  readonly id: DeviceId
  readonly name: string
  readonly isThis: boolean
  readonly added: Date
  /**
   * When it was last in contact with the account's relay, by the relay's clock, to the day: each device says so to the others
   * once a day. None for this one.
   */
  readonly lastSeen?: Date
}
