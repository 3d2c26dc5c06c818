/**
 * The life of a membership as its owner reads it, on every device: labels, who was invited, joined, left, was taken out, and
 * which links died by that.
 */
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Account,
  type HistoryEvent,
  type Invite,
  type Member,
  pairDevice,
  previewInvite,
  type Share
} from '@lend/client'
import {
  accountId,
  deviceId,
  deviceKeys,
  hex,
  inviteId,
  loadSuite,
  logId,
  type Statement,
  sealName
} from '@lend/engine'
import { startRelay } from '@lend/server'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { accessEntry } from '../../packages/client/src/log/author.ts'
import { historyOf } from '../../packages/client/src/share/history.ts'
import { KEY_BOX_BYTES } from '../../packages/engine/src/access/statement.ts'
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

function member(share: Share, name: string): Member {
  const found = share.members.find(other => other.name === name)
  if (!found) throw new Error(`${name} is no member`)
  return found
}

/** An event in one line, without its time. */
function line(event: HistoryEvent, of: readonly Account[]): string {
  const by = event.by.deviceName ?? of.find(({ id }) => hex(id) === hex(event.by.account))?.name
  const invites = 'invites' in event ? event.invites.map(({ id, name }) => name ?? id).join('+') : ''
  const what = {
    who: 'who' in event ? [event.who.name, event.who.label].filter(Boolean).join('=') : '',
    invite: 'invite' in event ? event.invite.name : invites,
    more: 'because' in event ? event.because : 'reason' in event ? event.reason : ''
  }
  return [by, event.type, ...Object.values(what)].filter(Boolean).join(' ')
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

/** Its relay has nothing any more but its key. */
async function loseAll(house: Household): Promise<void> {
  await house.stopRelay()
  const key = join(house.dir, 'relay.key')
  await rename(join(house.relayFolder, 'relay.key'), key)
  await rm(house.relayFolder, { recursive: true })
  await mkdir(house.relayFolder)
  await rename(key, join(house.relayFolder, 'relay.key'))
  await house.startRelay()
}

membership(
  'the history says who was invited, joined, left, was removed, by which device; restarts and lost relays change none of it',
  household(async house => {
    const maya = await house.person('Maya')
    const people = await Promise.all(['Ben', 'Ana', 'Cleo'].map(name => house.person(name)))
    const [ben, ana, cleo] = people as [Account, Account, Account]
    const share = await maya.share({ title: 'House' })
    const laptop = await pair(house, maya, 'laptop')
    const theirs = await sameShare(laptop, share)
    await follow(share, ben)
    await (await ana.accept(await linkTo(share, { name: 'Neighbours', uses: 2 }))).synced()
    const bound = await linkTo(theirs, { name: 'Cousin', for: cleo.id })
    await until(share, () => statesOf(share) === 'Ben used,Cousin open,Neighbours open')
    const lent = await cleo.accept(bound)
    await lent.synced()
    await until(theirs, () => theirs.members.length === 3)
    const untilDate = new Date(Date.now() + HOUR_MS)
    await theirs.limit(member(theirs, 'Ana'), untilDate)
    await until(share, () => member(share, 'Ana').until)
    await share.limit(member(share, 'Ana'), null)
    await until(share, () => !member(share, 'Ana').until)
    await lent.leave()
    await until(share, () => statesOf(share) === 'Ben used,Cousin used,Neighbours void')
    const mistake = await share.invite({ name: 'Mistake' })
    await until(share, () => statesOf(share).includes('Mistake open'))
    await mistake.void()
    await until(theirs, () => statesOf(theirs).includes('Mistake void'))
    await linkTo(theirs, { name: 'Late' })
    await theirs.synced()
    await theirs.remove(member(theirs, 'Ben'))
    await until(share, () => member(share, 'Ben').state === 'removed')
    // A name of a later epoch.
    await follow(share, ben)
    await until(theirs, () => member(theirs, 'Ben').state === 'joined')

    const wanted = [
      'this device created',
      'this device invited Ben',
      'Ben joined Ben=Ben Ben',
      'this device invited Neighbours',
      'Ana joined Ana=Neighbours Neighbours',
      'laptop invited Cousin',
      'Cleo joined Cleo=Cousin Cousin',
      'laptop limited Ana=Neighbours',
      'this device limited Ana=Neighbours',
      'Cleo left Cleo=Cousin',
      'x voided Neighbours out',
      'this device invited Mistake',
      'this device voided Mistake taken-back',
      'laptop invited Late',
      'laptop removed Ben=Ben removed',
      'laptop voided Late out',
      'this device invited Ben',
      'Ben joined Ben=Ben Ben'
    ]
    const check = async (of: Share) => {
      const events = await of.history()
      // Either device may have written the rotation that a leave brings.
      const lines = events.map(event => line(event, people)).map(text => text.replace(/^.*( voided Neighbours)/, 'x$1'))
      assert.equal(lines, wanted)
      const limited = events.flatMap(event => (event.type === 'limited' ? [event.until] : []))
      assert.equal(limited, [untilDate, null])
      const uses = events.flatMap(event => (event.type === 'invited' ? [event.uses] : []))
      assert.equal(uses, [1, 2, 1, 1, 1, 1])
      const joined = events.flatMap(event => (event.type === 'joined' ? [[hex(event.by.account), event.at]] : []))
      assert.equal(
        joined.slice(1),
        of.members.map(({ account, joined }) => [hex(account), joined])
      )
      // The device that makes a share does so by its own clock.
      return events.slice(1).map(({ at }) => at)
    }
    const times = await check(share)
    assert.equal(await check(theirs), times)
    await share.synced()
    await maya.close()
    const again = await house.person('Maya')
    const back = await sameShare(again, share)
    assert.equal(await check(back), times)

    await loseAll(house)
    await Promise.all([back, theirs].map(of => until(of, () => of.status.state !== 'synced')))
    await Promise.all([back.synced(), theirs.synced()])
    assert.equal([await check(back), await check(theirs)], [times, times])
    await back.stop()
    await until(theirs, () => theirs.status.state === 'ended')
    const last = (await theirs.history()).at(-1)
    assert.equal([last?.type, last?.by.deviceName], ['stopped', 'this device'])
  })
)

membership(
  'what is wanted and not at the relay yet is in no history, and one whose time was over is told from one removed',
  async () => {
    const time = movableTime()
    await household(
      async house => {
        const maya = await house.person('Maya', { world: time.world })
        const ben = await house.person('Ben', { world: time.world })
        const share = await maya.share({ title: 'House' })
        const untilDate = new Date(time.world.now() + HOUR_MS)
        await (await ben.accept(await linkTo(share, { name: 'Ben', until: untilDate }))).synced()
        const short = await share.invite({ name: 'Short', expires: new Date(time.world.now() + HOUR_MS / 2) })
        await share.invite({ name: 'Long' })
        await share.synced()
        const before = await share.history()
        await house.stopRelay()
        await until(share, () => share.status.state !== 'synced')
        await share.invite({ name: 'Wanted' })
        time.moveOn(HOUR_MS + 1)
        await until(share, () => memberOf(share, ben).state === 'removing' && short.id)
        assert.equal((await share.history()).length, before.length)
        await house.startRelay()
        await until(share, () => memberOf(share, ben).state === 'expired')
        const after = (await share.history()).slice(before.length)
        assert.equal(
          after.map(event => line(event, [])),
          [
            'this device invited Wanted',
            'this device removed Ben=Ben expired',
            // Not the one whose time was over by itself.
            'this device voided Long+Wanted out'
          ]
        )
      },
      { clock: () => time.world.now() }
    )()
  }
)

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

membership(
  'a label that comes later than its member shows when it comes',
  household(async house => {
    const far = house.keep(await startRelay({ data: join(house.dir, 'far'), port: 0 }))
    const maya = await house.person('Maya')
    const share = await maya.share({ title: 'House', relay: far.url })
    await maya.synced()
    const laptop = await pair(house, maya, 'laptop')
    const theirs = await sameShare(laptop, share)
    const ben = await house.person('Ben', { relay: far.url })
    // The share goes on while the library, which has the labels, does not.
    await house.stopRelay()
    await follow(share, ben)
    await until(theirs, () => theirs.members.length === 1)
    assert.is(memberOf(theirs, ben).label, undefined)
    await theirs.synced()
    await house.startRelay()
    await until(theirs, () => memberOf(theirs, ben).label === 'Ben')
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

membership('ten thousand access entries are told in one pass, in their order', async () => {
  const crypto = await loadSuite()
  const { dice } = nodeWorld
  const [account, invite, epochKey] = [accountId(dice(32)), inviteId(dice(32)), dice(32)]
  const [owner, log, box] = [deviceKeys(crypto, dice(32)), logId(dice(32)), new Uint8Array(KEY_BOX_BYTES)]
  const entry = accessEntry(crypto, log, owner, null, { type: 'stop' })
  const member = deviceId(dice(32))
  const name = sealName(crypto, log, epochKey, 'Ben', dice)
  let opens = 0
  const open: typeof crypto.open = (...args) => {
    opens++
    return crypto.open(...args)
  }
  const seal = { to: account, box }
  const round: readonly Statement[] = [
    {
      type: 'invite',
      invite,
      sealingKey: box,
      uses: 2,
      expiresMs: 1e12,
      untilMs: null,
      bound: null,
      box,
      preview: box
    },
    { type: 'join-share', invite, proof: box, account, accountProof: [], box, name },
    { type: 'until', member: account, untilMs: 7 },
    { type: 'leave' },
    { type: 'remove-members', who: [], reason: 'rotation', commitment: box, seals: [seal], previous: box }
  ]
  const records = Array.from({ length: 2_000 }, () => round).flatMap((statements, i) =>
    statements.map((statement, j) => ({
      entry: { ...entry, author: statement.type === 'leave' ? member : owner.id },
      statement,
      seq: 5 * i + j + 1,
      timeMs: 5 * i + j
    }))
  )
  const events = historyOf({
    suite: { ...crypto, open },
    log,
    records,
    list: { owner: accountId(owner.id), accountsOf: new Map([[hex(member), [hex(account)]]]) },
    epochKeys: new Map(Array.from({ length: 2_001 }, (_, i) => [i + 1, epochKey])),
    notes: new Map([[hex(invite), { name: 'label', secret: box }]]),
    deviceName: () => null
  })
  assert.is(records.length, 10_000)
  assert.equal(
    events.map(({ type }) => type),
    Array.from({ length: 2_000 }, () => ['invited', 'joined', 'limited', 'left', 'voided']).flat()
  )
  assert.equal(
    events.map(({ at }) => at.getTime()),
    records.map(({ timeMs }) => timeMs)
  )
  assert.ok(events.every(event => !('who' in event) || (event.who.name === 'Ben' && event.who.label === 'label')))
  assert.is(opens, 2_000, 'a name is opened once for each join')
})

membership.run()
