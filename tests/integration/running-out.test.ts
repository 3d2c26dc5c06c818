/** A membership up to a time, on every device of the member, whatever their clocks say. */
import { existsSync } from 'node:fs'
import { type Account, type LentShare, openAccount, pairDevice } from '@lend/client'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { event, type Household, household, lend, linkTo, memberOf, replicaOf, textOf, until } from './household.ts'
import { movableTime, noNetwork } from './worlds.ts'

const runningOut = suite('running out')
const HOUR_MS = 60 * 60 * 1000

function first(account: Account): LentShare {
  const [lent] = account.sharedWithMe
  if (!lent) throw new Error('nothing is lent')
  return lent
}

function isLocked(lent: LentShare): boolean {
  try {
    return lent.doc === null
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'LOCKED'
  }
}

/** Ben on two devices, each with a clock of its own, and a share that is his for an hour. */
async function lentForAnHour(house: Household, times: readonly ReturnType<typeof movableTime>[]) {
  const [phoneTime, laptopTime] = times
  if (!phoneTime || !laptopTime) throw new Error('two clocks are wanted')
  const maya = await house.person('Maya')
  const share = await lend(maya, 'Paper', 'a line')
  const phone = await house.person('phone', { world: phoneTime.world })
  await phone.synced()
  const { link } = await phone.inviteDevice()
  const laptop = house.keep(
    await pairDevice(link ?? '', { path: house.folder('laptop'), device: 'laptop', world: laptopTime.world })
  )
  const endsMs = Date.now() + HOUR_MS
  await phone.accept(await linkTo(share, { until: new Date(endsMs) }))
  for (const device of [phone, laptop]) {
    await until(device, () => device.sharedWithMe[0]?.status.state === 'synced')
    assert.is(first(device).until?.getTime(), endsMs)
  }
  return { maya, share, endsMs, devices: [phone, laptop] as const }
}

runningOut(
  'each device locks to the millisecond, offline too, and a clock that is set back gains nothing, by a new start neither',
  async () => {
    const times = [movableTime(), movableTime()] as const
    await household(async house => {
      const { share, endsMs, devices } = await lentForAnHour(house, times)
      await house.stopRelay()
      for (const [i, device] of devices.entries()) {
        const time = times[i] ?? movableTime()
        const name = i === 0 ? 'phone' : 'laptop'
        const lent = first(device)
        time.freeze()
        time.moveOn(endsMs - 1 - time.world.now())
        assert.is(textOf(lent).toString(), 'a line', `${name}, a millisecond before`)
        time.moveOn(1)
        assert.ok(isLocked(lent), `${name} at its end`)
        assert.is(lent.status.state, 'locked')
        time.moveOn(-2 * HOUR_MS)
        assert.ok(isLocked(lent), `${name}, its clock set back`)
        await device.close()
        const again = await openAccount({ path: house.folder(name), world: { ...time.world, ...noNetwork } })
        assert.ok(isLocked(first(again)), `${name}, after a new start`)
        await again.close()
        // Locked is not deleted: only the owner's word does that.
        assert.ok(existsSync(replicaOf(house.folder(name), share).directory))
      }
    })()
  }
)

runningOut(
  'the relay serves up to the time and not after, and both devices wipe once the owner has signed the end',
  async () => {
    const times = [movableTime(), movableTime()] as const
    let aheadMs = 0
    await household(
      async house => {
        const { maya, share, endsMs, devices } = await lentForAnHour(house, times)
        const wiped = devices.map(device => event(device, 'ended', ended => ended.wiped))
        await maya.close()
        // The devices' own clocks stand; it is the relay's that has come to the end.
        aheadMs = endsMs - Date.now()
        for (const device of devices) {
          await until(first(device), () => first(device).status.state === 'locked')
          assert.is(first(device).status.state, 'locked')
        }
        const time = movableTime()
        time.moveOn(aheadMs)
        const again = await house.person('Maya', { world: time.world })
        for (const ended of await Promise.all(wiped)) assert.is(ended.reason, 'expired')
        for (const name of ['phone', 'laptop']) {
          assert.not.ok(existsSync(replicaOf(house.folder(name), share).directory), name)
        }
        const [mine] = again.shares
        if (!mine) throw new Error('the share is gone')
        const [phone] = devices
        await until(mine, () => memberOf(mine, phone).state === 'expired' && memberOf(mine, phone).wiped === 2)
        assert.is(memberOf(mine, phone).devices, 2)
      },
      { clock: () => Date.now() + aheadMs }
    )()
  }
)

runningOut('a device whose clock is ahead locks early, and nobody deletes anything for it', async () => {
  const times = [movableTime(), movableTime()] as const
  await household(async house => {
    const { share, devices } = await lentForAnHour(house, times)
    const [phone, laptop] = devices
    times[0].moveOn(HOUR_MS)
    assert.ok(isLocked(first(phone)))
    textOf(share).insert(0, 'more of ')
    await until(first(laptop).doc, () => textOf(first(laptop)).toString() === 'more of a line')
    assert.ok(existsSync(replicaOf(house.folder('phone'), share).directory))
    assert.is(memberOf(share, phone).state, 'joined')
  })()
})

runningOut.run()
