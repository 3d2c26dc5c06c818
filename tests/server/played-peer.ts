/** A relay without sockets, and peers of it that a test plays itself. */
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { ClientSession, type DeviceKeys, encodeFrame, type Frame, type Refusal } from '@lend/engine'
import {
  loadRelayKeys,
  openLevelStore,
  type Peer,
  RelayCore,
  type RelayLimits,
  type Session,
  type SharedFrame
} from '@lend/server'
import { dice, suite } from './raw-client.ts'
import { newData } from './world.ts'

/** @param o.nextTurn of the event loop, as the relay sees it */
export async function newCore(
  clock: () => number,
  o: { nextTurn?: () => Promise<void>; limits?: Partial<RelayLimits> } = {}
): Promise<{ core: RelayCore; close: () => Promise<void> }> {
  const data = await newData()
  const store = await openLevelStore({ path: join(data, 'store'), dice })
  const keys = await loadRelayKeys(suite, data, dice)
  const core = new RelayCore({
    suite,
    store,
    keys,
    clock,
    dice,
    nextTurn: o.nextTurn ?? setImmediate,
    limits: { socketBufferBytes: 10_000, ...o.limits },
    onFatal(error) {
      throw error
    }
  })
  return {
    core,
    async close() {
      await core.close()
      await store.close()
    }
  }
}

/** A peer whose buffer fills when it does not read. */
export class PlayedPeer implements Peer {
  readonly network = '192.0.2.1'
  readonly seen: Frame[] = []
  bufferedBytes = 0
  takenBytes = 0
  unfinishedBytes = 0
  isReading = true
  takes = true
  closedBy: Refusal | null = null
  readonly #client: ClientSession
  #session: Session | null = null
  #news: () => void = () => {}

  constructor(core: RelayCore, device: DeviceKeys) {
    this.#client = new ClientSession({ suite, device, relayKey: null, dice })
    this.#session = core.connect(this)
    for (const effect of this.#client.start()) if (effect.do === 'send') this.#session.receive(effect.frame)
  }

  ask(frame: Frame): void {
    this.#session?.receive(encodeFrame(frame))
  }

  send(frame: Uint8Array): void {
    if (!this.isReading) this.bufferedBytes += frame.length
    // Later, as on a wire.
    queueMicrotask(() => {
      for (const effect of this.#client.receive(frame)) {
        if (effect.do === 'send') this.#session?.receive(effect.frame)
        if (effect.do === 'deliver') this.seen.push(effect.frame)
      }
      this.#news()
    })
  }

  sendShared(frame: SharedFrame): void {
    this.send(frame.bytes)
  }

  admit(): void {}

  take(frames: boolean): void {
    this.takes = frames
  }

  close(refusal: Refusal): void {
    this.closedBy = refusal
    this.#news()
  }

  read(): void {
    this.isReading = true
    this.bufferedBytes = 0
    this.#session?.drained()
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await new Promise<void>(done => {
        this.#news = done
      })
    }
  }

  count(type: Frame['type']): number {
    return this.seen.filter(frame => frame.type === type).length
  }
}
