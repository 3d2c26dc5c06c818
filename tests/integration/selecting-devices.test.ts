// limit: 120 s
/** Selecting on several devices of one account: who mirrors, and who wins when two select at once. */

import { join } from 'node:path'
import { type Account, type Item, type LentShare, pairDevice, type Share } from '@lend/client'
import { hex } from '@lend/engine'
import { startRelay } from '@lend/server'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { follow, type Household, household, until } from './household.ts'
import { openLossyLine } from './lossy-line.ts'
import { entriesOf } from './relay-log.ts'
import { nodeWorld } from './worlds.ts'

const devices = suite('selecting on several devices')

async function pair(
  house: Household,
  account: Account,
  device: string,
  by: (link: string) => string = link => link
): Promise<Account> {
  const invite = await account.inviteDevice()
  await until(account, () => invite.state === 'open')
  const paired = await pairDevice(by(invite.link ?? ''), { path: house.folder(device), device, world: nodeWorld })
  house.keep(paired)
  await paired.synced()
  return paired
}

/** The same share on another device of the account. */
function sameShare(account: Account, share: Share): Promise<Share> {
  return until(account, () => account.shares.find(other => hex(other.id) === hex(share.id)))
}

function itemOf(account: Account, name: string): Promise<Item> {
  return until(account, () => account.library.items.find(item => item.name === name))
}

const namesOf = (share: Share | LentShare) => share.items.map(({ name }) => name).join()

/** Data entries of a share by kind, without those of `share.doc`, for each document and author. */
async function copiesOf(house: Household, share: Share): Promise<Map<string, string[]>> {
  const copies = new Map<string, string[]>()
  for (const { entry } of await entriesOf(house.relayFolder, share.id)) {
    const document = hex(entry.document)
    if (entry.kind === 'access' || document.startsWith('000000000000000000')) continue
    copies.set(document, [...(copies.get(document) ?? []), entry.kind])
  }
  return copies
}

devices(
  'what one device edits it mirrors itself, and the other, which has it all, writes nothing',
  household(async house => {
    const phone = await house.person('Maya')
    await phone.library.add('camera', { name: 'Door' })
    const share = await phone.share({ title: 'House' })
    await phone.synced()
    const laptop = await pair(house, phone, 'laptop')
    const ben = await house.person('Ben')
    const lent = await follow(share, ben)
    const theirs = await sameShare(laptop, share)
    await theirs.select(await itemOf(laptop, 'Door'))
    await until(lent, () => namesOf(lent) === 'Door')
    await until(share, () => namesOf(share) === 'Door')
    const [copy] = lent.items
    assert.ok(copy)
    const doc = await lent.open(copy)
    await until(doc, () => doc.getMap('camera').get('name') === 'Door')
    const mine = await phone.library.open(await itemOf(phone, 'Door'))
    mine.getMap('camera').set('zoom', 2)
    await until(doc, () => doc.getMap('camera').get('zoom') === 2)
    // Until each has looked whether something is missing.
    await Promise.all([phone.synced(), laptop.synced()])
    await Promise.all([phone.close(), laptop.close(), house.stopRelay()])
    assert.equal([...(await copiesOf(house, share)).values()], [['update', 'update']])
  })
)

devices(
  'a device that dies when only the library has its selection is no loss: another mirrors it',
  household(async house => {
    const far = await startRelay({ data: join(house.dir, 'far'), port: 0 })
    house.keep(far)
    const line = house.keep(await openLossyLine(() => far.url))
    const phone = await house.person('Maya')
    const door = await phone.library.add('camera', { name: 'Door' })
    const share = await phone.share({ title: 'House', relay: line.url })
    await phone.synced()
    const laptop = await pair(house, phone, 'laptop')
    const theirs = await sameShare(laptop, share)
    await theirs.synced()
    const ben = await house.person('Ben')
    const lent = await follow(share, ben)
    line.cut({ down: true })
    await until(share, () => share.status.state !== 'synced')
    await share.select(door)
    const mine = await share.open(door)
    mine.getMap('camera').set('zoom', 2)
    await until(theirs, () => namesOf(theirs) === 'Door')
    const there = await laptop.library.open(await itemOf(laptop, 'Door'))
    await until(there, () => there.getMap('camera').get('zoom') === 2)
    await phone.close()
    line.mend()
    const [copy] = await until(lent, () => lent.items.length === 1 && lent.items)
    assert.ok(copy)
    const doc = await lent.open(copy)
    await until(doc, () => doc.getMap('camera').get('zoom') === 2)
    await theirs.synced()
    await theirs.unselect(await itemOf(laptop, 'Door'))
    await until(lent, () => lent.items.length === 0)
  })
)

devices(
  'of two devices that select one item at once, one document wins, and the other’s copy goes',
  household(async house => {
    const line = house.keep(await openLossyLine(() => house.relay.url))
    const phone = await house.person('Maya')
    const door = await phone.library.add('camera', { name: 'Door' })
    const share = await phone.share({ title: 'House' })
    await phone.synced()
    // The laptop has its library by way of the line, and the share straight from the relay.
    const laptop = await pair(house, phone, 'laptop', link => line.via(link))
    const theirs = await sameShare(laptop, share)
    await theirs.synced()
    const ben = await house.person('Ben')
    const lent = await follow(share, ben)
    line.cut({ down: true })
    await until(laptop, () => laptop.library.status.state !== 'synced')
    await share.select(door)
    await theirs.select(await itemOf(laptop, 'Door'))
    await until(lent, () => namesOf(lent) === 'Door,Door')
    line.mend()
    const [copy] = await until(lent, () => lent.items.length === 1 && lent.items)
    assert.ok(copy)
    const doc = await lent.open(copy)
    const mine = await phone.library.open(door)
    mine.getMap('camera').set('zoom', 2)
    await until(doc, () => doc.getMap('camera').get('zoom') === 2)
    await Promise.all([phone.synced(), laptop.synced()])
    assert.equal([namesOf(share), namesOf(theirs), namesOf(lent)], ['Door', 'Door', 'Door'])
    await Promise.all([phone.close(), laptop.close(), house.stopRelay()])
    const copies = await copiesOf(house, share)
    assert.is(copies.size, 2)
    for (const [document, kinds] of copies) assert.is(kinds.includes('drop'), document !== hex(copy.id))
  })
)

devices.run()
