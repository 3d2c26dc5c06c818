/**
 * The life of a membership as its owner reads it, on every device: labels, and which links died with a removal.
 */
import { type Account, type Invite, pairDevice, previewInvite, type Share } from '@lend/client'
import { hex } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { contentsOf, recordsIn, says } from './all-keys.ts'
import { follow, type Household, household, linkTo, memberOf, takeOut, until } from './household.ts'
import { entriesOf } from './relay-log.ts'
import { searchFolder } from './search.ts'
import { movableTime, nodeWorld } from './worlds.ts'

const membership = suite('membership')

const HOUR_MS = 60 * 60 * 1000

async function pair(house: Household, account: Account, device: string): Promise<Account> {
  const invite = await account.inviteDevice()
  await until(account, () => invite.state === 'open')
  const paired = await pairDevice(invite.link ?? '', { path: house.folder(device), device, world: nodeWorld })
  house.keep(paired)
  await paired.synced()
  return paired
}

/** The same share on another device of the account, or after a restart. */
function sameShare(account: Account, share: Share): Promise<Share> {
  return until(account, () =>
    account.shares.find(other => hex(other.id) === hex(share.id) && other.status.state === 'synced')
  )
}

const statesOf = (share: Share) =>
  share.invites
    .map(({ name, state }) => `${name} ${state}`)
    .sort()
    .join()

const namesOf = (invites: readonly Invite[]) =>
  invites
    .map(({ name }) => name)
    .sort()
    .join()

membership(
  'a label is on every device of the owner, whichever wrote it, and in no byte of the share',
  household(async house => {
    const label = 'the loud one from upstairs'
    const maya = await house.person('Maya')
    const share = await maya.share({ title: 'House' })
    const laptop = await pair(house, maya, 'laptop')
    const theirs = await sameShare(laptop, share)
    const ben = await house.person('Ben')
    const ana = await house.person('Ana')
    const toBen = await ben.accept(await linkTo(share, { name: label }))
    const toAna = await ana.accept(await linkTo(theirs, { name: `${label}, too` }))
    await Promise.all([toBen.synced(), toAna.synced()])
    const labels = (of: Share) => of.members.map(({ label }) => label).join()
    for (const of of [share, theirs]) await until(of, () => labels(of) === `${label},${label}, too`)
    // Still there when they are out.
    await takeOut(share, ben)
    await until(theirs, () => memberOf(theirs, ben).state === 'removed')
    assert.is(labels(theirs), `${label},${label}, too`)
    await Promise.all([maya.synced(), laptop.synced()])
    await Promise.all([maya, laptop, ben, ana].map(person => person.close()))
    await house.stopRelay()

    const stored = (await entriesOf(house.relayFolder, share.id)).map(({ entry }) => entry)
    const access = stored.filter(({ kind }) => kind === 'access')
    const contents = await contentsOf(house.folder('Maya'), share.id, access, stored)
    const places: Record<string, Iterable<Uint8Array>> = {
      entries: stored.map(({ bytes }) => bytes),
      contents,
      member: (await recordsIn(house.folder('Ana'), share.id)).values(),
      owner: (await recordsIn(house.folder('Maya'), share.id)).values(),
      laptop: (await recordsIn(house.folder('laptop'), share.id)).values()
    }
    for (const [where, bytes] of Object.entries(places)) {
      const parts = [...bytes]
      assert.ok(parts.length > 0, where)
      assert.not.ok(says(parts, label), where)
    }
    assert.ok(says(contents, 'House'), 'what the share says is found')
    for (const name of ['Ben', 'Ana', 'relay']) assert.equal(await searchFolder(house.folder(name), [label]), [])
  })
)

membership('a removal names exactly the invites that die by it, and they show so at once', async () => {
  const time = movableTime()
  await household(
    async house => {
      const maya = await house.person('Maya', { world: time.world })
      const ben = await house.person('Ben', { world: time.world })
      const ana = await house.person('Ana', { world: time.world })
      const share = await maya.share({ title: 'House' })
      await follow(share, ben)
      await follow(share, ana)
      const soon = new Date(time.world.now() + HOUR_MS)
      const taken = await share.invite({ name: 'taken back' })
      for (const [name, o] of [
        ['expired', { expires: soon }],
        ['anyone', {}],
        ['many', { uses: 3 }],
        ['for Ben', { for: ben.id }],
        ['for Ana', { for: ana.id }]
      ] as const) {
        await share.invite({ name, ...o })
      }
      await share.synced()
      await taken.void()
      await share.synced()
      time.moveOn(HOUR_MS)
      await until(share, () => statesOf(share).includes('expired expired'))
      await house.stopRelay()
      await until(share, () => share.status.state !== 'synced')
      await share.invite({ name: 'wanted' })
      await share.invite({ name: 'wanted for Ben', for: ben.id })
      await share.invite({ name: 'wanted for Ana', for: ana.id })
      const gone = await share.invite({ name: 'wanted no more' })
      await gone.void()
      const { voided } = await share.remove(memberOf(share, ben))
      assert.is(namesOf(voided), 'anyone,for Ben,many,wanted,wanted for Ben')
      await share.invite({ name: 'after' })
      await share.invite({ name: 'after for Ben', for: ben.id })
      const live = (state: string) => namesOf(share.invites.filter(invite => invite.state === state))
      const dead = 'anyone,for Ben,many,taken back,wanted,wanted for Ben,wanted no more'
      assert.equal([live('open'), live('pending')], ['for Ana', 'after,after for Ben,wanted for Ana'])
      assert.equal([live('expired'), live('void'), live('used')], ['expired', dead, 'Ana,Ben'])
      assert.equal(await share.remove(memberOf(share, ben)), { voided: [] }, 'they are dead already')
      const second = await share.remove(memberOf(share, ana))
      assert.is(namesOf(second.voided), 'after,for Ana,wanted for Ana')

      await house.startRelay()
      await share.synced()
      assert.equal([live('open'), live('pending')], ['after for Ben', ''])
      const void_ = `after,${dead},for Ana,wanted for Ana`.split(',').concat('expired').sort().join()
      assert.equal([live('void'), live('used')], [void_, 'Ana,Ben'])
      assert.equal(
        share.members.map(({ name, state }) => `${name} ${state}`),
        ['Ben removed', 'Ana removed']
      )
    },
    { clock: () => time.world.now() }
  )()
})

membership(
  'the preview of an invite counts the items by kind as they were selected when it was written',
  household(async house => {
    const maya = await house.person('Maya')
    const [door, gate, wall] = await Promise.all([
      maya.library.add('camera', { name: 'Door' }),
      maya.library.add('camera', { name: 'Gate' }),
      maya.library.add('dashboard', { name: 'Wall' })
    ])
    const share = await maya.share({ title: 'House', items: [door, wall] })
    const first = await linkTo(share)
    assert.equal((await previewInvite(first)).items, { camera: 1, dashboard: 1 })
    await share.synced()
    await house.stopRelay()
    await until(share, () => share.status.state !== 'synced')
    const { id } = await share.invite()
    await share.select(gate)
    await share.unselect(wall)
    await house.startRelay()
    const second = await until(share, () => share.invites.find(invite => invite.id === id && invite.state === 'open'))
    const ben = await house.person('Ben')
    const offer = await ben.preview(second.link ?? '')
    assert.equal([offer.owner, offer.title, offer.items, offer.answer], ['Maya', 'House', { camera: 2 }, 'ok'])
    assert.equal((await previewInvite(first)).items, { camera: 1, dashboard: 1 }, 'what was written stays')
  })
)

membership.run()
