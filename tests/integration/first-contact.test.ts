/** A share that is made before its relay was ever reached, and verbs that are asked for before the access list is here. */
import { rm } from 'node:fs/promises'
import { type Account, openAccount, type Share } from '@lend/client'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Household, household, lend, linkTo, memberOf, replicaOf, textOf, until } from './household.ts'
import { movableTime, nodeWorld, noNetwork, throughDisk } from './worlds.ts'

const firstContact = suite('first contact')

const alone = { ...nodeWorld, ...noNetwork }

async function openAlone(house: Household, name: string): Promise<Account> {
  return house.keep(await openAccount({ path: house.folder(name), relay: house.relay.url, name, world: alone }))
}

function first<T>(list: readonly T[]): T {
  const [one] = list
  if (one === undefined) throw new Error('there is none')
  return one
}

firstContact(
  'a share that is made without a relay is saved, and is at its relay with all that was written since, after the first contact',
  household(async house => {
    const offline = await openAlone(house, 'Maya')
    const share = await offline.share({ title: 'Garden', leaseMs: null })
    textOf(share).insert(0, 'roses')
    const invite = await share.invite({ name: 'Ana' })
    assert.is(invite.state, 'pending')
    assert.is(invite.link, null)
    await until(share, () => share.status.state === 'saved')
    await offline.close()

    const again = await openAlone(house, 'Maya')
    const kept = first(again.shares)
    assert.equal([kept.title, textOf(kept).toString(), kept.leaseMs], ['Garden', 'roses', null])
    assert.equal([kept.status.state, kept.invites.length, kept.members.length], ['saved', 1, 0])
    textOf(kept).insert(0, 'red ')
    await until(kept, () => kept.status.state === 'saved')
    await again.close()

    const maya = await house.person('Maya')
    const there = first(maya.shares)
    await there.synced()
    const { link } = await until(there, () => there.invites.find(({ state }) => state === 'open'))
    const ana = await house.person('Ana')
    const lent = await ana.accept(link ?? '')
    await lent.synced()
    assert.equal([lent.title, textOf(lent).toString(), lent.owner.name], ['Garden', 'red roses', 'Maya'])
    await until(there, () => memberOf(there, ana).label === 'Ana')
  })
)

firstContact(
  'a share that is made while its relay is out of reach goes there when it comes, without a new start',
  household(async house => {
    await house.stopRelay()
    const maya = await house.person('Maya')
    const share = await maya.share({ title: 'Garden' })
    textOf(share).insert(0, 'roses')
    const invites = [await share.invite(), await maya.inviteDevice()]
    for (const { link } of invites) assert.is(link, null, 'a link names the key of its relay')
    await house.startRelay()
    await share.synced()
    for (const { link } of invites) assert.match(link ?? '', '#')
    const ana = await house.person('Ana')
    const lent = await ana.accept(await linkTo(share))
    await lent.synced()
    assert.is(textOf(lent).toString(), 'roses')
  })
)

firstContact(
  'with a relay in reach the first share has its links at once',
  household(async house => {
    const maya = await house.person('Maya')
    const share = await maya.share({ title: 'Garden' })
    const { link } = await share.invite()
    assert.match(link ?? '', '#')
  })
)

firstContact(
  'a share that was stopped before the first contact is made and stopped at its relay, and takes no more',
  household(async house => {
    const offline = await openAlone(house, 'Maya')
    await (await offline.share({ title: 'Garden' })).stop()
    await offline.close()
    const maya = await house.person('Maya')
    const share = first(maya.shares)
    await until(share, () => share.status.state === 'ended')
    await share.synced()
  })
)

firstContact(
  'a share that could not be saved is not there, and leaves nothing behind',
  household(async house => {
    let isFull = false
    const world = throughDisk((step, run) =>
      isFull && step.does === 'batch' && step.to === 'account'
        ? Promise.reject(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }))
        : run()
    )
    const maya = await house.person('Maya', { world })
    await lend(maya, 'before')
    isFull = true
    const error = await maya.share({ title: 'Garden' }).catch(error => error)
    assert.is(error.code, 'DISK_FULL')
    isFull = false
    assert.equal(
      maya.shares.map(({ title }) => title),
      ['before']
    )
    await maya.close()
    const again = await house.person('Maya')
    assert.is(again.shares.length, 1)
  })
)

firstContact(
  'an owner whose replica was lost may ask for all verbs before the access list is here; they are carried out then',
  household(async house => {
    const maya = await house.person('Maya')
    const share = await lend(maya, 'Garden', 'roses')
    const ana = await house.person('Ana')
    await (await ana.accept(await linkTo(share))).synced()
    const member = await until(share, () => memberOf(share, ana))
    await maya.close()
    await loseReplica(house, 'Maya', share)
    const offline = await openAlone(house, 'Maya')
    const lost = first(offline.shares)
    assert.is(lost.leaseMs, share.leaseMs)
    const invite = await lost.invite({ name: 'Ben' })
    assert.match(invite.link ?? '', '#')
    await lost.limit(member, new Date(Date.now() + 60_000))
    assert.equal(await lost.remove(member), { voided: [] })
    await offline.close()

    const again = await house.person('Maya')
    const back = first(again.shares)
    await back.synced()
    assert.is(textOf(back).toString(), 'roses')
    assert.is(memberOf(back, ana).state, 'removed')
    assert.ok(back.invites.some(({ id }) => id === invite.id))
  })
)

firstContact(
  'a member whose replica was lost still knows whose share it is and since when',
  household(async house => {
    const maya = await house.person('Maya')
    const share = await lend(maya, 'Garden', 'roses')
    const ana = await house.person('Ana')
    const lent = await ana.accept(await linkTo(share))
    await lent.synced()
    const { owner, since } = lent
    await ana.close()
    await loseReplica(house, 'Ana', share)
    const offline = await openAlone(house, 'Ana')
    const lost = first(offline.sharedWithMe)
    assert.is(lost.owner.name, 'Maya')
    assert.equal(lost.owner, owner)
    assert.equal(lost.since, since)
  })
)

firstContact(
  'a member who is being removed has been so since it was asked for',
  household(async house => {
    const time = movableTime()
    const maya = await house.person('Maya', { world: time.world })
    const share = await lend(maya, 'Garden')
    const ana = await house.person('Ana')
    await (await ana.accept(await linkTo(share))).synced()
    const member = await until(share, () => memberOf(share, ana))
    await house.stopRelay()
    await until(share, () => share.status.state === 'offline')
    await share.remove(member)
    const { state, at } = memberOf(share, ana)
    assert.is(state, 'removing')
    // Something else is asked for later, so that all members are seen anew.
    time.moveOn(60_000)
    await share.invite()
    assert.equal(memberOf(share, ana).at, at)
    await house.startRelay()
    await until(share, () => memberOf(share, ana).state === 'removed')
  })
)

async function loseReplica(house: Household, name: string, share: Share): Promise<void> {
  const { directory, keyFile } = replicaOf(house.folder(name), share)
  await rm(directory, { recursive: true })
  await rm(keyFile)
}

firstContact.run()
