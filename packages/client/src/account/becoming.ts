/**
 * A device that was copied, or restored from a backup, becomes a device of its own. Its old id admits the new one into the
 * library, and from one batch on the disk on it is that one: what it has, and its logs lack, goes out under its new name,
 * and the old id goes out of the account with the reason `cloned`.
 *
 *   idle → kept → invited → in the list → another device       cut off anywhere: begun again from what is kept
 *          kept → put out                                      another copy was first: this one keeps what it has, locked
 *
 * Two copies that notice at once both become devices of their own, or one of them is put out: the list is one order.
 */
import {
  authorInvite,
  type DeviceId,
  hex,
  inviteKeys,
  LendError,
  type LibraryList,
  type Link,
  libraryEpochKeys,
  logId,
  Refusal,
  same
} from '@lend/engine'
import { asLendError } from '../disk/disk-error.ts'
import {
  type Candidate,
  forgetCandidate,
  forgotten,
  keepCandidate,
  keptCandidate,
  keysOf
} from '../joining/candidate.ts'
import { visitLog } from '../joining/log-visit.ts'
import { enter } from '../joining/pair.ts'
import { DEVICE_INVITE_MS } from '../library/library-log.ts'
import { Backoff } from '../log/backoff.ts'
import type { AccessVisit } from '../log/visit.ts'
import { refusedIntent } from '../log/wishes.ts'
import { RelayConnection } from '../relay/connection.ts'
import type { Stop } from '../world.ts'
import type { Folder, Home } from './account-store.ts'

export interface BecomingListener {
  /** The account's store has another device now. */
  became(): void
  /** Another copy took this device's place. */
  putOut(): void
  /** It is tried again; told once for each code. */
  failed(error: LendError): void
}

const AGAIN_MS = { firstMs: 500, maxMs: 60_000 }

export class Becoming {
  readonly #home: Home
  readonly #folder: Folder
  readonly #listener: BecomingListener
  readonly #again: Backoff
  readonly #closing = new AbortController()
  #running: Promise<void> | null = null
  #stopTimer: Stop | null = null
  readonly #told = new Set<string>()

  constructor(home: Home, listener: BecomingListener) {
    this.#home = home
    this.#folder = { ...home, store: home.store.sealed }
    this.#listener = listener
    this.#again = new Backoff(home.world, AGAIN_MS)
  }

  /** Goes on with what was cut off. @returns whether there is something to go on with */
  async resume(): Promise<boolean> {
    if (!(await keptCandidate(this.#folder))) return false
    this.#start()
    return true
  }

  /** A log has entries of this device that it did not write. */
  noticed(device: DeviceId): void {
    if (same(device, this.#home.store.device.id)) this.#start()
  }

  /** A list says that this device is out, as a clone. While it becomes another, that is how it learns whether it did. */
  putOut(device: DeviceId): void {
    if (!this.#running && same(device, this.#home.store.device.id)) this.#listener.putOut()
  }

  async close(): Promise<void> {
    this.#closing.abort(new LendError('CLOSED', 'the account was closed'))
    this.#stopTimer?.()
    await this.#running
  }

  /** Until it is done, one way or the other. */
  #start(): void {
    this.#running ??= this.#untilDone().finally(() => {
      this.#running = null
    })
  }

  async #untilDone(): Promise<void> {
    const { signal } = this.#closing
    this.#again.reset()
    while (!signal.aborted) {
      try {
        return await this.#become()
      } catch (error) {
        if (signal.aborted) return
        this.#tell(asLendError(error instanceof Refusal ? refusedIntent(error) : error))
        await this.#wait(this.#again.next())
      }
    }
  }

  async #become(): Promise<void> {
    const kept = await keptCandidate(this.#folder)
    if (kept && (await this.#isIn(kept))) return
    const candidate = (await keptCandidate(this.#folder)) ?? (await this.#fresh())
    const link = await this.#invite()
    if (link) {
      await enter(this.#folder, link, candidate, this.#closing.signal, visit => this.#be(candidate, visit))
      return
    }
    await forgetCandidate(this.#folder)
    // Its own contact says why, and what follows from it.
    this.#running = null
    this.#home.library.reconnect()
  }

  async #fresh(): Promise<Candidate> {
    const { world, store, library } = this.#home
    const { account, relayUrl, deviceName } = store.seeds
    const candidate: Candidate = {
      account,
      relayUrl,
      relayKey: this.#relayKey,
      deviceSeed: world.dice(32),
      deviceName: library.index.deviceName(store.device.id) ?? deviceName
    }
    await keepCandidate(this.#folder, candidate)
    return candidate
  }

  /** Whether the device that was cut off got in; then it is this one from now on. One that was put out is forgotten. */
  async #isIn(candidate: Candidate): Promise<boolean> {
    const device = keysOf(this.#folder, candidate)
    try {
      return await this.#visit(device, async (visit, list) => {
        if (list.devices.has(hex(device.id))) {
          await this.#be(candidate, visit)
          return true
        }
        await forgetCandidate(this.#folder)
        return false
      })
    } catch (error) {
      if (error instanceof Refusal && error.code === 'NO_ACCESS') return false
      throw error
    }
  }

  /** Invites the new device. @returns null when this one is out */
  #invite(): Promise<Link | null> {
    const { suite, world, library, store } = this.#home
    const { account, relayUrl } = store.seeds
    const { device } = store
    const log = logId(account)
    const secret = world.dice(32)
    return this.#visit(device, async visit => {
      if (visit.standing !== 'owner') return null
      const expiresMs = Math.max(world.now(), visit.timeMs) + DEVICE_INVITE_MS
      const preview = { owner: library.name, title: '', items: {}, presence: false }
      await visit.write(list => {
        if (!list.devices.has(hex(device.id)) || list.invites.has(hex(inviteKeys(suite, secret).id))) return null
        const statements = visit.history.records.map(record => record.statement)
        const holder = { device, recovery: null, invite: null }
        const epochKey = libraryEpochKeys(suite, log, statements, holder).get(list.epoch)
        if (!epochKey) throw new LendError('STORE_CORRUPT', 'this device lacks the key of its own library')
        const wanted = { secret, uses: 1, expiresMs, untilMs: null, bound: null }
        return authorInvite(suite, { ...wanted, preview, epochKey }, world.dice)
      })
      return { kind: 'device', relayUrl, relayKey: this.#relayKey, log, secret }
    })
  }

  /** The list has it: this device is that one from now on. */
  async #be(candidate: Candidate, visit: AccessVisit<LibraryList>): Promise<void> {
    const { store, library } = this.#home
    const { deviceSeed, deviceName } = candidate
    await store.become({ ...store.seeds, deviceSeed, deviceName, created: null }, (device, changes) =>
      library.become(device, visit.history.records, [...changes, forgotten()])
    )
    this.#listener.became()
  }

  #visit<T>(
    device: Home['store']['device'],
    run: (visit: AccessVisit<LibraryList>, list: LibraryList) => Promise<T>
  ): Promise<T> {
    const { suite, world, store } = this.#home
    const { account, relayUrl: url } = store.seeds
    const connection = new RelayConnection({ url, relayKey: this.#relayKey, world, suite, device })
    const log = logId(account)
    const { signal } = this.#closing
    const visit = { suite, world, kind: 'library', log, device, invite: null, connection, signal } as const
    return visitLog<LibraryList, T>(visit, run).finally(() => connection.close())
  }

  /** @throws LendError OFFLINE before the account's relay was reached once */
  get #relayKey(): Uint8Array {
    const { store } = this.#home
    const key = store.relayKey(store.relayUrl)
    if (!key) throw new LendError('OFFLINE', 'the account’s relay was never reached', { retry: 'later' })
    return key
  }

  #tell(error: LendError): void {
    if (this.#told.has(error.code)) return
    this.#told.add(error.code)
    this.#listener.failed(error)
  }

  #wait(ms: number): Promise<void> {
    return new Promise(resolve => {
      this.#closing.signal.addEventListener('abort', () => resolve(), { once: true })
      this.#stopTimer = this.#home.world.timer(ms, resolve)
    })
  }
}
