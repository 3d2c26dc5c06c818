/** The relay without sockets: peers that a test plays itself, and time that it sets. */
import { limits, logId, type Refusal } from '@lend/engine'
import type { Peer } from '@lend/server'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { newCore, PlayedPeer } from './played-peer.ts'
import { dice, makeAccount, makeShare, UNSEEN } from './raw-client.ts'
import { closeWorlds, tail } from './world.ts'

const coreTest = describe('relay core')
coreTest.after.each(closeWorlds)

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

coreTest('a frame on its way must keep its pace, and one that is not awaited need not', async () => {
  let nowMs = 0
  const { core, close } = await newCore(() => nowMs)
  const peer = new PlayedPeer(core, makeAccount().device)
  await peer.until(() => core.metrics().sessions === 1)
  const bytes = (limits.PING_MS / 1000) * 4096
  const after = (ms: number, moved: number) => {
    nowMs += ms
    peer.unfinishedBytes += moved
    core.tick()
    return peer.closedBy?.code ?? null
  }
  after(0, 1)
  for (let i = 0; i < 10; i++) assert.is(after(limits.PING_MS, bytes), null)
  peer.ask({ type: 'ping' })
  assert.is(after(limits.PING_MS, 0), null, 'the frame was whole, and this is another')
  assert.is(after(limits.PING_MS - 1, bytes - 1), null)
  assert.is(after(1, 0), 'STALLED')
  await close()
})

coreTest(
  'a reader on a slow line is served as long as it takes something, and closed when it takes too little',
  async () => {
    let nowMs = 0
    const { core, close } = await newCore(() => nowMs)
    const reader = new PlayedPeer(core, makeAccount().device)
    await reader.until(() => core.metrics().sessions === 1)
    const bytes = (limits.STALLED_MS_MAX / 1000) * 4096
    const after = (ms: number, moved: number) => {
      nowMs += ms
      reader.takenBytes += moved
      core.tick()
      return reader.closedBy?.code ?? null
    }
    reader.bufferedBytes = 8 * 1024 * 1024
    after(0, 0)
    for (let i = 0; i < 10; i++) assert.is(after(limits.STALLED_MS_MAX, bytes), null)
    assert.is(after(limits.STALLED_MS_MAX, bytes - 1), 'STALLED')
    await close()
  }
)

coreTest('who asks faster than the relay answers is not read until it has answered', async () => {
  const { core, close } = await newCore(() => 0)
  const peer = new PlayedPeer(core, makeAccount().device)
  await peer.until(() => core.metrics().sessions === 1)
  const follow = () =>
    peer.ask({ type: 'follow', log: logId(dice(32)), cursor: null, head: null, invite: null, accountProof: [] })
  follow()
  assert.is(peer.takes, true, 'one request holds 8 KiB, and 10,000 bytes are allowed')
  follow()
  assert.is(peer.takes, false)
  await peer.until(() => peer.count('refused') === 2)
  assert.is(peer.takes, true)
  await close()
})

coreTest('a session that never proves its device is refused by the clock alone', async () => {
  let nowMs = 0
  const { core, close } = await newCore(() => nowMs)
  const closed: Refusal[] = []
  const peer: Peer = {
    network: '192.0.2.1',
    bufferedBytes: 0,
    takenBytes: 0,
    unfinishedBytes: 0,
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
