/**
 * What an account keeps on this device beside its replicas: its seeds, which shares it has here, the keys of relays,
 * receipts still to be delivered. The library is kept in the same database, so opening an app opens one directory. What
 * all devices of the account know alike is in the library (library/).
 */
import {
  type DeviceKeys,
  deviceKeys,
  hex,
  type LendError,
  type LogId,
  logId,
  Reader,
  type Receipt,
  readReceipt,
  type Suite,
  Writer,
  writeReceipt
} from '@lend/engine'
import { forgotten } from '../disk/resting-store.ts'
import { type Change, SealedStore } from '../disk/sealed-store.ts'
import type { LibraryLog } from '../library/library-log.ts'
import { del, put, unhex } from '../log/records.ts'
import type { Disk, World } from '../world.ts'
import { decodeSeeds, encodeSeeds, type Seeds } from './account-keys.ts'
import { decodeShareRecord, encodeShareRecord, type ShareRecord } from './share-record.ts'

/** What every part of an open account works with. */
export interface Home {
  readonly suite: Suite
  readonly world: World
  readonly disk: Disk
  readonly store: AccountStore
  readonly library: LibraryLog
  /** Tells the app of trouble that is no verb's. */
  readonly tell: (error: LendError) => void
}

/** Before the library is open. */
export type Place = Omit<Home, 'library'>

/** A folder that may not hold an account yet. */
export interface Folder {
  readonly suite: Suite
  readonly world: World
  readonly disk: Disk
  readonly store: SealedStore
}

/**
 * How a folder comes to hold an account: writes its first records, see accountRecords.
 * @param seeds of the account that it holds already, which are then the answer or the reason to refuse
 */
export type Begin = (folder: Folder, seeds: Seeds | null) => Promise<Seeds>

/** A receipt that its relay has not taken yet. */
export interface DueReceipt {
  readonly relayUrl: string
  readonly receipt: Receipt
}

export const ACCOUNT_DATABASE = 'account'
export const ACCOUNT_KEY_FILE = 'account.key'

const SEEDS = 'seeds'
const PUT_OUT = 'put-out'
const TEXT_BYTES_MAX = 4096

export class AccountStore {
  /** The library's replica is kept in it too, and shares rest in it. */
  readonly sealed: SealedStore
  readonly #suite: Suite
  #device: DeviceKeys
  #isPutOut = false
  #seeds: Seeds
  #shares = new Map<string, ShareRecord>()
  #receipts = new Map<string, DueReceipt>()
  #relays = new Map<string, Uint8Array>()

  private constructor(suite: Suite, store: SealedStore, seeds: Seeds) {
    this.sealed = store
    this.#suite = suite
    this.#seeds = seeds
    this.#device = deviceKeys(suite, seeds.deviceSeed)
  }

  /** @throws LendError of the disk, and those of `begin` */
  static async open(o: Omit<Folder, 'store'>, begin: Begin): Promise<AccountStore> {
    const { suite, world, disk } = o
    const place = { name: ACCOUNT_DATABASE, keyFile: ACCOUNT_KEY_FILE }
    const store = await SealedStore.open({ suite, dice: world.dice, disk, ...place })
    try {
      const stored = await store.get(SEEDS)
      const seeds = await begin({ ...o, store }, stored && decodeSeeds(stored))
      const account = new AccountStore(suite, store, seeds)
      await account.#load()
      return account
    } catch (error) {
      await store.close()
      throw error
    }
  }

  /** This device. */
  get device(): DeviceKeys {
    return this.#device
  }

  get seeds(): Seeds {
    return this.#seeds
  }

  /** Another copy of this device took its place in the account. */
  get isPutOut(): boolean {
    return this.#isPutOut
  }

  async putOut(): Promise<void> {
    this.#isPutOut = true
    await this.#write(put(PUT_OUT, new Uint8Array(0)))
  }

  /** This device is another one from now on. @param keep writes the changes that say so */
  async become(seeds: Seeds, keep: (device: DeviceKeys, changes: readonly Change[]) => Promise<void>): Promise<void> {
    const device = deviceKeys(this.#suite, seeds.deviceSeed)
    await keep(device, freshRecords(seeds))
    this.#seeds = seeds
    this.#device = device
    this.#isPutOut = false
  }

  get relayUrl(): string {
    return this.#seeds.relayUrl
  }

  get shares(): readonly ShareRecord[] {
    return [...this.#shares.values()]
  }

  share(log: LogId): ShareRecord | null {
    return this.#shares.get(hex(log)) ?? null
  }

  /** By log hex. */
  get receipts(): ReadonlyMap<string, DueReceipt> {
    return this.#receipts
  }

  relayKey(url: string): Uint8Array | null {
    return this.#relays.get(url) ?? null
  }

  async keepShare(record: ShareRecord): Promise<void> {
    this.#shares.set(hex(record.log), record)
    await this.#write(put(`share/${hex(record.log)}`, encodeShareRecord(record)))
  }

  /** The share leaves the list; a receipt to deliver takes its place. */
  async endShare(log: LogId, receipt: DueReceipt | null): Promise<void> {
    const key = hex(log)
    this.#shares.delete(key)
    const changes: Change[] = [del(`share/${key}`), ...forgotten(key)]
    if (receipt) {
      this.#receipts.set(key, receipt)
      changes.push(put(`owed/${key}`, encodeReceipt(receipt)))
    }
    await this.#write(...changes)
  }

  async receiptDelivered(log: LogId): Promise<void> {
    this.#receipts.delete(hex(log))
    await this.#write(del(`owed/${hex(log)}`))
  }

  async pinRelay(url: string, key: Uint8Array): Promise<void> {
    this.#relays.set(url, key)
    await this.#write(put(relayRecord(url), key))
  }

  close(): Promise<void> {
    return this.sealed.close()
  }

  #write(...changes: Change[]): Promise<void> {
    return this.sealed.write(changes, { durable: true })
  }

  async #load(): Promise<void> {
    this.#isPutOut = await isPutOut(this.sealed)
    for await (const { key, value } of this.sealed.range('share/')) {
      const log = key.slice('share/'.length)
      this.#shares.set(log, decodeShareRecord(logId(unhex(log)), value))
    }
    for await (const { key, value } of this.sealed.range('owed/')) {
      this.#receipts.set(key.slice('owed/'.length), decodeReceipt(value))
    }
    for await (const { key, value } of this.sealed.range('relay/')) this.#relays.set(key.slice('relay/'.length), value)
  }
}

/** What a folder holds first of an account. @param relayKey null when the relay was never reached */
export function accountRecords(seeds: Seeds, relayKey: Uint8Array | null): Change[] {
  const relay = relayKey ? [put(relayRecord(seeds.relayUrl), relayKey)] : []
  return [put(SEEDS, encodeSeeds(seeds)), ...relay]
}

/** What says that a folder's account goes on there with another device. */
export function freshRecords(seeds: Seeds): Change[] {
  return [put(SEEDS, encodeSeeds(seeds)), del(PUT_OUT)]
}

/** Whether another copy of the device that is kept there took its place. */
export async function isPutOut(store: SealedStore): Promise<boolean> {
  return (await store.get(PUT_OUT)) !== null
}

function relayRecord(url: string): string {
  return `relay/${url}`
}

function encodeReceipt(o: DueReceipt): Uint8Array {
  const w = new Writer().text(o.relayUrl)
  writeReceipt(w, o.receipt)
  return w.finish()
}

function decodeReceipt(bytes: Uint8Array): DueReceipt {
  const r = record(bytes)
  return { relayUrl: r.text(TEXT_BYTES_MAX), receipt: readReceipt(r) }
}

function record(bytes: Uint8Array): Reader {
  return new Reader(bytes, 'BAD_FRAME', 'record')
}
