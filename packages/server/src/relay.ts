/** A running relay: store, core and sockets put together, and taken apart in the right order. */
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { loadSuite } from '@lend/engine'
import { pino } from 'pino'
import { checkOptions, type RelayOptions } from './config.ts'
import type { Metrics } from './metrics.ts'
import { RelayCore } from './relay-core.ts'
import { loadRelayKeys } from './relay-key.ts'
import { SocketEdge } from './socket.ts'
import { openLevelStore } from './store/level-store.ts'

export interface Relay {
  /** Where clients connect: ws://address:port. */
  readonly url: string
  /** What clients pin: the relay's public key, 32 bytes. */
  readonly key: Uint8Array
  /** Answers what was asked, refuses all sessions with RELAY_CLOSING, closes sockets and store. */
  close(): Promise<void>
  metrics(): Metrics
}

/**
 * Starts a relay.
 * @throws z.ZodError for wrong options; StoreError ALREADY_OPEN, STORE_UNREADABLE; what `listen` and the disk say
 */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { port, host, data, origins, proxies, limits, clock, ...given } = checkOptions(options)
  const dice = given.dice ?? (bytes => new Uint8Array(randomBytes(bytes)))
  const logger = given.logger ?? pino({ level: 'silent' })
  const onFatal = given.onFatal ?? throwOutside
  const suite = await loadSuite()
  await mkdir(data, { recursive: true, mode: 0o700 })
  const store = given.store ?? (await openLevelStore({ path: join(data, 'store'), dice }))
  try {
    const keys = await loadRelayKeys(suite, data, dice)
    const core = new RelayCore({ suite, store, keys, clock, dice, nextTurn, limits, logger, onFatal })
    const edge = new SocketEdge({
      host,
      port,
      origins,
      proxies,
      limits,
      logger,
      connect: peer => core.connect(peer),
      tick: () => core.tick()
    })
    const url = await edge.open()
    const close = async () => {
      const closed = edge.close()
      await core.close()
      await closed
      await store.close()
    }
    let closing: Promise<void> | null = null
    return {
      url,
      key: keys.signing.publicKey,
      close() {
        closing ??= close()
        return closing
      },
      metrics: () => core.metrics()
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

/** Nobody listens: the process must not go on with a store that has failed. */
function throwOutside(error: Error): void {
  setImmediate(() => {
    throw error
  })
}
