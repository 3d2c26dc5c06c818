// limit: 600 s
/** Several devices of one account: pairing by a link, what all of them have alike, and pairings that were cut off. */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Account, LendError, openAccount, pairDevice, previewInvite, type World } from '@lend/client'
import { hex } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { waysAt } from './deaths.ts'
import { type Household, household, lend, linkTo, until } from './household.ts'
import { newcomer } from './newcomer.ts'
import { movableTime, nodeWorld, noNetwork } from './worlds.ts'

const devices = suite('devices')

async function codeOf(asked: () => Promise<unknown>): Promise<string> {
  try {
    await asked()
    return 'ok'
  } catch (error) {
    if (!(error instanceof LendError)) throw error
    return error.code
  }
}

/** A link that adds a device, once the relay has its invite. */
async function deviceLink(account: Account): Promise<string> {
  const invite = await account.inviteDevice()
  await until(account, () => invite.state === 'open')
  if (invite.link === null) throw new Error('the device that made an invite knows its link')
  return invite.link
}

async function pair(house: Household, link: string, device: string, world: World = nodeWorld): Promise<Account> {
  return house.keep(await pairDevice(link, { path: house.folder(device), device, world }))
}

const namesOf = (account: Account) => account.devices.map(({ name }) => name).sort()

devices(
  'a device paired by a link has the account’s name, devices and lists, and can pair the next',
  household(async house => {
    const phone = await house.person('Maya')
    await phone.synced()
    const laptop = await pair(house, await deviceLink(phone), 'laptop')
    await laptop.synced()
    const tablet = await pair(house, await deviceLink(laptop), 'tablet')
    const all = [phone, laptop, tablet]
    for (const device of all) {
      assert.is(hex(device.id), hex(phone.id))
      await until(device, () => namesOf(device).join() === 'laptop,tablet,this device')
      assert.is(device.name, 'Maya')
      assert.is(device.devices.filter(({ isThis }) => isThis).length, 1)
    }
    for (const [i, device] of all.entries()) {
      await device.rename(`Maya ${i}`)
      for (const other of all) await until(other, () => other.name === `Maya ${i}`)
    }
    await Promise.all(all.map(device => device.synced()))
  })
)

devices(
  'a pairing that is killed at any step goes on with the same link, or by opening the folder, and leaves one device',
  household(async house => {
    const phone = await house.person('Maya')
    await phone.synced()
    const died = new Set<string>()
    let isIn = false
    const goOn = async (step: number, resume: (link: string, folder: string) => Promise<Account>) => {
      const link = await deviceLink(phone)
      const folder = house.folder(`killed ${step} ${resume.name}`)
      const said = await newcomer(folder, step, 'pair', link)
      const again = await resume(link, folder)
      await again.synced()
      await again.close()
      return said
    }
    const byLink = (link: string, path: string) => pairDevice(link, { path, world: nodeWorld })
    const byOpening = async (link: string, path: string) => {
      try {
        return await openAccount({ path, world: nodeWorld })
      } catch (error) {
        // It never got in, and so its link was not used.
        if (!(error instanceof LendError) || !['NO_ACCESS', 'BAD_FIELD'].includes(error.code)) throw error
        return byLink(link, path)
      }
    }
    for (let step = 1; !isIn; step++) {
      const said = await Promise.all(waysAt(step, [byLink, byOpening]).map(resume => goOn(step, resume)))
      for (const words of said) died.add(words)
      isIn = said.every(words => words === 'in')
      await until(phone, () => phone.devices.length === 1 + said.length * step && namesOf(phone)[0] !== '')
    }
    console.log([...died].join('\n'))
    for (const what of ['batch account', 'follow', 'join-library']) assert.ok(died.has(`dies before ${what}`), what)
  })
)

devices(
  'who signs out has nothing of the account here when that resolves; the last device only when the words are confirmed',
  household(async house => {
    const phone = await house.person('Maya')
    await phone.synced()
    const laptop = await pair(house, await deviceLink(phone), 'laptop')
    const share = await lend(phone, 'Garden', 'roses')
    await until(laptop, () => laptop.shares.some(({ title }) => title === 'Garden'))
    await laptop.synced()
    await laptop.signOut()
    assert.equal(laptop.status, { state: 'ended', reason: 'signed-out' })
    for (const name of ['account.key', 'account', 'account.wipe']) {
      assert.not.ok(existsSync(join(house.folder('laptop'), name)), name)
    }
    for (const name of ['keys', 'logs']) {
      const left = existsSync(join(house.folder('laptop'), name))
        ? await readdir(join(house.folder('laptop'), name))
        : []
      assert.equal(left, [], name)
    }
    await until(phone, () => phone.devices.length === 1)
    await share.synced()
    assert.is(await codeOf(() => phone.signOut()), 'LAST_DEVICE')
    await phone.confirmPhrase(await phone.showPhrase())
    await phone.synced()
    await phone.signOut()
    assert.not.ok(existsSync(join(house.folder('Maya'), 'account.key')))
  })
)

devices(
  'a link adds one device, and who comes second with it can begin anew with another',
  household(async house => {
    const phone = await house.person('Maya')
    await phone.synced()
    const link = await deviceLink(phone)
    await pair(house, link, 'laptop')
    assert.is(await codeOf(() => pair(house, link, 'tablet')), 'INVITE_USED')
    assert.is(await codeOf(() => previewInvite(link)), 'INVITE_USED')
    const second = await pair(house, await deviceLink(phone), 'tablet')
    await second.synced()
    await until(phone, () => namesOf(phone).join() === 'laptop,tablet,this device')
  })
)

devices('a link adds a device until its time has come, and none from then on', async () => {
  let relayMs: number | null = null
  await household(
    async house => {
      const phone = await house.person('Maya')
      await phone.synced()
      const links = [await phone.inviteDevice(), await phone.inviteDevice()] as const
      await until(phone, () => links.every(({ state }) => state === 'open'))
      const [first, second] = links
      const lifeMs = first.expires.getTime() - Date.now()
      assert.ok(lifeMs > 29 * 60_000 && lifeMs <= 30 * 60_000)
      relayMs = first.expires.getTime() - 1
      await pair(house, first.link ?? '', 'laptop')
      relayMs = second.expires.getTime()
      assert.is(await codeOf(() => pair(house, second.link ?? '', 'tablet')), 'INVITE_EXPIRED')
      assert.is(phone.devices.length, 2)
    },
    { clock: () => relayMs ?? Date.now() }
  )()
})

devices(
  'a link that was taken back adds nobody, and one that is no link of a device is BAD_LINK',
  household(async house => {
    const phone = await house.person('Maya')
    await phone.synced()
    const invite = await phone.inviteDevice()
    await until(phone, () => invite.state === 'open')
    await invite.void()
    await until(phone, () => invite.state === 'void')
    assert.is(await codeOf(() => pair(house, invite.link ?? '', 'laptop')), 'INVITE_VOID')
    const shareLink = await linkTo(await lend(phone, 'Garden'))
    for (const link of [shareLink, `${invite.link}x`, '']) {
      assert.is(await codeOf(() => pair(house, link, 'laptop')), 'BAD_LINK')
    }
  })
)

devices(
  'the preview of a device’s link says whose account it is, and accept is not for it',
  household(async house => {
    const phone = await house.person('Maya')
    await phone.synced()
    const link = await deviceLink(phone)
    const offer = await previewInvite(link)
    assert.equal([offer.kind, offer.owner, offer.answer], ['device', 'Maya', undefined])
    const ana = await house.person('Ana')
    assert.is((await ana.preview(link)).answer, 'BAD_LINK')
    assert.is(await codeOf(() => ana.accept(link)), 'BAD_LINK')
    await pair(house, link, 'laptop')
  })
)

devices(
  'a folder that holds an account takes no other, and opens for a link of its own without using it',
  household(async house => {
    const phone = await house.person('Maya')
    const ana = await house.person('Ana')
    await phone.synced()
    const link = await deviceLink(phone)
    assert.is(await codeOf(() => pair(house, link, 'Ana')), 'ALREADY_OPEN')
    await ana.close()
    assert.is(await codeOf(() => pair(house, link, 'Ana')), 'BAD_FIELD')
    const laptop = await pairDevice(link, { path: house.folder('laptop'), world: nodeWorld })
    await laptop.close()
    const unused = await deviceLink(phone)
    const again = await pair(house, unused, 'laptop')
    assert.is(hex(again.id), hex(phone.id))
    assert.is(again.devices.length, 2)
    await pair(house, unused, 'tablet')
  })
)

devices(
  'without the relay pairing says OFFLINE, leaves the folder free, and works with the same link later',
  household(async house => {
    const phone = await house.person('Maya')
    await phone.synced()
    const link = await deviceLink(phone)
    const time = movableTime()
    const world = { ...time.world, ...noNetwork }
    const code = codeOf(() => pair(house, link, 'laptop', world))
    const moving = setInterval(() => time.moveOn(10_000), 20)
    assert.is(await code, 'OFFLINE')
    clearInterval(moving)
    assert.is(await codeOf(() => openAccount({ path: house.folder('laptop'), world: nodeWorld })), 'BAD_FIELD')
    const laptop = await pair(house, link, 'laptop')
    await laptop.synced()
  })
)

devices(
  'what a paired device writes at once reaches the others, and its folder opens without a relay',
  household(async house => {
    const phone = await house.person('Maya')
    await phone.synced()
    const laptop = await pair(house, await deviceLink(phone), 'laptop')
    await laptop.confirmPhrase(await phone.showPhrase())
    await until(phone, () => phone.phrase === 'confirmed')
    await laptop.synced()
    await laptop.close()
    const alone = house.keep(await openAccount({ path: house.folder('laptop'), world: { ...nodeWorld, ...noNetwork } }))
    assert.equal([alone.name, alone.phrase, namesOf(alone).join()], ['Maya', 'confirmed', 'laptop,this device'])
  })
)

devices.run()
