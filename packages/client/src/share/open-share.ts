/**
 * A share as it is open on this device, mine or lent: its log, `share.doc`, its title. What differs between owner and
 * member is in owned-share.ts and lent-share.ts.
 */
import {
  type AccountId,
  type DeviceId,
  type DeviceKeys,
  hex,
  LendError,
  SHARE_DOCUMENT,
  type ShareList,
  type Statement,
  standingOf
} from '@lend/engine'
import type * as Y from 'yjs'
import type { ReplicaDocument } from '../log/document.ts'
import { OpenLog } from '../log/open-log.ts'
import { Replica, type ReplicaOptions } from '../log/replica.ts'
import type { RelayConnection } from '../relay/connection.ts'
import type { Ended, Item, ItemId } from './types.ts'

/** Flat values of the share itself, in `share.doc`. */
export const SHARE_ROOT = 'lend.share'

export interface OpenShareOptions {
  readonly replica: Omit<ReplicaOptions, 'edited' | 'refused' | 'moved' | 'dropped'>
  readonly account: AccountId
  readonly device: DeviceKeys
  readonly connection: RelayConnection
  /** The library's entries, see Contact. */
  readonly accountProof: () => readonly Uint8Array[]
  /** The share's log shows that this device was copied or restored, see LogSync. */
  readonly cloned: (device: DeviceId) => void
  /** The share's list says that this device was put out of its account as a clone. */
  readonly putOut: (device: DeviceId) => void
  /** The `account` statement that this share's list lacks; null when it lacks none. */
  readonly due: (list: ShareList) => Statement | null
}

export abstract class OpenShare extends OpenLog<ShareList, Ended> {
  protected readonly account: AccountId
  readonly #cloned: OpenShareOptions['cloned']
  readonly #putOut: OpenShareOptions['putOut']
  readonly #document: ReplicaDocument

  protected constructor(o: OpenShareOptions, replica: Replica, document: ReplicaDocument) {
    const { device, connection } = o
    // Once the share knows this device it asks for no proof.
    const isKnown = () => replica.list !== null && standingOf(replica.list, this.device.id).is !== 'stranger'
    const accountProof = () => (isKnown() ? [] : o.accountProof())
    super({ replica, device, writable: o.replica.writable, connection, accountProof })
    this.account = o.account
    this.#cloned = o.cloned
    this.#putOut = o.putOut
    this.#document = document
  }

  /** The account has other devices or keys than before. */
  rekeyed(): void {
    this.replica.openMoreKeys()
    this.changed()
  }

  cloned(device: DeviceId): void {
    this.#cloned(device)
  }

  /**
   * Whether this device is out because another copy of it became a device of its own; the account is told. Such a device
   * keeps what it has.
   */
  protected isPutOutAsClone(list: ShareList): boolean {
    const { id } = this.device
    if (list.accounts.get(hex(this.account))?.gone.get(hex(id))?.reason !== 'cloned') return false
    this.#putOut(id)
    return true
  }

  /** Closes without another word: the whole account goes from this device. */
  abandon(): Promise<void> {
    return this.halt()
  }

  /** Opens the replica and `share.doc`; connect it with `start`. */
  protected static async parts(
    o: OpenShareOptions,
    on: Pick<ReplicaOptions, 'edited' | 'refused' | 'moved' | 'dropped'>
  ): Promise<{ replica: Replica; document: ReplicaDocument }> {
    const replica = await Replica.open({ ...o.replica, ...on })
    try {
      return { replica, document: await replica.document(SHARE_DOCUMENT) }
    } catch (error) {
      await replica.close()
      throw error
    }
  }

  /** Loads what waits; edits are kept from here on. */
  protected async load(): Promise<void> {
    await this.sync.load()
  }

  get title(): string {
    const title = this.#document.within(doc => doc.getMap(SHARE_ROOT).get('title'))
    return typeof title === 'string' ? title : ''
  }

  get doc(): Y.Doc {
    if (this.isClosed) throw new LendError('CLOSED', 'the account was closed')
    return this.#document.doc
  }

  /** The document, for those inside. */
  protected get shareDocument(): ReplicaDocument {
    return this.#document
  }
}

export function idOf(item: Item | ItemId): ItemId {
  return item instanceof Uint8Array ? item : item.id
}

export function notShared(): LendError {
  return new LendError('BAD_FIELD', 'item: the share has no such item; it may have been taken back', {
    retry: 'after-change'
  })
}
