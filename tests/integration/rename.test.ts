/** An account that is renamed on a device which has not seen its library yet. */
import { openAccount } from '@lend/client'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { household, until } from './household.ts'
import { devicesOf, pairWith } from './machines.ts'
import { movableTime } from './worlds.ts'

const rename = suite('rename')
/** Of two names that don't know of each other either may win: enough that chance alone does not pass. */
const DEVICES = 6

rename(
  'a name that is given right after pairing, before the first contact, is the name everywhere, also after a new start',
  household(async house => {
    const time = movableTime()
    const [phone] = await devicesOf(house, time, 'Maya', ['phone'])
    for (let n = 0; n < DEVICES; n++) {
      const laptop = await pairWith(house, time, phone, `laptop ${n}`)
      laptop.line.cut()
      await laptop.account.rename(`Maya ${n}`)
      if (n % 2 === 0) {
        await laptop.account.close()
        laptop.account = house.keep(await openAccount({ path: house.folder(laptop.name), world: laptop.line.world }))
      }
      assert.is(laptop.account.name, `Maya ${n}`)
      laptop.line.mend()
      await until(phone.account, () => phone.account.name === `Maya ${n}`)
      await until(laptop.account, () => laptop.account.status.state === 'synced' && laptop.account.name === `Maya ${n}`)
    }
  })
)

rename.run()
