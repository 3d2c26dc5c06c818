/**
 * The shares of an account that are open here, mine and lent: opening them at the start, making one, and the end of one
 * that is lent. What does not open is shown all the same, with its error.
 */
import {
  type AccountId,
  authorShare,
  type DeviceId,
  epochKeys,
  hex,
  LendError,
  same,
  shareLogId,
  sinceReset
} from '@lend/engine'
import type * as Y from 'yjs'
import { asLendError } from '../disk/disk-error.ts'
import { destroyReplica } from '../disk/wipe.ts'
import type { Joined } from '../joining/join.ts'
import type { IndexPart } from '../library/library-index.ts'
import type { EndReason } from '../log/status.ts'
import { AbsentLentShare, AbsentOwnedShare } from '../share/absent-share.ts'
import { type End, LentShareOpen } from '../share/lent-share.ts'
import type { OpenShareOptions } from '../share/open-share.ts'
import { OwnedShare } from '../share/owned-share.ts'
import type { Ended, Item, LentShare, Refers, Share } from '../share/types.ts'
import { accountDue } from './account-keys.ts'
import type { Home } from './account-store.ts'
import type { Jobs } from './jobs.ts'
import { Listing } from './listing.ts'
import type { Relays } from './relays.ts'
import type { LentRecord, OwnedRecord, ShareRecord } from './share-record.ts'
import { type FinishedWipe, settleWipe, wipe } from './wiping.ts'

type Owned = OwnedShare | AbsentOwnedShare
type Lent = LentShareOpen | AbsentLentShare

export interface SharesListener {
  /** A share came or went. */
  listed(): void
  /** The status of one has changed. */
  moved(): void
  ended(ended: Ended): void
  /** What items refer to, if the app says so. */
  readonly refers: Refers | null
  /** A share shows that this device was copied or restored. */
  cloned(device: DeviceId): void
  /** A share shows that another copy of this device took its place. */
  putOut(device: DeviceId): void
  /** The one live document of an item of the library. */
  openItem(item: Item): Promise<Y.Doc>
}

export class Shares {
  readonly #home: Home
  readonly #relays: Relays
  readonly #jobs: Jobs
  readonly #listener: SharesListener
  readonly #listing: Listing
  /** By log hex. */
  readonly #owned = new Map<string, Owned>()
  readonly #lent = new Map<string, Lent>()
  readonly #wiping = new Set<Promise<boolean>>()
  readonly #opening = new Set<Promise<unknown>>()
  readonly #closing = new AbortController()

  constructor(home: Home, relays: Relays, jobs: Jobs, listener: SharesListener) {
    this.#home = home
    this.#relays = relays
    this.#jobs = jobs
    this.#listener = listener
    this.#listing = new Listing(home, {
      came: record => this.#came(record),
      left: async log => {
        const share = this.#lent.get(hex(log))
        if (share instanceof LentShareOpen) await share.leave()
      }
    })
  }

  get owned(): readonly Owned[] {
    return [...this.#owned.values()]
  }

  get lent(): readonly Lent[] {
    return [...this.#lent.values()]
  }

  get all(): readonly (Owned | Lent)[] {
    return [...this.owned, ...this.lent]
  }

  ownedBy(log: Uint8Array): Share | null {
    return this.#owned.get(hex(log)) ?? null
  }

  lentBy(log: Uint8Array): LentShare | null {
    return this.#lent.get(hex(log)) ?? null
  }

  /**
   * Opens every share of the list and takes up what was left undone.
   * @param finished wipes that were cut off
   * @returns why some did not open
   */
  async openAll(finished: readonly FinishedWipe[]): Promise<LendError[]> {
    const errors: LendError[] = []
    for (const { log, mark } of finished) {
      if (mark) await settleWipe(this.#home, log, mark, ended => this.#listing.remove(ended))
    }
    for (const record of this.#home.store.shares) {
      if (record.state === 'joining') this.#jobs.askJoin(record, joined => this.joined(record, joined))
      else if (record.state === 'leaving') this.#tellLeave(record)
      else await this.#open(record, errors)
    }
    this.#listing.follow()
    return errors
  }

  /**
   * Makes a share; resolves when it is saved here, and waits a moment for its relay if it was never reached: only with the
   * relay's key can an invite be a link. @throws LendError of the disk, BAD_FIELD, LIMIT_ITEMS
   */
  async create(o: { title: string; items: readonly Item[]; relayUrl: string; leaseMs: number | null }): Promise<Share> {
    const { suite, world, disk, store, library } = this.#home
    const nonce = world.dice(32)
    const log = shareLogId(suite, library.account, nonce)
    const { relayUrl, leaseMs } = o
    const record: OwnedRecord = { role: 'owner', log, state: 'creating', relayUrl, relayKey: null, nonce, leaseMs }
    const share = await this.#openOwned(record)
    try {
      await share.rename(o.title)
      await share.select(...o.items)
      await store.keepShare(record)
    } catch (error) {
      // Nobody has heard of it: it leaves nothing behind.
      this.#owned.delete(hex(log))
      await share.abandon()
      await destroyReplica(disk, hex(log))
      await library.edit(index => index.removeShare(log)).catch(() => {})
      throw error
    }
    const created = this.#create(share, record)
    await this.#relays.firstContact(relayUrl)
    if (this.#relays.at(relayUrl).relayKey) await created
    this.#listener.listed()
    return share
  }

  /** This account is in: the share opens. */
  async joined(record: LentRecord, joined: Joined): Promise<LentShare> {
    const now: LentRecord = { ...record, state: 'joined', joined }
    await this.#home.store.keepShare(now)
    this.#listing.put(now, null)
    try {
      return await this.#openLent(now, joined)
    } catch (error) {
      this.#lent.set(hex(record.log), new AbsentLentShare(record.log, joined, asLendError(error)))
      throw error
    } finally {
      this.#listener.listed()
    }
  }

  /** These records of the account have changed, here or on another device. */
  indexed(parts: ReadonlySet<IndexPart>): void {
    this.#listing.follow()
    if (parts.has('notes') || parts.has('receipts')) for (const share of this.owned) share.noted()
  }

  /** The account has other devices or keys than before: every share hears of it. */
  rekeyed(): void {
    for (const share of this.all) share.rekeyed()
  }

  /** The account's device is another one from now on: every share goes on as that one. */
  renew(): void {
    const { device } = this.#home.store
    const renew = (share: Owned | Lent) => {
      if (share instanceof AbsentOwnedShare || share instanceof AbsentLentShare) return
      if (same(share.device.id, device.id)) return
      share.renew(device).then(
        () => share.reconnect(),
        error => this.#home.tell(asLendError(error))
      )
    }
    for (const share of this.all) renew(share)
    // What is being opened may still have the one before.
    for (const opening of this.#opening) void Promise.allSettled([opening]).then(() => this.all.forEach(renew))
  }

  /** The account is not this device's any more; what is here stays. */
  lock(error: LendError): void {
    for (const share of this.all) share.lock(error)
  }

  /** Resolves when no replica is on its way out any more. */
  async wiped(): Promise<void> {
    await Promise.all(this.#wiping)
  }

  /** Lets go of every replica: all of them are about to be destroyed. */
  async letGo(): Promise<void> {
    await this.#close()
    await Promise.all(this.all.map(share => share.abandon()))
    await this.wiped()
  }

  async close(): Promise<void> {
    await this.#close()
    await Promise.all(this.all.map(share => share.close()))
    await this.wiped()
  }

  /** Nothing is opened from now on; what is being opened is open then, or failed. */
  async #close(): Promise<void> {
    this.#closing.abort(new LendError('CLOSED', 'the account was closed'))
    await Promise.allSettled(this.#opening)
  }

  // --- opening ---

  /** A share of this account that another of its devices made or joined. */
  async #came(record: ShareRecord): Promise<void> {
    if (this.#closing.signal.aborted) return
    await this.wiped()
    await this.#home.store.keepShare(record)
    if (this.#closing.signal.aborted) return
    const errors: LendError[] = []
    await this.#open(record, errors)
    for (const error of errors) this.#home.tell(error)
    this.#listener.listed()
  }

  async #open(record: ShareRecord, errors: LendError[]): Promise<void> {
    const key = hex(record.log)
    try {
      if (record.role === 'member') {
        await this.#openLent(record, record.joined ?? UNKNOWN)
        return
      }
      const share = await this.#openOwned(record)
      if (record.state === 'creating') void this.#create(share, record)
    } catch (error) {
      // One share's trouble is not the others'.
      const why = asLendError(error)
      errors.push(why)
      if (record.role === 'owner') this.#owned.set(key, new AbsentOwnedShare(record.log, record.leaseMs, why))
      else this.#lent.set(key, new AbsentLentShare(record.log, record.joined ?? UNKNOWN, why))
    }
  }

  async #track<T>(open: () => Promise<T>): Promise<T> {
    this.#closing.signal.throwIfAborted()
    const opening = open()
    this.#opening.add(opening)
    return opening.finally(() => this.#opening.delete(opening))
  }

  #openOwned(record: OwnedRecord): Promise<OwnedShare> {
    return this.#track(() => this.#openOwnedNow(record))
  }

  async #openOwnedNow(record: OwnedRecord): Promise<OwnedShare> {
    const { library } = this.#home
    const { log, relayUrl, leaseMs } = record
    const share = await OwnedShare.open(
      { ...this.#options(record), isNew: record.state === 'creating' },
      {
        relayUrl,
        leaseMs,
        relayKey: () => record.relayKey,
        ownerName: () => library.name,
        library,
        refers: this.#listener.refers,
        tell: error => this.#home.tell(error),
        openItem: item => this.#listener.openItem(item),
        deviceName: device => library.index.deviceName(device),
        notes: () => library.index.notes(log),
        receipts: () => library.index.receipts(log),
        keepReceipts: receipts =>
          library.edit(index => {
            for (const [device, receipt] of receipts) index.keepReceipt(log, device, receipt)
          }),
        keepNote: (invite, note) => library.edit(index => index.keepNote(log, invite, note))
      }
    )
    this.#owned.set(hex(log), share)
    share.on('status', () => this.#listener.moved())
    share.on('change', () => {
      const now = this.#home.store.share(log)
      if (now) this.#listing.put(now, share.title)
    })
    return share
  }

  /** Creates the log of a new share once its relay's key is known. Never rejects: what fails shows in the share. */
  async #create(share: OwnedShare, record: OwnedRecord): Promise<void> {
    const { suite, world, store, library } = this.#home
    const { log, relayUrl, nonce, leaseMs } = record
    try {
      const relayKey = await this.#relays.keyOf(relayUrl, this.#closing.signal)
      const epochKey = world.dice(32)
      const o = {
        log,
        nonce,
        owner: library.library,
        proof: library.proof,
        leaseMs,
        relayKey,
        epochKey,
        name: library.name
      }
      const created: OwnedRecord = { ...record, state: 'created', relayKey }
      await share.create(authorShare(suite, o, world.dice), () => store.keepShare(created))
      this.#listing.put(created, share.title)
    } catch (error) {
      if (!this.#closing.signal.aborted) share.failed(asLendError(error))
    }
  }

  #openLent(record: LentRecord, joined: Joined): Promise<LentShareOpen> {
    return this.#track(() => this.#openLentNow(record, joined))
  }

  async #openLentNow(record: LentRecord, joined: Joined): Promise<LentShareOpen> {
    const desk = {
      joined,
      ended: (share: LentShareOpen, end: End) => this.#end(share, record, end).then(() => {}),
      leave: (share: LentShareOpen) => this.#leave(share, record)
    }
    let share: LentShareOpen
    try {
      share = await LentShareOpen.open(this.#options(record), desk)
    } catch (error) {
      if (!(error instanceof LendError) || error.code !== 'STORE_CORRUPT') throw error
      // A member's replica holds nothing that the relay lacks: read it anew.
      this.#home.tell(error)
      await destroyReplica(this.#home.disk, hex(record.log))
      share = await LentShareOpen.open(this.#options(record), desk)
    }
    this.#lent.set(hex(record.log), share)
    share.on('status', () => this.#listener.moved())
    share.on('change', () => {
      // Only what its relay has shown to be so goes into the list.
      const now = this.#home.store.share(record.log)
      if (now?.state === 'joined' && share.status.state === 'synced') this.#listing.put(now, share.title)
    })
    return share
  }

  #options(record: ShareRecord): OpenShareOptions {
    const { suite, world, disk, store, library } = this.#home
    const { account, device } = library
    const { log } = record
    return {
      replica: {
        kind: 'share',
        suite,
        world,
        disk,
        store: store.sealed,
        log,
        writable: record.role === 'owner',
        account,
        openKeys: (statements, known) =>
          epochKeys(suite, log, statements, { account, sealingKeys: library.sealing, invite: null }, known)
      },
      account,
      device,
      connection: this.#relays.at(record.relayUrl, record.relayKey),
      accountProof: () => sinceReset(library.proof),
      cloned: device => this.#listener.cloned(device),
      putOut: device => this.#listener.putOut(device),
      due: list => accountDue(list, library)
    }
  }

  // --- ending ---

  /** Access to a lent share has ended: first it goes from the screen, then from the disk. */
  #end(
    share: LentShareOpen,
    record: LentRecord,
    { reason, accessHead }: { reason: End['reason']; accessHead: Uint8Array | null }
  ): Promise<boolean> {
    const { log, relayUrl } = record
    if (!this.#lent.delete(hex(log))) return Promise.resolve(false)
    const run = async () => {
      let ended: Ended | null = null
      const mark = { reason, accessHead, relayUrl, atMs: this.#home.world.now() }
      await wipe(this.#home, log, mark, {
        letGo: async () => {
          ended = await share.letGo(reason, gone => this.#listener.ended(gone))
        },
        unlist: gone => this.#listing.remove(gone)
      })
      if (ended) this.#listener.ended(share.wiped(ended))
      if (accessHead) this.#jobs.deliverReceipt(log)
    }
    // It begins once `#wiping` says so: an app that hears of it may accept again at once.
    const wiping = Promise.resolve()
      .then(run)
      .then(
        () => true,
        error => {
          // Its marker, or the list's `leaving`, brings the wipe back at the next start.
          this.#home.tell(asLendError(error))
          return false
        }
      )
    this.#wiping.add(wiping)
    this.#listener.listed()
    return wiping.finally(() => this.#wiping.delete(wiping))
  }

  /** Leaves: the replica goes at once, the relay is told as soon as it can be. */
  async #leave(share: LentShareOpen, record: LentRecord): Promise<void> {
    const leaving: LentRecord = { ...record, state: 'leaving' }
    await this.#home.store.keepShare(leaving)
    this.#listing.put(leaving, null)
    const wiped = await this.#end(share, record, { reason: 'left', accessHead: null })
    // Nobody is told "deleted" before it is.
    if (wiped && !this.#closing.signal.aborted) this.#tellLeave(leaving)
  }

  /** All devices of the account know, then the relay. */
  #tellLeave(leaving: LentRecord): void {
    this.#listing.put(leaving, null)
    this.#jobs.tellLeave(leaving)
  }
}

const UNKNOWN: Joined = { owner: { account: new Uint8Array(32) as AccountId, name: '' }, sinceMs: 0 }

/** What the app is told of a wipe that was cut off and finished at this start. */
export function endedBefore({ log, reason, atMs, joined }: FinishedWipe): Ended {
  const share = new AbsentLentShare(log, joined ?? UNKNOWN, reason satisfies EndReason)
  return { share, reason, at: new Date(atMs), wiped: true }
}
