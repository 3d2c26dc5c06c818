/** When a device of the account was last there, as the others see it. */
import { type Account, type Device, openAccount, pairDevice } from '@lend/client'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { household, until } from './household.ts'
import { entriesOf } from './relay-log.ts'
import { movableTime } from './worlds.ts'

const lastSeen = suite('last seen')

const DAY_MS = 24 * 60 * 60 * 1000
const MINUTE_MS = 60 * 1000

function device(account: Account, name: string): Device {
  const found = account.devices.find(other => other.name === name)
  if (!found) throw new Error(`${account.name} has no ${name}`)
  return found
}

lastSeen(
  'a device says once a day that it is there, when it is, and the others show it, also after a restart',
  async () => {
    const time = movableTime()
    time.freeze()
    const { world } = time
    await household(
      async house => {
        const phone = await house.person('Maya', { world })
        const invite = await phone.inviteDevice()
        await until(phone, () => invite.state === 'open')
        const path = house.folder('laptop')
        await phone.synced()
        let laptop = house.keep(await pairDevice(invite.link ?? '', { path, device: 'laptop', world }))
        await laptop.synced()
        await until(phone, () => phone.devices.some(({ name }) => name === 'laptop'))
        const { added, lastSeen } = device(phone, 'laptop')
        assert.equal(lastSeen, added, 'it was there when it was added')
        assert.equal(device(laptop, 'this device').lastSeen, device(laptop, 'this device').added)
        assert.not.ok('lastSeen' in device(laptop, 'laptop'), 'this one is in your hands')
        const comeBack = async () => {
          await laptop.close()
          laptop = house.keep(await openAccount({ path, world }))
          await laptop.synced()
          await phone.synced()
        }

        time.moveOn(DAY_MS - MINUTE_MS)
        await comeBack()
        assert.equal(device(phone, 'laptop').lastSeen, added)
        time.moveOn(MINUTE_MS)
        const seen = new Date(world.now())
        await comeBack()
        await until(phone, () => device(phone, 'laptop').lastSeen?.getTime() === seen.getTime())
        // The phone was connected all along, and has heard of it.
        await until(laptop, () => device(laptop, 'this device').lastSeen?.getTime() === seen.getTime())
        time.moveOn(DAY_MS / 2)
        await comeBack()
        assert.equal(device(phone, 'laptop').lastSeen, seen)
        assert.is(device(phone, 'laptop').name, 'laptop')

        await laptop.close()
        time.moveOn(9 * DAY_MS)
        await phone.close()
        const again = await house.person('Maya', { world })
        await again.synced()
        assert.equal(device(again, 'laptop').lastSeen, seen, 'it was away')
        const { id } = device(again, 'laptop')
        await again.close()
        await house.stopRelay()
        const log = again.id as unknown as Parameters<typeof entriesOf>[1]
        const own = (await entriesOf(house.relayFolder, log)).filter(
          ({ entry }) => entry.kind === 'update' && Buffer.compare(entry.author, id) === 0
        )
        assert.is(own.length, 2, 'its name, and that it was there')
      },
      { clock: () => world.now() }
    )()
  }
)

lastSeen.run()
