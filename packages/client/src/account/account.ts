/**
 * An account as it is open on this device: the `Account` face. What it does is elsewhere: shares.ts (what is open here),
 * accepting.ts (links), jobs.ts (what goes on in the background), relays.ts (connections), account-store.ts (what is kept).
 */
import { type AccountId, LendError, limits, loadSuite, selfTestGuard } from '@lend/engine'
import { asLendError } from '../disk/disk-error.ts'
import { Emitter } from '../emitter.ts'
import { type Item, type Library, OpenLibrary } from '../library/library.ts'
import type { IndexPart } from '../library/library-index.ts'
import { LibraryLog } from '../library/library-log.ts'
import { type Status, sameStatus } from '../log/status.ts'
import { isRelayUrl } from '../relay/relay-url.ts'
import { badField, checkText } from '../share/owned-share.ts'
import type { Device, Ended, Invite, LentShare, Offer, Refers, Share } from '../share/types.ts'
import type { World } from '../world.ts'
import { Accepting } from './accepting.ts'
import { accountStatus } from './account-status.ts'
import { AccountStore, type Begin, type Home, type Place } from './account-store.ts'
import { type AccountEnd, finishAccountWipe, wipeAccount } from './account-wipe.ts'
import { Becoming } from './becoming.ts'
import { firstRun } from './first-run.ts'
import { Jobs } from './jobs.ts'
import { Phrase } from './phrase.ts'
import { Relays } from './relays.ts'
import { endedBefore, Shares } from './shares.ts'
import { type FinishedWipe, finishWipes } from './wiping.ts'

export interface OpenOptions {
  /** Folder (Node) or database prefix (browser). */
  path: string
  /** `wss://…` or `ws://…`; wanted on the first run. */
  relay?: string
  name?: string
  device?: string
  app?: { name: string; version: string }
  /** What the app's items refer to: with it a share says what it lacks, see `Share.missing`. What it throws is an `error` event. */
  refers?: Refers
  world?: World
}

export interface AccountEvents {
  change: undefined
  status: Status
  /**
   * A share that was lent to me has ended; again once it is wiped. A wipe that was cut off and is finished by `openAccount`
   * is told once it has resolved, in the first turn of the event loop after that.
   */
  ended: Ended
  /** Trouble that is no verb's. What `openAccount` ran into is told in the first turn after it has resolved. */
  error: LendError
}

export interface Account {
  readonly id: AccountId
  readonly name: string
  readonly status: Status
  /** The account's own items, on all of its devices. */
  readonly library: Library
  readonly devices: readonly Device[]
  /** Mine. One that does not open here has the status `failed`, and its verbs reject with that error. */
  readonly shares: readonly Share[]
  /** Lent to me; likewise. */
  readonly sharedWithMe: readonly LentShare[]
  /** Whether somebody has shown to have the 24 words of the account, on any of its devices. */
  readonly phrase: 'unconfirmed' | 'confirmed'
  on<K extends keyof AccountEvents>(event: K, listener: (value: AccountEvents[K]) => void): () => void
  /** The 24 words that recover the account, on the device that made it. @throws LendError PHRASE_GONE on others, and once confirmed */
  showPhrase(): Promise<string>
  /** The words, in any case and spacing: nothing of them is kept here from then on. @throws LendError PHRASE_WRONG */
  confirmPhrase(words: string): Promise<void>
  rename(name: string): Promise<void>
  /**
   * Made here at once, and at its relay (by default the account's) at the first contact.
   * @throws LendError BAD_FIELD, LIMIT_ITEMS, CLOSED
   */
  share(o: { title: string; items?: readonly Item[]; relay?: string; leaseMs?: number | null }): Promise<Share>
  /** What a link offers, with what `accept` would say. @throws LendError as `accept` does */
  preview(link: string, o?: { signal?: AbortSignal }): Promise<Offer>
  /**
   * Joins by a link; resolves with the share if the account has it already.
   * @throws LendError BAD_LINK, INVITE_*, YOU_ARE_THE_OWNER, REMOVED, EXPIRED, STOPPED, LIMIT_MEMBERS, PLAN_NEEDED, APP_TOO_OLD,
   * OFFLINE, RATE_LIMITED, RELAY_KEY_CHANGED, CLOSED
   */
  accept(link: string, o?: { signal?: AbortSignal }): Promise<LentShare>
  /** A link that adds a device of this account: one use, thirty minutes. Resolves when it is saved here. */
  inviteDevice(): Promise<Invite>
  /** Takes a device out: refused everywhere at once, wiped at its next contact. @throws LendError BAD_FIELD for this one */
  removeDevice(device: Device): Promise<void>
  synced(o?: { signal?: AbortSignal }): Promise<void>
  /**
   * Wipes this device; the account goes on with its others.
   * @throws LendError UNSYNCED (`limit`: how many edits would be lost), LAST_DEVICE while its phrase is not confirmed; neither with
   * `loseUnsynced`
   */
  signOut(o?: { loseUnsynced?: boolean }): Promise<void>
  close(): Promise<void>
}

/** What a device is called whose app does not say. */
export const DEVICE_NAME = 'this device'

/** What a sign-out waits for the relay to hear of it. */
const SIGN_OUT_MS_MAX = 5_000

/** @param begin how an account comes to be in a folder without one */
export async function openAccount(
  o: OpenOptions,
  world: World,
  begin: (o: OpenOptions) => Begin = ({ name = 'me', device = DEVICE_NAME, relay }) =>
    firstRun({ name, deviceName: device, relayUrl: relay })
): Promise<Account> {
  selfTestGuard()
  if (!o.path) throw badField('path: say where the account is kept')
  if (o.name !== undefined) checkText('name', o.name, limits.NAME_BYTES_MAX)
  if (o.device !== undefined) checkText('device', o.device, limits.NAME_BYTES_MAX)
  const suite = await loadSuite()
  const disk = world.disk(o.path)
  await finishAccountWipe(disk)
  const store = await AccountStore.open({ suite, world, disk }, begin(o))
  try {
    const finished = await finishWipes({ suite, world, disk, store })
    return await OpenAccount.open({ suite, world, disk, store }, finished, o.refers ?? null)
  } catch (error) {
    await store.close()
    throw error
  }
}

class OpenAccount extends Emitter<AccountEvents> implements Account {
  readonly library: Library
  readonly #home: Home
  readonly #relays: Relays
  readonly #jobs: Jobs
  readonly #all: Shares
  readonly #accepting: Accepting
  readonly #phrase: Phrase
  readonly #becoming: Becoming
  #shares: readonly Share[] = []
  #sharedWithMe: readonly LentShare[] = []
  #status: Status = { state: 'offline' }
  #stopNews = () => {}
  /** That this device is put out, on its way to the disk. */
  #keeping: Promise<unknown> = Promise.resolve()
  #closed = false
  #isSigningOut = false
  #leaving: Promise<void> | null = null

  private constructor(home: Home, relays: Relays, refers: Refers | null) {
    super()
    this.library = new OpenLibrary(home.library)
    this.#home = home
    this.#relays = relays
    this.#jobs = new Jobs(home, relays)
    this.#all = new Shares(home, relays, this.#jobs, {
      listed: () => this.#listed(),
      moved: () => this.#look(),
      ended: ended => this.emit('ended', ended),
      refers,
      cloned: device => this.#becoming.noticed(device),
      putOut: device => this.#becoming.putOut(device),
      openItem: item => this.library.open(item)
    })
    this.#accepting = new Accepting(home, relays, this.#jobs, this.#all)
    this.#phrase = new Phrase(home)
    this.#becoming = new Becoming(home, {
      became: () => this.#became(),
      putOut: () => this.#putOut(),
      failed: error => this.emit('error', error)
    })
    home.library.on('status', () => this.#look())
    home.library.on('change', () => this.emit('change', undefined))
  }

  /**
   * Opens the library, then every share of the list, and takes up what was left undone.
   * @param finished what is still to be settled, and to be told
   * @param refers null when the app says nothing of it
   */
  static async open(
    o: Omit<Place, 'tell'>,
    finished: readonly FinishedWipe[],
    refers: Refers | null
  ): Promise<OpenAccount> {
    let opened: OpenAccount | null = null
    const { suite, world, disk, store } = o
    const { device, seeds } = store
    const then = (run: (account: OpenAccount) => void) => () => {
      if (opened) run(opened)
    }
    const place: Place = { ...o, tell: error => opened?.emit('error', error) }
    const relays = new Relays(
      place,
      then(account => account.#look())
    )
    const library = await LibraryLog.open({
      suite,
      world,
      disk,
      store: store.sealed,
      account: seeds.account,
      device,
      connection: relays.own,
      created: seeds.created,
      name: seeds.name,
      listener: {
        indexed: parts => {
          if (opened) opened.#indexed(parts)
        },
        rekeyed: then(account => account.#all.rekeyed()),
        ended: then(account => void account.#leave('device-removed')),
        cloned: id => then(account => account.#becoming.noticed(id))(),
        putOut: id => then(account => account.#becoming.putOut(id))()
      }
    })
    if (library.index.deviceName(device.id) === null) {
      await library.edit(index => {
        if (seeds.created) index.name = seeds.name
        index.nameDevice(device.id, seeds.deviceName)
      })
    }
    opened = new OpenAccount({ ...place, library }, relays, refers)
    await opened.#begin(finished)
    return opened
  }

  async #begin(finished: readonly FinishedWipe[]): Promise<void> {
    const isBecoming = await this.#becoming.resume()
    this.#relays.own.open()
    const ended = finished.map(endedBefore)
    const errors = await this.#all.openAll(finished)
    if (this.#home.store.isPutOut && !isBecoming) this.#lock()
    else {
      this.#home.library.start()
      this.#jobs.deliverReceipts()
    }
    this.#forgetPhrase()
    this.#listed()
    // Told once somebody can listen.
    this.#stopNews = this.#home.world.timer(0, () => {
      for (const end of ended) this.emit('ended', end)
      for (const error of errors) this.emit('error', error)
    })
  }

  get id(): AccountId {
    return this.#home.library.account
  }

  get name(): string {
    return this.#home.library.name
  }

  get status(): Status {
    return this.#status
  }

  get devices(): readonly Device[] {
    return this.#home.library.devices.map(({ addedMs, lastSeenMs, ...device }) => ({
      ...device,
      added: new Date(addedMs),
      ...(lastSeenMs === null ? {} : { lastSeen: new Date(lastSeenMs) })
    }))
  }

  get shares(): readonly Share[] {
    return this.#shares
  }

  get sharedWithMe(): readonly LentShare[] {
    return this.#sharedWithMe
  }

  get phrase(): 'unconfirmed' | 'confirmed' {
    return this.#phrase.state
  }

  async showPhrase(): Promise<string> {
    this.#assertOpen()
    return this.#phrase.show()
  }

  async confirmPhrase(words: string): Promise<void> {
    this.#assertOpen()
    return this.#phrase.confirm(words)
  }

  async rename(name: string): Promise<void> {
    this.#assertOpen()
    checkText('name', name, limits.NAME_BYTES_MAX)
    await this.#home.library.rename(name)
  }

  async share(o: { title: string; items?: readonly Item[]; relay?: string; leaseMs?: number | null }): Promise<Share> {
    this.#assertOpen()
    checkText('title', o.title, limits.TITLE_BYTES_MAX)
    const leaseMs = o.leaseMs === undefined ? limits.LEASE_MS_DEFAULT : o.leaseMs
    if (leaseMs !== null && !(leaseMs >= limits.LEASE_MS_MIN && leaseMs <= limits.LEASE_MS_MAX)) {
      throw badField(`leaseMs is ${leaseMs}, want ${limits.LEASE_MS_MIN} to ${limits.LEASE_MS_MAX}, or null for none`)
    }
    if (o.relay !== undefined && !isRelayUrl(o.relay)) throw badField('relay: want its address, as ws://… or wss://…')
    return this.#all.create({
      title: o.title,
      items: o.items ?? [],
      relayUrl: o.relay ?? this.#home.store.relayUrl,
      leaseMs
    })
  }

  async preview(link: string, o: { signal?: AbortSignal } = {}): Promise<Offer> {
    this.#assertOpen()
    return this.#accepting.preview(link, o)
  }

  async accept(link: string, o: { signal?: AbortSignal } = {}): Promise<LentShare> {
    this.#assertOpen()
    return this.#accepting.accept(link, o)
  }

  async synced(o: { signal?: AbortSignal } = {}): Promise<void> {
    // What ends or locks meanwhile has nothing to sync.
    const gone = (error: unknown) => {
      if (!(error instanceof LendError) || (error.code !== 'ENDED' && error.code !== 'LOCKED')) throw error
    }
    await Promise.all([this.#home.library, ...this.#all.all].map(log => log.synced(o).catch(gone)))
  }

  async inviteDevice(): Promise<Invite> {
    this.#assertOpen()
    return this.#home.library.inviteDevice()
  }

  async removeDevice(device: Device): Promise<void> {
    this.#assertOpen()
    if (device.isThis) throw badField('device: this is the one in your hands; sign out instead')
    await this.#home.library.removeDevice(device.id)
  }

  async signOut(o: { loseUnsynced?: boolean } = {}): Promise<void> {
    this.#assertNotClosed()
    const unsynced = this.#unsynced
    if (!o.loseUnsynced && unsynced > 0) {
      throw new LendError('UNSYNCED', `${unsynced} edits are not at the relay yet and would be lost`, {
        limit: unsynced
      })
    }
    const isLast = this.#home.library.devices.length <= 1
    if (!o.loseUnsynced && isLast && !this.#home.library.index.phraseConfirmed) {
      throw new LendError(
        'LAST_DEVICE',
        'this is the last device; without its recovery phrase the account would be lost'
      )
    }
    // The others see it go, if the relay can be told now; they can take it out themselves if not.
    this.#isSigningOut = true
    if (!isLast) await this.#tellLeave()
    await this.#leave('signed-out')
  }

  async close(): Promise<void> {
    if (this.#closed) return this.#leaving ?? undefined
    this.#closed = true
    this.#stopNews()
    this.#accepting.close()
    this.#jobs.close()
    await this.#becoming.close()
    await this.#keeping
    await this.#all.close()
    await this.#home.library.close()
    await this.#phrase.close()
    this.#relays.close()
    await this.#home.store.close()
  }

  /** Edits that are not at their relay, of the library and every share of mine. */
  get #unsynced(): number {
    return [this.#home.library, ...this.#all.all].reduce((sum, log) => sum + log.unsynced, 0)
  }

  #tellLeave(): Promise<void> {
    if (this.#home.library.status.state !== 'synced') return Promise.resolve()
    return new Promise(resolve => {
      const stop = this.#home.world.timer(SIGN_OUT_MS_MAX, resolve)
      this.#home.library
        .leave()
        .catch(() => {})
        .finally(() => {
          stop()
          resolve()
        })
    })
  }

  /** The account goes from this device, with every replica; resolves when it is gone. Who signs out hears of that end first. */
  #leave(reason: AccountEnd): Promise<void> {
    if (!this.#closed) this.#leaving ??= this.#wipe(this.#isSigningOut ? 'signed-out' : reason)
    return this.#leaving ?? Promise.resolve()
  }

  async #wipe(reason: AccountEnd): Promise<void> {
    this.#closed = true
    this.#stopNews()
    this.#accepting.close()
    this.#jobs.close()
    const { disk, library, store } = this.#home
    this.#status = { state: 'ended', reason }
    this.emit('status', this.#status)
    try {
      await wipeAccount(disk, reason, async () => {
        await this.#becoming.close()
        await this.#all.letGo()
        await library.letGo()
        await this.#phrase.close()
        this.#relays.close()
        await store.close()
      })
      this.#gone()
    } catch (error) {
      // Its marker brings the wipe back at the next start.
      this.emit('error', asLendError(error))
    }
  }

  #gone(): void {
    this.#shares = []
    this.#sharedWithMe = []
    this.emit('change', undefined)
  }

  /** This device was a copy, and is a device of its own from now on. */
  #became(): void {
    const { library, store } = this.#home
    const { device, seeds } = store
    this.#all.renew()
    this.#relays.renew()
    library.reconnect()
    library
      .edit(index => index.nameDevice(device.id, seeds.deviceName))
      .catch(error => this.emit('error', asLendError(error)))
    this.emit(
      'error',
      new LendError('DEVICE_CLONED', 'this device was a copy of another; it is a device of its own now')
    )
    this.#listed()
  }

  /** Another copy of this device took its place: nothing is wiped, and all of it waits to be paired again. */
  #putOut(): void {
    if (this.#closed || this.#home.store.isPutOut) return
    this.#keeping = this.#home.store.putOut().catch(error => this.emit('error', asLendError(error)))
    this.#lock()
  }

  #lock(): void {
    const error = clonedAway()
    this.#accepting.close()
    this.#jobs.close()
    this.#home.library.lock(error)
    this.#all.lock(error)
    this.#relays.close()
    this.#listed()
  }

  /** @throws LendError CLOSED, DEVICE_CLONED */
  #assertOpen(): void {
    this.#assertNotClosed()
    if (this.#home.store.isPutOut) throw clonedAway()
  }

  #assertNotClosed(): void {
    if (this.#closed) throw new LendError('CLOSED', 'the account was closed')
  }

  #indexed(parts: ReadonlySet<IndexPart>): void {
    this.#all.indexed(parts)
    this.#forgetPhrase()
    this.emit('change', undefined)
  }

  /** Confirmed here before this was cut off, or on another device. */
  #forgetPhrase(): void {
    this.#phrase.forget().catch(error => this.emit('error', asLendError(error)))
  }

  #listed(): void {
    this.#shares = this.#all.owned
    this.#sharedWithMe = this.#all.lent
    this.emit('change', undefined)
    this.#look()
  }

  #look(): void {
    if (this.#status.state === 'ended') return
    const status = accountStatus(
      [this.#home.library, ...this.#all.all].map(log => log.status),
      this.#relays.own
    )
    if (sameStatus(status, this.#status)) return
    this.#status = status
    this.emit('status', status)
  }
}

function clonedAway(): LendError {
  const why = 'this device was copied, and the copy took its place in the account; pair it again, it keeps what it has'
  return new LendError('DEVICE_CLONED', why, { retry: 'after-change' })
}
