/** The relay without sockets: peers that a test plays itself, and time that it sets. */
import { join } from 'node:path'
import { ClientSession, type DeviceKeys, encodeFrame, type Frame, limits, type Refusal } from '@lend/engine'
import { loadRelayKeys, openLevelStore, type Peer, RelayCore, type Session, type SharedFrame } from '@lend/server'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { dice, makeAccount, makeShare, suite, UNSEEN } from './raw-client.ts'
import { closeWorlds, newData, tail } from './world.ts'

const coreTest = describe('relay core')
coreTest.after.each(closeWorlds)

/** A peer whose buffer fills when it does not read. */
class PlayedPeer implements Peer {
  readonly seen: Frame[] = []
  bufferedBytes = 0
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

async function newCore(clock: () => number): Promise<{ core: RelayCore; close: () => Promise<void> }> {
  const data = await newData()
  const store = await openLevelStore({ path: join(data, 'store'), dice })
  const keys = await loadRelayKeys(suite, data, dice)
  const core = new RelayCore({
    suite,
    store,
    keys,
    clock,
    dice,
    limits: { socketBufferBytes: 10_000 },
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

coreTest(
  'a reader whose buffer is full is sent nothing until it drains, and is closed when it never does',
  async () => {
    let nowMs = 1_000_000
    const { core, close } = await newCore(() => nowMs)
    const ann = makeAccount('Ann')
    const share = makeShare(ann, dice(32))
    const writer = new PlayedPeer(core, ann.device)
    await writer.until(() => core.metrics().sessions === 1)
    const append = (...bytes: Uint8Array[]) =>
      writer.ask({ type: 'append', log: share.log, incarnation: UNSEEN, entries: bytes })
    append(share.create.bytes)
    await writer.until(() => writer.count('ack') === 1)
    const reader = new PlayedPeer(core, ann.device)
    await reader.until(() => core.metrics().sessions === 2)
    reader.ask({ type: 'follow', log: share.log, cursor: null, head: null, invite: null, accountProof: [] })
    await reader.until(() => reader.count('entries') >= 1)

    reader.isReading = false
    const updates = Array.from({ length: 20 }, () => share.update(new Uint8Array(3000)))
    for (const [i, update] of updates.entries()) {
      // The create again: its frame is good for a log that was not seen before, and so are those after it.
      append(share.create.bytes, update.bytes)
      await writer.until(() => writer.count('ack') >= i + 2)
    }
    assert.ok(reader.bufferedBytes < 10_000 + 2 * 4096, `${reader.bufferedBytes} bytes wait`)
    assert.is(reader.takes, false, 'nothing is taken from it either')
    nowMs += limits.STALLED_MS_MAX - 1
    core.tick()
    assert.is(reader.closedBy, null)
    reader.read()
    const got = () => reader.seen.flatMap(frame => (frame.type === 'entries' ? frame.entries.map(tail) : []))
    await reader.until(() => got().length === updates.length + 1)
    assert.equal(got().slice(1), updates.map(tail))
    assert.is(reader.takes, true)

    reader.isReading = false
    reader.bufferedBytes = 20_000
    const more = share.update()
    append(share.create.bytes, more.bytes)
    await writer.until(() => writer.count('ack') >= updates.length + 2)
    reader.ask({ type: 'ping' })
    nowMs += limits.STALLED_MS_MAX
    core.tick()
    assert.is(reader.closedBy?.code, 'STALLED')
    assert.is(writer.closedBy, null)
    await close()
  }
)

coreTest('a session that never proves its device is refused by the clock alone', async () => {
  let nowMs = 0
  const { core, close } = await newCore(() => nowMs)
  const closed: Refusal[] = []
  const peer: Peer = {
    bufferedBytes: 0,
    send() {},
    sendShared() {},
    admit() {},
    take() {},
    close: refusal => void closed.push(refusal)
  }
  core.connect(peer)
  nowMs = limits.HANDSHAKE_MS_MAX - 1
  core.tick()
  assert.is(closed.length, 0)
  nowMs = limits.HANDSHAKE_MS_MAX
  core.tick()
  assert.equal(
    closed.map(({ code }) => code),
    ['HANDSHAKE_SLOW']
  )
  assert.is(core.metrics().connections, 0)
  await close()
})

coreTest.run()
