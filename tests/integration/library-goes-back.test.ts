/** A relay that lost what a library had decided: who was out is out again, though it came first. */
import { cp, rm } from 'node:fs/promises'
import { type Account, openAccount, recoverAccount } from '@lend/client'
import { decodeStatement, logId } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Household, household, until } from './household.ts'
import { devicesOf, pairWith, startAnew } from './machines.ts'
import { entriesOf } from './relay-log.ts'
import { movableTime, nodeWorld } from './worlds.ts'

const back = suite('a library that goes back')

/** Stops the relay while `run` does something with its data. */
async function atRest(house: Household, run: (data: string, copy: string) => Promise<void>): Promise<void> {
  await house.stopRelay()
  await run(house.relayFolder, `${house.relayFolder}.copy`)
  await house.startRelay()
}

const keep = (house: Household) => atRest(house, (data, copy) => cp(data, copy, { recursive: true }))

/** The relay is as it was when it was kept. */
const goBack = (house: Household) =>
  atRest(house, async (data, copy) => {
    await rm(data, { recursive: true })
    await cp(copy, data, { recursive: true })
  })

/** An access entry of this device that the relay has. */
async function writeInvite(account: Account): Promise<void> {
  const invite = await account.inviteDevice()
  await until(account, () => invite.state === 'open')
}

async function statementsOf(house: Household, account: Account): Promise<string[]> {
  await house.stopRelay()
  const entries = (await entriesOf(house.relayFolder, logId(account.id))).map(({ entry }) => entry)
  return entries.filter(({ kind }) => kind === 'access').map(({ payload }) => decodeStatement(payload).type)
}

for (const forks of [false, true]) {
  const then = forks ? ', and an old device has written since,' : ''

  back(
    `of a relay that lost a reset${then} the recovered device gets it written again, and the old ones are out`,
    household(async house => {
      const [phone, laptop] = await devicesOf(house, movableTime(), 'Maya', ['phone', 'laptop'])
      assert.ok(laptop)
      const words = await phone.account.showPhrase()
      await Promise.all([phone.account.synced(), laptop.account.synced()])
      phone.line.cut()
      laptop.line.cut()
      await keep(house)
      const o = { path: house.folder('tablet'), relay: house.relay.url, device: 'tablet', world: nodeWorld }
      const tablet = await recoverAccount(words, o)
      await tablet.library.add('camera', { name: 'Door' })
      await tablet.synced()
      await tablet.close()
      await goBack(house)
      phone.line.mend()
      if (forks) await writeInvite(phone.account)
      else await until(phone.account, () => phone.account.status.state === 'synced')
      const again = house.keep(await openAccount({ path: o.path, world: nodeWorld }))
      await again.synced()
      laptop.line.mend()
      for (const { account } of [phone, laptop]) await until(account, () => account.status.state === 'ended')
      assert.equal(
        again.devices.map(({ name }) => name),
        ['tablet']
      )
      await again.close()
      const reopened = house.keep(await openAccount({ path: o.path, world: nodeWorld }))
      await reopened.synced()
      assert.equal(
        reopened.library.items.map(({ name }) => name),
        ['Door']
      )
      const statements = await statementsOf(house, again)
      assert.is(statements.filter(type => type === 'reset').length, 1)
    })
  )

  back(
    `of a relay that lost a removal${then} the device goes out again`,
    household(async house => {
      const time = movableTime()
      const [phone, laptop] = await devicesOf(house, time, 'Maya', ['phone', 'laptop'])
      assert.ok(laptop)
      await until(phone.account, () => phone.account.devices.length === 2)
      await Promise.all([phone.account.synced(), laptop.account.synced()])
      laptop.line.cut()
      await keep(house)
      const gone = phone.account.devices.find(({ isThis }) => !isThis)
      assert.ok(gone)
      await phone.account.removeDevice(gone)
      await phone.account.synced()
      phone.line.cut()
      await goBack(house)
      laptop.line.mend()
      if (forks) await writeInvite(laptop.account)
      else await laptop.account.synced()
      phone.line.mend()
      await until(laptop.account, () => laptop.account.status.state === 'ended')
      await phone.account.synced()
      assert.is(phone.account.devices.length, 1)
      await startAnew(house, phone)
      const tablet = await pairWith(house, time, phone, 'tablet')
      await tablet.account.synced()
    })
  )
}

back.run()
