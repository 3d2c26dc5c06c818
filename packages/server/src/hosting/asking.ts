/** What a session asks of a log. */
import type { DeviceId, Entry, EntryId, Follow, Incarnation, Receipt } from '@lend/engine'
import type { Requester } from './host.ts'

/** `bytes` is what it holds in memory until it is answered. */
export type Ask = { readonly requester: Requester; readonly bytes: number } & (
  | { readonly ask: 'follow'; readonly follow: Follow }
  | { readonly ask: 'unfollow' }
  | { readonly ask: 'append'; readonly asked: Asked }
  | { readonly ask: 'offer'; readonly entries: readonly Entry[]; readonly incarnation: Incarnation }
  | { readonly ask: 'ready'; readonly incarnation: Incarnation }
  | { readonly ask: 'receipts'; readonly receipts: readonly Receipt[] }
  | { readonly ask: 'receipts-stored'; readonly devices: readonly DeviceId[] }
)

export type AskOf<Name extends Ask['ask']> = Ask & { readonly ask: Name }

/** One entry that asks to be taken. */
export interface Asked {
  readonly entry: Entry
  readonly device: DeviceId
  /** The life of the log that it is for. */
  readonly incarnation: Incarnation
  /** The first entry of its frame: a log that the client has not seen yet begins with its `create`. */
  readonly first: EntryId
}
