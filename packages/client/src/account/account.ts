/**
 * An account as it is open on this device: its shares, those lent to it, and the connections they use. Implements the
 * `Account` face. Not here: what a share does (share/), how a replica goes (wiping.ts), how one joins (joining.ts).
 */
import {
  type AccountId,
  authorShare,
  hex,
  LendError,
  type LogId,
  limits,
  loadSuite,
  logId,
  REFUSALS,
  Refusal,
  type Suite,
  selfTestGuard,
  shareLogId,
  signReceipt
} from '@lend/engine'
import { asLendError } from '../disk/disk-error.ts'
import { destroyReplica } from '../disk/wipe.ts'
import { Emitter } from '../emitter.ts'
import { accessEntry } from '../log/author.ts'
import { unhex } from '../log/records.ts'
import { AccessVisit } from '../log/visit.ts'
import { RelayConnection } from '../relay/connection.ts'
import { LentShareOpen } from '../share/lent-share.ts'
import type { OpenShareOptions } from '../share/open-share.ts'
import { badField, checkText, OwnedShare } from '../share/owned-share.ts'
import { type Status, sameStatus } from '../share/status.ts'
import type { Device, Ended, LentShare, Offer, Share } from '../share/types.ts'
import type { Disk, World } from '../world.ts'
import { AccountStore, type ShareRecord } from './account-store.ts'
import { join, preview, readLink } from './joining.ts'
import { finishWipes, wipe } from './wiping.ts'

export interface OpenOptions {
  /** Folder (Node) or database prefix (browser). */
  path: string
  /** `wss://…` or `ws://…`; wanted on the first run. */
  relay?: string
  name?: string
  device?: string
  app?: { name: string; version: string }
  world?: World
}

export interface AccountEvents {
  change: undefined
  status: Status
  ended: Ended
  error: LendError
}

export interface Account {
  readonly id: AccountId
  readonly name: string
  readonly status: Status
  readonly devices: readonly Device[]
  /** Mine. */
  readonly shares: readonly Share[]
  /** Lent to me. */
  readonly sharedWithMe: readonly LentShare[]
  on<K extends keyof AccountEvents>(event: K, listener: (value: AccountEvents[K]) => void): () => void
  rename(name: string): Promise<void>
  share(o: { title: string; relay?: string; leaseMs?: number | null }): Promise<Share>
  preview(link: string, o?: { signal?: AbortSignal }): Promise<Offer>
  accept(link: string, o?: { signal?: AbortSignal }): Promise<LentShare>
  synced(o?: { signal?: AbortSignal }): Promise<void>
  close(): Promise<void>
}

/** How long a share that needs its relay's key for the first time waits for it. */
const RELAY_MS_MAX = 10_000
const LEAVE_AGAIN_MS = 10_000

export async function openAccount(o: OpenOptions, world: World): Promise<Account> {
  selfTestGuard()
  if (!o.path) throw badField('path: say where the account is kept')
  if (o.name !== undefined) checkText('name', o.name, limits.NAME_BYTES_MAX)
  if (o.device !== undefined) checkText('device', o.device, limits.NAME_BYTES_MAX)
  const suite = await loadSuite()
  const disk = world.disk(o.path)
  const { name, device, relay } = o
  const store = await AccountStore.open({
    suite,
    dice: world.dice,
    disk,
    ...(name === undefined ? {} : { name }),
    ...(device === undefined ? {} : { device }),
    ...(relay === undefined ? {} : { relay })
  })
  try {
    await finishWipes({ suite, world, disk, store })
    const account = new OpenAccount(suite, world, disk, store)
    await account.begin()
    return account
  } catch (error) {
    await store.close()
    throw error
  }
}

class OpenAccount extends Emitter<AccountEvents> implements Account {
  readonly #suite: Suite
  readonly #world: World
  readonly #disk: Disk
  readonly #store: AccountStore
  readonly #connections = new Map<string, RelayConnection>()
  readonly #owned = new Map<string, OwnedShare>()
  readonly #lent = new Map<string, LentShareOpen>()
  readonly #jobs = new Set<() => void>()
  /** Log hex → stops telling its relay of a leave, or asking it whether a join that was cut off has reached it. */
  readonly #membershipJobs = new Map<string, () => void>()
  readonly #joining = new Map<string, Promise<LentShare>>()
  readonly #wiping = new Set<Promise<boolean>>()
  #shares: readonly Share[] = []
  #sharedWithMe: readonly LentShare[] = []
  #status: Status = { state: 'offline' }
  #closed = false

  constructor(suite: Suite, world: World, disk: Disk, store: AccountStore) {
    super()
    this.#suite = suite
    this.#world = world
    this.#disk = disk
    this.#store = store
  }

  /** Opens every share of the list and takes up what was left undone. */
  async begin(): Promise<void> {
    this.#connection(this.#store.relayUrl, this.#store.relayKey(this.#store.relayUrl)).open()
    for (const record of this.#store.shares) {
      try {
        if (record.state === 'joining') this.#joinJob(record)
        else if (record.state === 'leaving') {
          // The leave may have been cut off before its wipe was marked.
          await destroyReplica(this.#disk, hex(record.log))
          this.#leaveJob(record)
        } else await this.#openShare(record)
      } catch (error) {
        // One share's trouble is not the others'. Told once somebody can listen.
        this.#world.timer(0, () => this.emit('error', asLendError(error)))
      }
    }
    for (const [log, { relayUrl }] of this.#store.receipts) this.#receiptJob(log, relayUrl)
    this.#listed()
  }

  get id(): AccountId {
    return this.#store.keys.account
  }

  get name(): string {
    return this.#store.name
  }

  get status(): Status {
    return this.#status
  }

  get devices(): readonly Device[] {
    const { device, library } = this.#store.keys
    return [...library.devices.values()].map(({ id }) => ({
      id,
      name: this.#store.deviceName,
      isThis: hex(id) === hex(device.id),
      added: new Date(0)
    }))
  }

  get shares(): readonly Share[] {
    return this.#shares
  }

  get sharedWithMe(): readonly LentShare[] {
    return this.#sharedWithMe
  }

  async rename(name: string): Promise<void> {
    this.#open()
    checkText('name', name, limits.NAME_BYTES_MAX)
    await this.#store.rename(name)
    this.emit('change', undefined)
  }

  async share(o: { title: string; relay?: string; leaseMs?: number | null }): Promise<Share> {
    this.#open()
    checkText('title', o.title, limits.TITLE_BYTES_MAX)
    const leaseMs = o.leaseMs === undefined ? limits.LEASE_MS_DEFAULT : o.leaseMs
    if (leaseMs !== null && !(leaseMs >= limits.LEASE_MS_MIN && leaseMs <= limits.LEASE_MS_MAX)) {
      throw badField(`leaseMs is ${leaseMs}, want ${limits.LEASE_MS_MIN} to ${limits.LEASE_MS_MAX}, or null for none`)
    }
    const relayUrl = o.relay ?? this.#store.relayUrl
    const relayKey = await this.#relayKey(relayUrl)
    const { account, device, library, proof } = this.#store.keys
    const { dice } = this.#world
    const nonce = dice(32)
    const log = shareLogId(this.#suite, account, nonce)
    const statement = authorShare(
      this.#suite,
      { log, nonce, owner: library, proof, leaseMs, relayKey, epochKey: dice(32), name: this.#store.name },
      dice
    )
    const record: ShareRecord = { log, role: 'owner', state: 'joined', relayUrl, relayKey }
    const share = await this.#openOwned(record, async replica => {
      const refusal = replica.foldAccess(accessEntry(this.#suite, log, device, null, statement), 1, this.#world.now())
      if (refusal) throw refusal
      await replica.commit({ durable: true })
    })
    await this.#store.keepShare(record)
    await share.rename(o.title)
    this.#listed()
    return share
  }

  preview(link: string, o: { signal?: AbortSignal } = {}): Promise<Offer> {
    return preview(this.#suite, this.#world, link, o)
  }

  async accept(text: string, o: { signal?: AbortSignal } = {}): Promise<LentShare> {
    this.#open()
    const link = readLink(text)
    if (link.kind !== 'share') throw new LendError('BAD_LINK', 'this link adds a device; open it with pairDevice')
    const key = hex(link.log)
    if (this.#owned.has(key)) throw new LendError('YOU_ARE_THE_OWNER', 'this share is your own')
    const known = this.#lent.get(key) ?? this.#joining.get(key)
    if (known) return known
    const joining = this.#join(link, o)
    this.#joining.set(key, joining)
    try {
      return await joining
    } finally {
      this.#joining.delete(key)
    }
  }

  async synced(o: { signal?: AbortSignal } = {}): Promise<void> {
    const open = [...this.#owned.values(), ...this.#lent.values()]
    // What ends or locks meanwhile has nothing to sync.
    const gone = (error: unknown) => {
      if (!(error instanceof LendError) || (error.code !== 'ENDED' && error.code !== 'LOCKED')) throw error
    }
    await Promise.all(open.map(share => share.synced(o).catch(gone)))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const stop of this.#jobs) stop()
    await Promise.all([...this.#owned.values(), ...this.#lent.values()].map(share => share.close()))
    await Promise.all(this.#wiping)
    for (const connection of this.#connections.values()) connection.close()
    await this.#store.close()
  }

  #open(): void {
    if (this.#closed) throw new LendError('CLOSED', 'the account was closed')
  }

  async #join(link: ReturnType<typeof readLink>, o: { signal?: AbortSignal }): Promise<LentShare> {
    const { log, relayUrl, relayKey } = link
    // A replica of before may be on its way out; and whoever asks whether we are in need not ask any more.
    await Promise.all(this.#wiping)
    this.#open()
    this.#membershipJobs.get(hex(log))?.()
    const before = this.#store.share(log)
    if (before?.role === 'owner') throw new LendError('YOU_ARE_THE_OWNER', 'this share is your own')
    const record: ShareRecord = { log, role: 'member', state: 'joining', relayUrl, relayKey }
    const closing = new AbortController()
    const stop = () => closing.abort(new LendError('CLOSED', 'the account was closed'))
    this.#jobs.add(stop)
    const line = this.#tryLine(relayUrl, relayKey)
    try {
      // Known before the relay knows it: if we end in between, the next start finds out whether we are in.
      await this.#store.keepShare(record)
      const signal = o.signal ? AbortSignal.any([o.signal, closing.signal]) : closing.signal
      await join(this.#suite, this.#world, this.#store, link, line.connection, { signal })
    } catch (error) {
      if (this.#closed) throw error
      if (before?.state === 'leaving') {
        // Still to be said to the relay: that this account has left.
        await this.#store.keepShare(before)
        this.#leaveJob(before)
      } else await this.#store.endShare(log, null)
      throw error
    } finally {
      line.done()
      this.#jobs.delete(stop)
    }
    return this.#joined(record)
  }

  async #joined(record: ShareRecord): Promise<LentShare> {
    const joined: ShareRecord = { ...record, state: 'joined' }
    await this.#store.keepShare(joined)
    const share = await this.#openLent(joined)
    this.#listed()
    return share
  }

  // --- shares ---

  async #openShare(record: ShareRecord): Promise<void> {
    if (record.role === 'owner') await this.#openOwned(record)
    else await this.#openLent(record)
  }

  async #openOwned(record: ShareRecord, first?: Parameters<typeof OwnedShare.open>[2]): Promise<OwnedShare> {
    const share = await OwnedShare.open(
      this.#options(record),
      {
        relayUrl: record.relayUrl,
        ownerName: () => this.#store.name,
        notes: () => this.#store.notes(record.log),
        keepNote: (invite, note) => this.#store.keepNote(record.log, invite, note)
      },
      first
    )
    this.#owned.set(hex(record.log), share)
    share.on('status', () => this.#look())
    return share
  }

  async #openLent(record: ShareRecord): Promise<LentShareOpen> {
    const open = () =>
      LentShareOpen.open(this.#options(record), {
        ended: (share, end) => this.#end(share, record, end).then(() => {}),
        leave: share => this.#leave(share, record)
      })
    let share: LentShareOpen
    try {
      share = await open()
    } catch (error) {
      if (!(error instanceof LendError) || error.code !== 'STORE_CORRUPT') throw error
      // A member's replica holds nothing that the relay lacks: read it anew.
      this.emit('error', error)
      await destroyReplica(this.#disk, hex(record.log))
      share = await open()
    }
    this.#lent.set(hex(record.log), share)
    share.on('status', () => this.#look())
    return share
  }

  #options(record: ShareRecord): OpenShareOptions {
    const { account, device, sealing } = this.#store.keys
    return {
      replica: {
        suite: this.#suite,
        world: this.#world,
        disk: this.#disk,
        log: record.log,
        writable: record.role === 'owner',
        holder: { account, sealingKeys: sealing, invite: null }
      },
      account,
      device,
      connection: this.#connection(record.relayUrl, record.relayKey)
    }
  }

  /** Access to a lent share has ended: first it goes from the screen, then from the disk. */
  #end(
    share: LentShareOpen,
    record: ShareRecord,
    end: { reason: Ended['reason']; accessHead: Uint8Array | null }
  ): Promise<boolean> {
    const key = hex(record.log)
    if (!this.#lent.delete(key)) return Promise.resolve(false)
    let ended: Ended | null = null
    const wipeIt = () =>
      wipe(
        { suite: this.#suite, world: this.#world, disk: this.#disk, store: this.#store },
        record.log,
        { reason: end.reason, accessHead: end.accessHead, relayUrl: record.relayUrl },
        async () => {
          const letting = share.letGo(end.reason, gone => this.emit('ended', gone))
          ended = await letting
        }
      )
    // It begins once `#wiping` says so: an app that hears of it may accept again at once.
    const wiping = Promise.resolve()
      .then(wipeIt)
      .then(
        () => {
          if (ended) this.emit('ended', share.wiped(ended))
          if (end.accessHead && !this.#closed) this.#receiptJob(key, record.relayUrl)
          return true
        },
        error => {
          // Its marker, or the list's `leaving`, brings the wipe back at the next start.
          this.emit('error', asLendError(error))
          return false
        }
      )
    this.#wiping.add(wiping)
    this.#listed()
    return wiping.finally(() => this.#wiping.delete(wiping))
  }

  /** Leaves: the replica goes at once, the relay is told as soon as it can be. */
  async #leave(share: LentShareOpen, record: ShareRecord): Promise<void> {
    const leaving: ShareRecord = { ...record, state: 'leaving' }
    await this.#store.keepShare(leaving)
    const wiped = await this.#end(share, record, { reason: 'left', accessHead: null })
    // Nobody is told "deleted" before it is.
    if (wiped && !this.#closed) this.#leaveJob(leaving)
  }

  // --- what is done in the background until it is done ---

  /** A join was cut off, and only its relay knows whether it got there. */
  #joinJob(record: ShareRecord): void {
    const key = hex(record.log)
    const line = this.#tryLine(record.relayUrl, record.relayKey)
    const { device } = this.#store.keys
    const visit = new AccessVisit({
      suite: this.#suite,
      log: record.log,
      device,
      invite: null,
      connection: line.connection
    })
    const stop = () => {
      visit.close(new LendError('CLOSED', 'nobody asks any more'))
      line.done()
      this.#jobs.delete(stop)
      this.#membershipJobs.delete(key)
    }
    this.#jobs.add(stop)
    this.#membershipJobs.set(key, stop)
    const run = async () => {
      const isIn = await visit.list.then(
        () => visit.standing === 'member',
        error => {
          if (error instanceof Refusal && error.code === 'NO_ACCESS') return false
          throw error
        }
      )
      stop()
      if (isIn) await this.#joined(record)
      else await this.#store.endShare(record.log, null)
    }
    run().catch(error => {
      if (!(error instanceof LendError && error.code === 'CLOSED')) this.emit('error', asLendError(error))
    })
    line.connection.open()
  }

  #leaveJob(record: ShareRecord): void {
    const { account, device } = this.#store.keys
    const { suite, log } = { suite: this.#suite, log: record.log }
    const connection = this.#connection(record.relayUrl, record.relayKey)
    const visit = new AccessVisit({ suite, log, device, invite: null, connection })
    let stopTimer = () => {}
    const stop = () => {
      stopTimer()
      visit.close(new LendError('CLOSED', 'the account was closed'))
      this.#jobs.delete(stop)
      this.#membershipJobs.delete(hex(log))
    }
    this.#jobs.add(stop)
    this.#membershipJobs.set(hex(log), stop)
    const run = async () => {
      const list = await visit.list
      const former = list.former.get(hex(account))
      const entry =
        former || list.stopped
          ? null
          : await visit.write(now => (now.members.has(hex(account)) ? { type: 'leave' } : null))
      const accessHead = former?.ended ?? entry?.id ?? list.stopped
      const receipt =
        accessHead &&
        signReceipt(
          suite,
          log,
          { device: device.id, accessHead, reason: 'left', timeMs: this.#world.now() },
          device.signing.secretKey
        )
      stop()
      await this.#store.endShare(log, receipt ? { relayUrl: record.relayUrl, receipt } : null)
      if (receipt) this.#receiptJob(hex(log), record.relayUrl)
    }
    run().catch(error => {
      if (error instanceof LendError && error.code === 'CLOSED') return
      visit.close(error)
      stopTimer = this.#world.timer((error instanceof Refusal && error.retryAfterMs) || LEAVE_AGAIN_MS, () => {
        stop()
        this.#leaveJob(record)
      })
    })
  }

  /** Delivers the receipt of a wipe. */
  #receiptJob(log: string, relayUrl: string): void {
    const kept = this.#store.receipts.get(log)
    if (!kept || this.#store.share(this.#logOf(log))) return
    const id = this.#logOf(log)
    const connection = this.#connection(relayUrl, this.#store.relayKey(relayUrl))
    const leave = connection.join(id, {
      opened: () => void connection.send({ type: 'receipts', log: id, receipts: [kept.receipt] }),
      frame: frame => {
        if (frame.type !== 'receipts-stored' && frame.type !== 'refused') return
        // For a reason that may pass: again at the next contact.
        if (frame.type === 'refused' && frame.code !== 'NO_ACCESS' && REFUSALS[frame.code][1] === 'later') return
        stop()
        // No access: the log is gone, or knows this device as a member again. Either way nobody waits for it.
        if (!this.#closed) this.#store.receiptDelivered(id).catch(error => this.emit('error', asLendError(error)))
      },
      closed: () => {}
    })
    const stop = () => {
      leave()
      this.#jobs.delete(stop)
    }
    this.#jobs.add(stop)
  }

  #logOf(key: string): LogId {
    return logId(unhex(key))
  }

  // --- relays ---

  #connection(url: string, relayKey: Uint8Array | null): RelayConnection {
    const known = this.#connections.get(url)
    if (known) {
      if (relayKey) known.pin(relayKey)
      return known
    }
    const connection = new RelayConnection({
      url,
      relayKey,
      world: this.#world,
      suite: this.#suite,
      device: this.#store.keys.device,
      heard: timeMs => {
        for (const share of this.#lent.values()) share.heardFrom(connection, timeMs)
      }
    })
    connection.watch(state => {
      const key = connection.relayKey
      if (state === 'open' && key && !this.#store.relayKey(url) && !this.#closed) {
        this.#store.pinRelay(url, key).catch(error => this.emit('error', asLendError(error)))
      }
      if (connection.trouble?.keyChanged) {
        this.emit('error', new LendError('RELAY_KEY_CHANGED', 'the relay at this address has another key than before'))
      }
      this.#look()
    })
    this.#connections.set(url, connection)
    return connection
  }

  /** A link's word for a relay's key counts for the attempt alone, until that relay has proved it. */
  #tryLine(url: string, relayKey: Uint8Array): { connection: RelayConnection; done: () => void } {
    const known = this.#connections.get(url)
    if (known?.relayKey) return { connection: known, done: () => {} }
    const { device } = this.#store.keys
    const connection = new RelayConnection({ url, relayKey, world: this.#world, suite: this.#suite, device })
    return { connection, done: () => connection.close() }
  }

  /** The relay's key; it must have been reached once. */
  async #relayKey(url: string): Promise<Uint8Array> {
    const pinned = this.#store.relayKey(url)
    if (pinned) return pinned
    const connection = this.#connection(url, null)
    connection.open()
    if (connection.relayKey && connection.state === 'open') return connection.relayKey
    return new Promise((resolve, reject) => {
      const stop = () => {
        unwatch()
        stopTimer()
      }
      const unwatch = connection.watch(state => {
        if (state !== 'open' || !connection.relayKey) return
        stop()
        resolve(connection.relayKey)
      })
      const stopTimer = this.#world.timer(RELAY_MS_MAX, () => {
        stop()
        reject(
          new LendError('OFFLINE', 'a first share needs its relay once; try again when it is reached', {
            retry: 'later'
          })
        )
      })
    })
  }

  // --- lists and status ---

  #listed(): void {
    this.#shares = [...this.#owned.values()]
    this.#sharedWithMe = [...this.#lent.values()]
    this.emit('change', undefined)
    this.#look()
  }

  #look(): void {
    const status = this.#worst()
    if (sameStatus(status, this.#status)) return
    this.#status = status
    this.emit('status', status)
  }

  /** The state of the share that is furthest from being safe and current. */
  #worst(): Status {
    const statuses = [...this.#owned.values(), ...this.#lent.values()].map(share => share.status)
    const unsynced = statuses.reduce((sum, s) => sum + ('unsynced' in s ? s.unsynced : 0), 0)
    for (const state of ['failed', 'saving', 'saved', 'syncing'] as const) {
      const found = statuses.find(status => status.state === state)
      if (found) return 'unsynced' in found ? { ...found, unsynced } : found
    }
    const connection = this.#connections.get(this.#store.relayUrl)?.state ?? 'offline'
    if (connection !== 'open') return { state: connection }
    return statuses.find(status => status.state === 'connecting') ?? { state: 'synced' }
  }
}
