/** The relays of an account: one connection for each, their keys pinned from the first contact or from a share. */
import { asLendError } from '../disk/disk-error.ts'
import { type ConnectionState, RelayConnection } from '../relay/connection.ts'
import type { Place } from './account-store.ts'

/** How long a share that is made waits for the first contact with its relay, before it goes on without. */
const FIRST_CONTACT_MS_MAX = 2_000

/** A connection for one attempt. */
export interface Line {
  readonly connection: RelayConnection
  done(): void
}

export class Relays {
  readonly #home: Place
  readonly #changed: () => void
  readonly #connections = new Map<string, RelayConnection>()
  #closed = false

  /** @param changed called when a connection opened, closed or failed */
  constructor(home: Place, changed: () => void) {
    this.#home = home
    this.#changed = changed
  }

  /** The connection of the account's own relay. */
  get own(): RelayConnection {
    return this.at(this.#home.store.relayUrl)
  }

  /** @param relayKey the only one to take, if none is pinned for this address yet */
  at(url: string, relayKey: Uint8Array | null = null): RelayConnection {
    const known = this.#connections.get(url)
    if (known) {
      if (relayKey) known.pin(relayKey)
      return known
    }
    const { world, suite, store } = this.#home
    const pinned = relayKey ?? store.relayKey(url)
    const connection = new RelayConnection({ url, relayKey: pinned, world, suite, device: store.device })
    this.#connections.set(url, connection)
    this.#watch(connection)
    return connection
  }

  /** A link's word for a relay's key counts for the attempt alone, until that relay has proved it. */
  forAttempt(url: string, relayKey: Uint8Array): Line {
    const known = this.#connections.get(url)
    if (known?.relayKey) return { connection: known, done: () => {} }
    const { world, suite, store } = this.#home
    const connection = new RelayConnection({ url, relayKey, world, suite, device: store.device })
    return { connection, done: () => connection.close() }
  }

  /** The relay's proved key, as soon as there is one; at once when it was reached before. Dials if it must. */
  keyOf(url: string, signal: AbortSignal): Promise<Uint8Array> {
    const connection = this.at(url)
    if (connection.relayKey) return Promise.resolve(connection.relayKey)
    return new Promise((resolve, reject) => {
      const unwatch = connection.watch(state => {
        if (state !== 'open' || !connection.relayKey) return
        unwatch()
        resolve(connection.relayKey)
      })
      signal.addEventListener('abort', () => {
        unwatch()
        reject(signal.reason)
      })
      connection.open()
    })
  }

  /** Resolves at the first contact, at the end of a dial without one, or after two seconds. */
  firstContact(url: string): Promise<void> {
    const connection = this.at(url)
    if (connection.relayKey) return Promise.resolve()
    connection.open()
    return new Promise(resolve => {
      const stop = () => {
        unwatch()
        stopTimer()
        resolve()
      }
      const unwatch = connection.watch(state => {
        if (state !== 'connecting') stop()
      })
      const stopTimer = this.#home.world.timer(FIRST_CONTACT_MS_MAX, stop)
      if (connection.state === 'open') stop()
    })
  }

  /** This device is another one from now on. */
  renew(): void {
    for (const connection of this.#connections.values()) connection.renew(this.#home.store.device)
  }

  close(): void {
    this.#closed = true
    for (const connection of this.#connections.values()) connection.close()
  }

  #watch(connection: RelayConnection): void {
    const { store, tell } = this.#home
    let told: string | null = null
    connection.watch((state: ConnectionState) => {
      if (this.#closed) return
      if (state === 'open') {
        told = null
        const key = connection.relayKey
        if (key && !store.relayKey(connection.url)) {
          store.pinRelay(connection.url, key).catch(error => tell(asLendError(error)))
        }
      }
      // Each trouble is told once, until the relay is reached again.
      const error = state === 'offline' ? connection.trouble?.error : null
      if (error && told !== error.code) {
        told = error.code
        tell(error)
      }
      this.#changed()
    })
  }
}
