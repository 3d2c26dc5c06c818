/**
 * What an account keeps on this device beside its replicas: its keys, its library's entries, its list of shares, the
 * owner's notes, receipts still to be delivered. With several devices the list and notes move into the library's document.
 */
import {
  type AccountId,
  accountId,
  accountOfRootKey,
  accountSealingKeys,
  authorLibrary,
  type DeviceKeys,
  type Dice,
  decodeEntry,
  deviceKeys,
  type Entry,
  foldProof,
  hex,
  type KeyPair,
  LendError,
  type LibraryList,
  type LogId,
  logId,
  Reader,
  type Receipt,
  Refusal,
  readReceipt,
  rootKeys,
  type Suite,
  Writer,
  writeReceipt
} from '@lend/engine'
import { type Change, SealedStore } from '../disk/sealed-store.ts'
import { accessEntry } from '../log/author.ts'
import { del, put, unhex } from '../log/records.ts'
import type { InviteNote } from '../share/views.ts'
import type { Disk } from '../world.ts'

export interface AccountKeys {
  readonly account: AccountId
  readonly device: DeviceKeys
  /** One for each epoch of the library. */
  readonly sealing: readonly KeyPair[]
  readonly library: LibraryList
  /** The library's access entries, verbatim: what proves the account to others. */
  readonly proof: readonly Uint8Array[]
}

/** One share in the account's list. */
export interface ShareRecord {
  readonly log: LogId
  readonly role: 'owner' | 'member'
  /** `joining`: the join may or may not be in the log. `leaving`: the replica goes, the relay does not know yet. */
  readonly state: 'joined' | 'joining' | 'leaving'
  readonly relayUrl: string
  readonly relayKey: Uint8Array
}

interface Seeds {
  readonly entropy: Uint8Array
  readonly deviceSeed: Uint8Array
  readonly libraryKey: Uint8Array
  readonly name: string
  readonly deviceName: string
  readonly relayUrl: string
  readonly created: Uint8Array
}

const STATES = ['joined', 'joining', 'leaving'] as const
const TEXT_BYTES_MAX = 4096

export class AccountStore {
  readonly #store: SealedStore
  #seeds: Seeds
  readonly keys: AccountKeys
  #shares = new Map<string, ShareRecord>()
  #notes = new Map<string, Map<string, InviteNote>>()
  #receipts = new Map<string, { relayUrl: string; receipt: Receipt }>()
  #relays = new Map<string, Uint8Array>()

  private constructor(suite: Suite, store: SealedStore, seeds: Seeds) {
    this.#store = store
    this.#seeds = seeds
    this.keys = keysOf(suite, seeds)
  }

  /** Opens the account's store; makes the account on the first run. @throws LendError of the disk, BAD_FIELD */
  static async open(o: {
    suite: Suite
    dice: Dice
    disk: Disk
    name?: string
    device?: string
    relay?: string
  }): Promise<AccountStore> {
    const store = await SealedStore.open({
      suite: o.suite,
      dice: o.dice,
      disk: o.disk,
      name: 'account',
      keyFile: 'account.key'
    })
    try {
      const stored = await store.get('seeds')
      const seeds = stored ? decodeSeeds(stored) : newSeeds(o)
      if (!stored) await store.write([put('seeds', encodeSeeds(seeds))], { durable: true })
      const account = new AccountStore(o.suite, store, seeds)
      await account.#load()
      return account
    } catch (error) {
      await store.close()
      throw error
    }
  }

  get name(): string {
    return this.#seeds.name
  }

  get deviceName(): string {
    return this.#seeds.deviceName
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

  notes(log: LogId): ReadonlyMap<string, InviteNote> {
    return this.#notes.get(hex(log)) ?? new Map()
  }

  /** Log hex → a receipt that its relay has not taken yet. */
  get receipts(): ReadonlyMap<string, { relayUrl: string; receipt: Receipt }> {
    return this.#receipts
  }

  relayKey(url: string): Uint8Array | null {
    return this.#relays.get(url) ?? null
  }

  async rename(name: string): Promise<void> {
    this.#seeds = { ...this.#seeds, name }
    await this.#write(put('seeds', encodeSeeds(this.#seeds)))
  }

  async keepShare(record: ShareRecord): Promise<void> {
    this.#shares.set(hex(record.log), record)
    await this.#write(put(`share/${hex(record.log)}`, encodeShare(record)))
  }

  async keepNote(log: LogId, invite: string, note: InviteNote): Promise<void> {
    this.#setNote(hex(log), invite, note)
    await this.#write(put(`note/${hex(log)}/${invite}`, encodeNote(note)))
  }

  /** The share leaves the list; a receipt to deliver takes its place. */
  async endShare(log: LogId, receipt: { relayUrl: string; receipt: Receipt } | null): Promise<void> {
    const key = hex(log)
    this.#shares.delete(key)
    const changes: Change[] = [del(`share/${key}`)]
    if (receipt) {
      this.#receipts.set(key, receipt)
      changes.push(put(`receipt/${key}`, encodeReceipt(receipt)))
    }
    await this.#write(...changes)
  }

  async receiptDelivered(log: LogId): Promise<void> {
    this.#receipts.delete(hex(log))
    await this.#write(del(`receipt/${hex(log)}`))
  }

  async pinRelay(url: string, key: Uint8Array): Promise<void> {
    this.#relays.set(url, key)
    await this.#write(put(`relay/${url}`, key))
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  #write(...changes: Change[]): Promise<void> {
    return this.#store.write(changes, { durable: true })
  }

  async #load(): Promise<void> {
    for await (const { key, value } of this.#store.range('share/')) {
      const log = key.slice('share/'.length)
      this.#shares.set(log, decodeShare(logId(unhex(log)), value))
    }
    for await (const { key, value } of this.#store.range('note/')) {
      const [, log = '', invite = ''] = key.split('/')
      this.#setNote(log, invite, decodeNote(value))
    }
    for await (const { key, value } of this.#store.range('receipt/')) {
      this.#receipts.set(key.slice('receipt/'.length), decodeReceipt(value))
    }
    for await (const { key, value } of this.#store.range('relay/')) this.#relays.set(key.slice('relay/'.length), value)
  }

  #setNote(log: string, invite: string, note: InviteNote): void {
    const notes = this.#notes.get(log) ?? new Map<string, InviteNote>()
    notes.set(invite, note)
    this.#notes.set(log, notes)
  }
}

function newSeeds(o: { suite: Suite; dice: Dice; name?: string; device?: string; relay?: string }): Seeds {
  if (!o.relay || !/^wss?:\/\/[^\s#]+$/.test(o.relay)) {
    throw new LendError('BAD_FIELD', 'relay: wanted on the first run, as ws://… or wss://…', { retry: 'after-change' })
  }
  const entropy = o.dice(32)
  const deviceSeed = o.dice(32)
  const libraryKey = o.dice(32)
  const name = o.name ?? 'me'
  const device = deviceKeys(o.suite, deviceSeed)
  const log = accountOfRootKey(o.suite, rootKeys(o.suite, entropy).signing.publicKey)
  const statement = authorLibrary(o.suite, { log: logId(log), entropy, device, epochKey: libraryKey, name }, o.dice)
  const created: Entry = accessEntry(o.suite, logId(log), device, null, statement)
  return {
    entropy,
    deviceSeed,
    libraryKey,
    name,
    deviceName: o.device ?? 'this device',
    relayUrl: o.relay,
    created: created.bytes
  }
}

function keysOf(suite: Suite, seeds: Seeds): AccountKeys {
  const account = accountId(decodeEntry(suite, seeds.created).log)
  const proof = [seeds.created]
  const library = foldProof(suite, null, account, proof, { timeMs: null, signatures: false })
  if (library instanceof Refusal) throw new LendError('STORE_CORRUPT', 'the account’s own entries are damaged')
  return {
    account,
    device: deviceKeys(suite, seeds.deviceSeed),
    sealing: [accountSealingKeys(suite, seeds.libraryKey)],
    library,
    proof
  }
}

function encodeSeeds(s: Seeds): Uint8Array {
  const w = new Writer().bytes(s.entropy).bytes(s.deviceSeed).bytes(s.libraryKey)
  return w.text(s.name).text(s.deviceName).text(s.relayUrl).sized(s.created).finish()
}

function decodeSeeds(bytes: Uint8Array): Seeds {
  const r = record(bytes)
  return {
    entropy: r.bytes(32),
    deviceSeed: r.bytes(32),
    libraryKey: r.bytes(32),
    name: r.text(TEXT_BYTES_MAX),
    deviceName: r.text(TEXT_BYTES_MAX),
    relayUrl: r.text(TEXT_BYTES_MAX),
    created: r.rest().slice(4)
  }
}

function encodeShare(s: ShareRecord): Uint8Array {
  const w = new Writer().flag(s.role === 'owner').u8(STATES.indexOf(s.state))
  return w.text(s.relayUrl).bytes(s.relayKey).finish()
}

function decodeShare(log: LogId, bytes: Uint8Array): ShareRecord {
  const r = record(bytes)
  const role = r.flag() ? 'owner' : 'member'
  const state = STATES[r.u8()] ?? 'joined'
  return { log, role, state, relayUrl: r.text(TEXT_BYTES_MAX), relayKey: r.bytes(32) }
}

function encodeNote(note: InviteNote): Uint8Array {
  const w = new Writer().bytes(note.secret)
  w.optional(note.name, name => w.text(name))
  return w.finish()
}

function decodeNote(bytes: Uint8Array): InviteNote {
  const r = record(bytes)
  return { secret: r.bytes(32), name: r.optional(() => r.text(TEXT_BYTES_MAX)) }
}

function encodeReceipt(o: { relayUrl: string; receipt: Receipt }): Uint8Array {
  const w = new Writer().text(o.relayUrl)
  writeReceipt(w, o.receipt)
  return w.finish()
}

function decodeReceipt(bytes: Uint8Array): { relayUrl: string; receipt: Receipt } {
  const r = record(bytes)
  return { relayUrl: r.text(TEXT_BYTES_MAX), receipt: readReceipt(r) }
}

function record(bytes: Uint8Array): Reader {
  return new Reader(bytes, 'BAD_FRAME', 'record')
}
