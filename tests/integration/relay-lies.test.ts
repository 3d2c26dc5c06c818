/** What a relay that lies can not do to an owner's device: fill its library, silence it, or make it drop what it wrote. */
import { decodeEntry, deviceKeys, entryId, type Frame, hex, type LogId, logId, signReceipt } from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { dice, suite } from '../server/raw-client.ts'
import { household, lend, linkTo, memberOf, textOf, until } from './household.ts'
import { isAbout } from './lossy-line.ts'
import { openWiretap, type Wiretap } from './wiretap.ts'

const lies = describe('relay lies')

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
