/** What a relay that lies can not do to an owner's device: fill its library, silence it, or make it drop what it wrote. */
import { type Account, LendError, type LentShare, type Share, type World } from '@lend/client'
import {
  decodeEntry,
  deviceKeys,
  encodeHead,
  entryId,
  type Frame,
  hex,
  incarnation,
  type LogId,
  logId,
  signReceipt
} from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { dice, suite } from '../server/raw-client.ts'
import { follow, household, lend, linkTo, memberOf, textOf, until, type Watched } from './household.ts'
import { isAbout } from './lossy-line.ts'
import { openWiretap, type Wiretap } from './wiretap.ts'
import { throughDisk } from './worlds.ts'

const lies = describe('relay lies')

/** Follows by a new link if the one before went with an old device. */
async function followAnew(share: Share, account: Account): Promise<LentShare> {
  try {
    return await follow(share, account)
  } catch (error) {
    if (error instanceof LendError && error.code === 'INVITE_VOID') return followAnew(share, account)
    throw error
  }
}

lies(
  'receipts of devices that the relay made up are neither kept nor answered',
  household(async house => {
    const line = house.keep(await openWiretap(house.relay.url))
    const maya = await house.person('Maya', { relay: line.url })
    const share = await lend(maya, 'Paper', 'a line')
    await until(maya, () => maya.status.state === 'synced')
    const library = logId(maya.id)
    const [create] = sent(line, 'append', share.id).flatMap(({ entries }) => entries)
    assert.ok(create)
    const before = sent(line, 'append', library).length
    for (const accessHead of [entryId(dice(32)), decodeEntry(suite, create).id]) {
      const receipts = Array.from({ length: 8 }, () => {
        const device = deviceKeys(suite, dice(32))
        const said = { device: device.id, accessHead, reason: 'removed', timeMs: 1 } as const
        return signReceipt(suite, share.id, said, device.signing.secretKey)
      })
      passageOf(line, share.id).slipIn({ type: 'receipts', log: share.id, receipts })
    }
    textOf(share).insert(0, 'more of ')
    await share.synced()
    await until(maya, () => maya.status.state === 'synced')
    assert.is(sent(line, 'receipts-stored', share.id).length, 0)
    assert.is(sent(line, 'append', library).length, before, 'the library has nothing new')
  })
)

lies(
  'a receipt that comes before the removal that it names counts once that is here',
  household(async house => {
    const line = house.keep(await openWiretap(house.relay.url))
    const maya = await house.person('Maya', { relay: line.url })
    const ben = await house.person('Ben')
    const share = await lend(maya, 'Paper', 'a line')
    const benLine = house.keep(await openWiretap(house.relay.url))
    await (await ben.accept(benLine.link(await linkTo(share)))).synced()
    let held = true
    line.twist = ({ from, frame }) => {
      const told = from === 'relay' && (frame.type === 'entries' || frame.type === 'ack') && isAbout(frame, share.id)
      return told && held ? { type: 'pong', timeMs: Date.now() } : frame
    }
    await share.remove(memberOf(share, ben))
    const receipt = () => line.passages.some(({ passed }) => passed.some(({ frame }) => frame.type === 'receipts'))
    await until(line, receipt)
    assert.is(memberOf(share, ben).wiped, 0)
    const passages = line.passages.length
    held = false
    line.cut()
    line.mend()
    await until(line, () => line.passages.length > passages)
    await until(share, () => memberOf(share, ben).state === 'removed' && memberOf(share, ben).wiped === 1)
    await until(line, () => sent(line, 'receipts-stored', share.id).length === 1)
  })
)

lies(
  'its own entry in a new life of the log may cost an owner its device’s name and its links, and nothing else',
  household(async house => {
    const line = house.keep(await openWiretap(house.relay.url))
    const maya = await house.person('Maya', { relay: line.url })
    const share = await lend(maya, 'Paper', 'a line')
    const passage = passageOf(line, share.id)
    const own = sent(line, 'append', share.id)
      .flatMap(({ entries }) => entries)
      .find(bytes => decodeEntry(suite, bytes).kind === 'update')
    assert.ok(own)
    let lied = false
    const life = incarnation(dice(16))
    const said = {
      log: share.id,
      incarnation: life,
      seq: 0,
      runningHash: dice(32),
      accessHead: entryId(new Uint8Array(32))
    }
    const head = encodeHead(suite, { ...said, timeMs: Date.now() }, dice(32))
    const total = { from: 0, entriesTotal: 0, bytesTotal: 0 }
    passage.slipIn({ type: 'following', log: share.id, standing: 'owner', incarnation: life, ...total, head })
    line.twist = ({ from, frame }) => {
      const isRefusal = from === 'relay' && frame.type === 'refused' && frame.entry && isAbout(frame, share.id)
      if (lied || !isRefusal) return frame
      lied = true
      const entries = [{ seq: 2, timeMs: 1, bytes: own }]
      return { type: 'entries', log: share.id, incarnation: life, upTo: 3, head, entries }
    }
    const failures: string[] = []
    maya.on('status', ({ state }) => state === 'failed' && failures.push(state))
    share.on('status', ({ state }) => state === 'failed' && failures.push(state))
    textOf(share).insert(0, 'more of ')
    await until(line, () => lied)
    // The true relay alone, from now on.
    line.cut()
    line.mend()
    const ben = await house.person('Ben')
    await until(share, () => share.status.state === 'synced')
    assert.is(textOf(await followAnew(share, ben)).toString(), 'more of a line')
    assert.equal(failures, [])
  })
)

for (const canPause of [true, false]) {
  const how = canPause ? 'is paused' : 'that can not be paused is closed'
  lies(
    `a socket on which more comes than the device takes ${how}, and all goes on after it`,
    household(async house => {
      let disk: Promise<void> | null = null
      const calls: string[] = []
      const slowDisk = throughDisk((step, run) => (step.does === 'batch' && disk ? disk.then(run) : run()))
      const tell = new Set<() => void>()
      const socketCalled: Watched = {
        on(_event: string, listener: () => void) {
          tell.add(listener)
          return () => tell.delete(listener)
        }
      }
      const world: World = {
        ...slowDisk,
        connect(url, events) {
          const socket = slowDisk.connect(url, events)
          const call = (name: 'pause' | 'resume' | 'close') => () => {
            calls.push(name)
            for (const told of tell) told()
            socket[name]?.()
          }
          const counts = {
            get bufferedBytes() {
              return socket.bufferedBytes
            },
            get receivedBytes() {
              return socket.receivedBytes
            },
            send: (message: Uint8Array) => socket.send(message),
            close: call('close')
          }
          return canPause ? Object.assign(counts, { pause: call('pause'), resume: call('resume') }) : counts
        }
      }
      const line = house.keep(await openWiretap(house.relay.url))
      const maya = await house.person('Maya', { relay: line.url, world })
      const share = await lend(maya, 'Paper', 'a line')
      await until(maya, () => maya.status.state === 'synced')
      const passage = passageOf(line, share.id)
      const told = passage.passed.map(({ frame }) => frame).findLast(frame => frame.type === 'entries')
      assert.ok(told?.type === 'entries')
      let release = () => {}
      disk = new Promise<void>(resolve => {
        release = resolve
      })
      textOf(share).insert(0, 'more of ')
      const junk: Frame = { ...told, entries: [{ seq: 1, timeMs: 1, bytes: new Uint8Array(4 * 1024 * 1024) }] }
      for (let i = 0; i < (canPause ? 8 : 20); i++) passage.slipIn({ ...junk, log: share.id })
      await until(socketCalled, () => calls.length > 0)
      assert.equal(calls, [canPause ? 'pause' : 'close'])
      disk = null
      release()
      const ben = await house.person('Ben')
      assert.is(textOf(await follow(share, ben)).toString(), 'more of a line')
      if (canPause) assert.equal(calls.slice(0, 2), ['pause', 'resume'])
    })
  )
}

/** The newest connection that follows this log. */
function passageOf(line: Wiretap, log: LogId) {
  const passage = line.passages.findLast(({ passed }) =>
    passed.some(({ frame }) => frame.type === 'follow' && isAbout(frame, log))
  )
  if (!passage) throw new Error(`nobody follows ${hex(log)}`)
  return passage
}

/** What the client sent of a log. */
function sent<T extends Frame['type']>(line: Wiretap, type: T, log: LogId): Extract<Frame, { type: T }>[] {
  return line.passages
    .flatMap(({ passed }) => passed)
    .flatMap(({ from, frame }) =>
      from === 'client' && frame.type === type && isAbout(frame, log) ? [frame] : []
    ) as Extract<Frame, { type: T }>[]
}

lies.run()
