/** What a person who was taken out can still try, and every other way in which a share ends. */
import { existsSync } from 'node:fs'
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Account,
  type Invite,
  LendError,
  type LentShare,
  openAccount,
  previewInvite,
  type Share
} from '@lend/client'
import {
  dataKey,
  decodeLink,
  decodeStatement,
  encodeLink,
  epochKeys,
  inviteKeys,
  loadSuite,
  openContent
} from '@lend/engine'
import { startRelay } from '@lend/server'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { RELAY_AHEAD_MS_MAX } from '../../packages/client/src/log/lease.ts'
import { world } from '../../packages/client/src/world.node.ts'
import { connectRaw } from '../server/raw-client.ts'
import {
  event,
  follow,
  type Household,
  household,
  lend,
  linkTo,
  memberOf,
  replicaOf,
  takeOut,
  textOf,
  until
} from './household.ts'
import { keysOnDisk } from './keys-on-disk.ts'
import { entriesOf } from './relay-log.ts'
import { openWiretap } from './wiretap.ts'
import { movableTime, noNetwork } from './worlds.ts'

const takingBack = suite('taking back')
const crypto = await loadSuite()
const HOUR_MS = 60 * 60 * 1000

takingBack(
  'a removed account reads nothing on with any key or link that it ever had, whoever helps it',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const ana = await house.person('Ana')
    const share = await lend(maya, 'Paper', 'before')
    await follow(share, ana)
    const used = await linkTo(share, { uses: 5 })
    const never = await linkTo(share)
    const lent = await ben.accept(used)
    await lent.synced()
    assert.is(textOf(lent).toString(), 'before')
    // As a modified client would: it keeps all keys of its account and its links.
    await ben.close()
    const keys = await keysOnDisk(crypto, house.folder('Ben'))
    const again = await house.person('Ben')
    await until(again, () => again.sharedWithMe[0]?.status.state === 'synced')

    const { voided } = await share.remove(memberOf(share, ben))
    await until(share, () => memberOf(share, ben).state === 'removed')
    assert.equal(new Set(voided.map(({ link }) => link)), new Set([used, never]), 'the owner is told which links died')
    const after = 'what he must not read'
    textOf(share).insert(0, after)
    await share.synced()

    const mallory = await house.person('Mallory')
    for (const [who, link] of [
      [again, used],
      [again, never],
      [mallory, used],
      [mallory, never]
    ] as const) {
      assert.is(await codeOf(who.accept(link)), who === again ? 'REMOVED' : 'INVITE_VOID')
      assert.is(await codeOf(previewInvite(link)), 'INVITE_VOID')
    }
    assert.equal(mallory.sharedWithMe, [])

    // Straight to the relay, with the old device and the old links.
    const raw = house.keep(await connectRaw(house.relay.url, keys.device))
    const shown = new Set<number>()
    for (const link of [null, used, never]) {
      raw.follow(share.id, link === null ? {} : { invite: inviteKeys(crypto, decodeLink(link).secret) })
      const { standing, entriesTotal } = await raw.take('following', share.id)
      assert.is(standing, 'former')
      for (const { seq } of await raw.read(share.id, entriesTotal)) shown.add(seq)
    }
    await raw.settle()
    for (const frame of raw.seen) if (frame.type === 'entries') for (const { seq } of frame.entries) shown.add(seq)
    const highest = Math.max(...shown)
    await raw.close()

    // The relay gives it all that it has.
    await house.stopRelay()
    const log = await entriesOf(house.relayFolder, share.id)
    assert.is(log.find(({ seq }) => seq === highest)?.entry.kind, 'access', 'the removal is the last that it is shown')
    const statements = log.flatMap(({ entry }) => (entry.kind === 'access' ? [decodeStatement(entry.payload)] : []))
    const opened = new Map<number, boolean>()
    for (const link of [used, never]) {
      const invite = inviteKeys(crypto, decodeLink(link).secret)
      const had = epochKeys(crypto, share.id, statements, { account: keys.account, sealingKeys: keys.sealing, invite })
      assert.ok(had.has(1) && !had.has(2), 'the key of its time, and not the next')
      for (const { seq, entry } of log) {
        if (entry.kind === 'access') continue
        const opens = [...had.values()].some(key => tryOpen(() => openContent(crypto, entry, dataKey(crypto, key))))
        opened.set(seq, opens || (opened.get(seq) ?? false))
      }
    }
    for (const [seq, opens] of opened) assert.is(opens, seq < highest, `entry ${seq}, removed at ${highest}`)
    assert.equal(new Set(opened.values()), new Set([true, false]))

    await house.startRelay()
    const back = await again.accept(await linkTo(share))
    await back.synced()
    assert.is(textOf(back).toString(), `${after}before`, 'a new invite lets it in again, to all of it')
    assert.is(memberOf(share, ben).state, 'joined')
  })
)

takingBack(
  'a share ends for who leaves, is removed, runs out, or when it is stopped: both sides say so, and it is gone',
  async () => {
    const time = movableTime()
    await household(
      async house => {
        const { world } = time
        const maya = await house.person('Maya', { world })
        const names = ['Leaver', 'Removed', 'Limited', 'Timed', 'Stayer'] as const
        const people = await Promise.all(names.map(name => house.person(name, { world })))
        const [leaver, removed, limited, timed, stayer] = people as [Account, Account, Account, Account, Account]
        const share = await lend(maya, 'Paper', 'a line')
        const lent = await follow(share, leaver)
        for (const person of [removed, limited, stayer]) await follow(share, person)
        const untilDate = new Date(time.world.now() + HOUR_MS)
        await (await timed.accept(await linkTo(share, { until: untilDate }))).synced()
        assert.equal(timed.sharedWithMe[0]?.until, untilDate)
        assert.equal(memberOf(share, timed).until, untilDate)
        await share.limit(memberOf(share, limited), untilDate)
        const [limitedShare] = limited.sharedWithMe
        assert.ok(limitedShare)
        await until(limitedShare, () => limitedShare.until?.getTime() === untilDate.getTime())

        await ends(house, share, leaver, 'left', () => lent.leave())
        await ends(house, share, removed, 'removed', () => share.remove(memberOf(share, removed)).then(() => {}))
        // At the boundary: a millisecond before, nothing has happened.
        const expiring = [limited, timed].map(person => ends(house, share, person, 'expired', async () => {}))
        time.moveOn(untilDate.getTime() - time.world.now() - 1000)
        assert.is(memberOf(share, timed).state, 'joined')
        time.moveOn(1000)
        await Promise.all(expiring)
        assert.is(memberOf(share, stayer).state, 'joined')

        textOf(share).insert(0, 'for who is left: ')
        const [kept] = stayer.sharedWithMe
        assert.ok(kept)
        await until(kept.doc, () => textOf(kept).toString() === 'for who is left: a line')
        const link = await linkTo(share)
        const stopped = event(stayer, 'ended', ended => ended.wiped)
        await share.stop()
        assert.is((await stopped).reason, 'stopped')
        assert.not.ok(existsSync(replicaOf(house.folder('Stayer'), share).directory))
        assert.equal(kept.status, { state: 'ended', reason: 'stopped' })
        await until(share, () => share.status.state === 'ended' && memberOf(share, stayer).wiped === 1)
        assert.is(textOf(share).toString(), 'for who is left: a line', 'its owner may still read it')
        assert.is(await codeOf(share.invite()), 'STOPPED')
        assert.is(await codeOf(leaver.accept(link)), 'STOPPED')
      },
      { clock: time.world.now }
    )()
  }
)

takingBack(
  'leaving without a relay wipes at once, and the owner learns of it later, also when the member was closed meanwhile',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const share = await lend(maya, 'Paper', 'a line')
    const lent = await follow(share, ben)
    await house.stopRelay()
    const ended = event(ben, 'ended', ({ wiped }) => wiped)
    await lent.leave()
    assert.is((await ended).reason, 'left')
    assert.not.ok(existsSync(replicaOf(house.folder('Ben'), share).directory))
    assert.equal(ben.sharedWithMe, [])
    await ben.close()
    await house.startRelay()
    const again = await house.person('Ben')
    assert.equal(again.sharedWithMe, [])
    await until(share, () => memberOf(share, ben).state === 'left' && memberOf(share, ben).wiped === 1)
    textOf(share).insert(0, 'without him: ')
    await share.synced()
  })
)

takingBack('an invite shows when it is used, void or expired, and says so to who comes too late', async () => {
  const time = movableTime()
  await household(
    async house => {
      const maya = await house.person('Maya', { world: time.world })
      const [ben, ana] = [
        await house.person('Ben', { world: time.world }),
        await house.person('Ana', { world: time.world })
      ]
      const share = await lend(maya, 'Paper', 'a line')
      const state = (link: string) => inviteBy(share, link).state
      const links = { used: await linkTo(share), void: await linkTo(share), expired: '' }
      links.expired = await linkTo(share, { expires: new Date(time.world.now() + HOUR_MS) })
      const offer = await ana.preview(links.used)
      assert.equal([offer.owner, offer.title, offer.kind], ['Maya', 'Paper', 'share'])

      await ben.accept(links.used)
      await until(share, () => state(links.used) === 'used')
      assert.equal(
        inviteBy(share, links.used).usedBy.map(({ name }) => name),
        ['Ben']
      )
      await inviteBy(share, links.void).void()
      assert.is(state(links.void), 'void')
      await share.synced()
      time.moveOn(HOUR_MS)
      await until(share, () => state(links.expired) === 'expired')
      for (const [name, link] of Object.entries(links)) {
        const code = `INVITE_${name.toUpperCase()}`
        assert.is(await codeOf(ana.accept(link)), code)
        assert.equal(ana.sharedWithMe, [])
      }
      assert.is(await codeOf(ana.preview(links.void)), 'INVITE_VOID')
    },
    { clock: time.world.now }
  )()
})

takingBack(
  'accepting twice gives the same share and uses nothing; the owner and the wrong account are told so and use nothing',
  household(async house => {
    const maya = await house.person('Maya')
    const [ben, ana] = [await house.person('Ben'), await house.person('Ana')]
    const share = await lend(maya, 'Paper', 'a line')
    const [first, second, bound] = [
      await linkTo(share, { uses: 3 }),
      await linkTo(share),
      await linkTo(share, { for: ana.id })
    ]
    const both = await Promise.all([ben.accept(first), ben.accept(first)])
    assert.is(both[0], both[1])
    assert.is(await ben.accept(first), both[0])
    assert.is(await ben.accept(second), both[0])
    assert.is(await codeOf(maya.accept(first)), 'YOU_ARE_THE_OWNER')
    const mallory = await house.person('Mallory')
    assert.is(await codeOf(mallory.accept(bound)), 'INVITE_NOT_FOR_YOU')
    assert.is(await ben.accept(bound), both[0])
    await until(share, () => share.members.length === 1)
    await share.synced()
    assert.equal(
      [first, second, bound].map(link => inviteBy(share, link).usedBy.length),
      [1, 0, 0]
    )
    assert.equal(
      [first, second, bound].map(link => inviteBy(share, link).state),
      ['open', 'open', 'open']
    )
    await (await ana.accept(bound)).synced()
    await until(share, () => inviteBy(share, bound).state === 'used')
    await ben.close()
    const again = await house.person('Ben')
    assert.is(await again.accept(second), again.sharedWithMe[0])
    assert.is(inviteBy(share, second).state, 'open')
  })
)

takingBack('twelve people who take a link for twelve at once all get in', async () => {
  await household(async house => {
    const maya = await house.person('Maya')
    const share = await lend(maya, 'Paper', 'a line')
    const link = await linkTo(share, { uses: 12 })
    // Each waits as it would in the world, after it was too late.
    const people = await Promise.all(Array.from({ length: 12 }, (_, i) => house.person(`Guest ${i}`, { world })))
    const lent = await Promise.all(people.map(person => person.accept(link)))
    await Promise.all(lent.map(one => one.synced()))
    for (const one of lent) assert.is(textOf(one).toString(), 'a line')
    await until(share, () => share.members.length === 12 && inviteBy(share, link).state === 'used')
    const late = await house.person('Late')
    assert.is(await codeOf(late.accept(link)), 'INVITE_USED')
  })()
})

takingBack(
  'a link that is cut, empty, of another version or not ours is BAD_LINK; none that was changed lets anyone in',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const share = await lend(maya, 'Paper', 'a line')
    const link = await linkTo(share)
    const [page = '', fragment = ''] = link.split('#')
    const bad = [
      '',
      '#',
      ' ',
      'hello',
      page,
      `${page}#`,
      'https://example.org/#section',
      `${link}A`,
      `${link}=`,
      `${link}#`
    ]
    for (let length = 0; length < fragment.length; length++) bad.push(`${page}#${fragment.slice(0, length)}`)
    const bytes = Buffer.from(fragment, 'base64url')
    for (const version of [0, 2, 255])
      bad.push(`${page}#${Buffer.concat([Buffer.of(version), bytes.subarray(1)]).toString('base64url')}`)
    for (const relayUrl of ['http://127.0.0.1', 'javascript:alert(1)', '', 'ws://a b']) {
      bad.push(`${page}#${encodeLink({ ...decodeLink(link), relayUrl })}`)
    }
    bad.push(`${page}#${encodeLink({ ...decodeLink(link), kind: 'device' })}`)
    for (const text of bad) assert.is(await codeOf(ben.accept(text)), 'BAD_LINK', text)
    assert.is(await codeOf(previewInvite(link.slice(0, -1))), 'BAD_LINK')

    const { relayKey, log, secret } = decodeLink(link)
    const flip = (of: Uint8Array) => of.map((byte, i) => (i === 7 ? byte ^ 1 : byte))
    const changed = [
      [{ relayKey: flip(relayKey) }, 'RELAY_KEY_CHANGED'],
      [{ log: flip(log) as typeof log }, 'INVITE_UNKNOWN'],
      [{ secret: flip(secret) }, 'INVITE_UNKNOWN']
    ] as const
    for (const [part, code] of changed) {
      assert.is(await codeOf(ben.accept(`${page}#${encodeLink({ ...decodeLink(link), ...part })}`)), code)
    }
    assert.equal(ben.sharedWithMe, [])
    await ben.close()
    const again = await house.person('Ben')
    assert.equal(again.sharedWithMe, [], 'nothing of it is left behind')
    assert.is(inviteBy(share, link).state, 'open')
    await (await again.accept(link)).synced()
  })
)

takingBack(
  'a link with a wrong relay key does not spoil a good one to the same relay',
  household(async house => {
    const maya = await house.person('Maya')
    const other = house.keep(await startRelay({ port: 0, data: join(house.dir, 'other relay') }))
    const ben = await house.person('Ben', { relay: other.url })
    const share = await lend(maya, 'Paper', 'a line')
    const link = await linkTo(share)
    const forged = `lend://invite#${encodeLink({ ...decodeLink(link), relayKey: new Uint8Array(32) })}`
    assert.is(await codeOf(ben.accept(forged)), 'RELAY_KEY_CHANGED')
    await (await ben.accept(link)).synced()
  })
)

takingBack('without a relay, accept and preview say OFFLINE, and what was begun leaves nothing behind', async () => {
  const time = movableTime()
  await household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben', { world: time.world })
    const share = await lend(maya, 'Paper', 'a line')
    const link = await linkTo(share)
    await house.stopRelay()
    await until(ben, () => ben.status.state === 'offline')
    for (const asked of [() => ben.accept(link), () => ben.preview(link)]) {
      const code = codeOf(asked())
      // The wait has begun once the attempt is on disk.
      await new Promise(resolve => setImmediate(resolve))
      const moving = setInterval(() => time.moveOn(10_000), 20)
      assert.is(await code, 'OFFLINE')
      clearInterval(moving)
    }
    assert.equal(ben.sharedWithMe, [])
    const signal = AbortSignal.abort(new Error('no more'))
    assert.is(await ben.accept(link, { signal }).catch(error => error.message), 'no more')
    // Cut off in the middle: nobody knows whether the relay has it.
    const cut = ben.accept(link).catch(() => {})
    await ben.close()
    await cut
    await house.startRelay()
    const again = await house.person('Ben')
    await until(again, () => again.status.state === 'synced' && again.sharedWithMe.length === 0)
    const lent = await again.accept(link)
    await lent.synced()
    assert.is(textOf(lent).toString(), 'a line')
  })()
})

takingBack(
  'a relay with another key at the same address is RELAY_KEY_CHANGED for members and for links, and gets nothing',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const share = await lend(maya, 'Paper', 'a line')
    const lent = await follow(share, ben)
    const link = await linkTo(share)
    const told = event(ben, 'error', error => error.code === 'RELAY_KEY_CHANGED')
    await house.stopRelay()
    await house.startRelay({ data: join(house.dir, 'imposter') })
    await told
    const fresh = await house.person('Fresh')
    await until(fresh, () => fresh.status.state === 'synced')
    assert.is(await codeOf(fresh.accept(link)), 'RELAY_KEY_CHANGED')
    assert.is(textOf(lent).toString(), 'a line')
    assert.ok(existsSync(replicaOf(house.folder('Ben'), share).directory))
  })
)

takingBack(
  'a relay that only says no locks and deletes nothing, whatever it says, and contact unlocks',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const line = house.keep(await openWiretap(house.relay.url))
    const share = await lend(maya, 'Paper', 'a line')
    const lent = await ben.accept(line.link(await linkTo(share)))
    await lent.synced()
    const lies = ['STOPPED', 'NOT_MEMBER', 'DEVICE_REMOVED', 'NO_LOG', 'INVITE_VOID', 'NO_ACCESS'] as const
    for (const code of lies) {
      const refused = { type: 'refused', entry: null, retryAfterMs: null, sentence: 'no', top: null } as const
      line.passages.at(-1)?.slipIn({ ...refused, log: share.id, code })
      await until(lent, () => lent.status.state !== 'synced')
      if (code === 'NO_ACCESS') {
        await until(lent, () => lent.status.state === 'locked')
        assert.throws(() => lent.doc, isCode('LOCKED'))
      }
      stays(house, ben, lent, ben)
      line.cut()
      line.mend()
      await until(lent, () => lent.status.state === 'synced')
      assert.is(textOf(lent).toString(), 'a line')
    }
  })
)

takingBack(
  'a relay that has lost everything deletes nothing at a member, and the owner brings it back',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const share = await lend(maya, 'Paper', 'a line')
    const lent = await follow(share, ben)
    await maya.close()
    await house.stopRelay()
    const empty = join(house.dir, 'empty')
    await mkdir(empty)
    await cp(join(house.relayFolder, 'relay.key'), join(empty, 'relay.key'))
    await house.startRelay({ data: empty })
    await until(ben, () => ben.status.state === 'connecting' && lent.status.state === 'connecting')
    stays(house, ben, lent, ben)
    assert.is(textOf(lent).toString(), 'a line', 'it keeps what it has until then')
    const again = await house.person('Maya')
    await until(lent, () => lent.status.state === 'synced')
    const [mine] = again.shares
    assert.ok(mine)
    textOf(mine).insert(0, 'on: ')
    await until(lent.doc, () => textOf(lent).toString() === 'on: a line')
    stays(house, ben, lent, ben)
  })
)

takingBack('a lease that runs out locks to the millisecond and deletes nothing, and contact unlocks', async () => {
  const time = movableTime()
  await household(
    async house => {
      const maya = await house.person('Maya')
      const ben = await house.person('Ben', { world: time.world })
      const share = await maya.share({ title: 'Paper', leaseMs: HOUR_MS })
      textOf(share).insert(0, 'a line')
      await share.synced()
      const lent = await follow(share, ben)
      await house.stopRelay()
      await until(lent, () => lent.status.state === 'offline')
      const endsMs = lent.leaseEnds?.getTime() ?? 0
      assert.ok(Math.abs(endsMs - time.world.now() - HOUR_MS) < 60_000, `${endsMs - time.world.now()} ms`)
      time.freeze()
      time.moveOn(endsMs - 1 - time.world.now())
      assert.is(textOf(lent).toString(), 'a line', 'a millisecond before')
      time.moveOn(1)
      assert.throws(() => lent.doc, isCode('LOCKED'))
      assert.is(lent.status.state, 'locked')
      stays(house, ben, lent, ben)
      // A clock that goes back gains nothing, neither now nor by a new start.
      time.moveOn(-HOUR_MS)
      assert.throws(() => lent.doc, isCode('LOCKED'))
      await ben.close()
      const alone = { ...time.world, ...noNetwork }
      const closed = await openAccount({ path: house.folder('Ben'), world: alone })
      const [still] = closed.sharedWithMe
      assert.ok(still)
      assert.throws(() => still.doc, isCode('LOCKED'))
      stays(house, ben, still, closed)
      await closed.close()
      time.moveOn(HOUR_MS)

      await house.startRelay()
      const again = await house.person('Ben', { world: time.world })
      const [unlocked] = again.sharedWithMe
      assert.ok(unlocked)
      await until(unlocked, () => unlocked.status.state === 'synced')
      assert.is(textOf(unlocked).toString(), 'a line')
    },
    { clock: time.world.now }
  )()
})

for (const [ahead, aheadMs] of [
  ['a day', RELAY_AHEAD_MS_MAX],
  ['a millisecond more than a day', RELAY_AHEAD_MS_MAX + 1],
  ['ten years', 10 * 365 * RELAY_AHEAD_MS_MAX]
] as const) {
  takingBack(
    `a relay whose clock is ${ahead} ahead makes a lease longer by a day at most, however often it says so`,
    async () => {
      const time = movableTime()
      let relayAheadMs = 0
      await household(
        async house => {
          const maya = await house.person('Maya')
          const ben = await house.person('Ben', { world: time.world })
          const share = await maya.share({ title: 'Paper', leaseMs: HOUR_MS })
          const lent = await follow(share, ben)
          time.freeze()
          relayAheadMs = aheadMs
          for (const word of ['one', 'two', 'three']) {
            textOf(share).insert(0, word)
            await until(lent.doc, () => textOf(lent).toString().startsWith(word))
          }
          await until(lent, () => lent.status.state === 'synced')
          await house.stopRelay()
          await until(lent, () => lent.status.state === 'offline')
          const endsMs = time.world.now() + RELAY_AHEAD_MS_MAX + HOUR_MS
          assert.is(lent.leaseEnds?.getTime(), endsMs)
          time.moveOn(endsMs - 1 - time.world.now())
          assert.is(textOf(lent).toString(), 'threetwoone')
          time.moveOn(1)
          assert.throws(() => lent.doc, isCode('LOCKED'))
          stays(house, ben, lent, ben)
        },
        { clock: () => time.world.now() + relayAheadMs }
      )()
    }
  )
}

takingBack(
  'a membership that runs out while its owner is away locks, and is wiped when the owner has signed it',
  async () => {
    const time = movableTime()
    await household(
      async house => {
        const { world } = time
        const maya = await house.person('Maya', { world })
        const ben = await house.person('Ben', { world })
        const share = await lend(maya, 'Paper', 'a line')
        const lent = await ben.accept(await linkTo(share, { until: new Date(world.now() + HOUR_MS) }))
        await lent.synced()
        await maya.close()
        time.moveOn(HOUR_MS)
        await until(lent, () => lent.status.state === 'locked')
        assert.throws(() => lent.doc, isCode('LOCKED'))
        stays(house, ben, lent, ben)
        const wiped = event(ben, 'ended', ended => ended.wiped)
        const again = await house.person('Maya', { world })
        assert.is((await wiped).reason, 'expired')
        assert.not.ok(existsSync(replicaOf(house.folder('Ben'), share).directory))
        const [mine] = again.shares
        assert.ok(mine)
        await until(mine, () => memberOf(mine, ben).state === 'expired' && memberOf(mine, ben).wiped === 1)
      },
      { clock: time.world.now }
    )()
  }
)

takingBack(
  'who joins again in the very moment in which the replica goes has the share and keeps it',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const share = await lend(maya, 'Paper', 'a line')
    await follow(share, ben)
    const ended = event(ben, 'ended', ({ wiped }) => !wiped)
    const wiped = event(ben, 'ended', end => end.wiped)
    await takeOut(share, ben)
    const link = linkTo(share)
    await ended
    const lent = await ben.accept(await link)
    await wiped
    await lent.synced()
    assert.is(textOf(lent).toString(), 'a line')
    await ben.close()
    const again = await house.person('Ben')
    const [kept] = again.sharedWithMe
    assert.ok(kept, 'it is in the list still')
    assert.is(textOf(kept).toString(), 'a line')
  })
)

takingBack(
  'a receipt counts for the replica that it was written for, not for the one after',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const share = await lend(maya, 'Paper', 'a line')
    await follow(share, ben)
    await takeOut(share, ben)
    await until(share, () => memberOf(share, ben).wiped === 1)
    await follow(share, ben)
    assert.is(memberOf(share, ben).wiped, 0)
    await ben.close()
    await takeOut(share, ben)
    assert.is(memberOf(share, ben).wiped, 0, 'its device has not been there since')
    await house.person('Ben')
    await until(share, () => memberOf(share, ben).wiped === 1)
  })
)

takingBack(
  'an account that is closed leaves no timer behind, whatever is on its way',
  household(async house => {
    const [times, names] = [
      [movableTime(), movableTime()],
      ['Maya', 'Ben']
    ] as const
    const [maya, ben] = [await house.person('Maya', times[0]), await house.person('Ben', times[1])]
    await follow(await lend(maya, 'Paper', 'a line'), ben)
    await Promise.all([maya.close(), ben.close()])
    for (let round = 0; round < 10; round++) {
      for (const [n, time] of times.entries()) {
        const person = await house.person(names[n] ?? '', time)
        const [share] = [...person.shares, ...person.sharedWithMe]
        assert.ok(share)
        // In the middle of the first contact: what came is handled while it closes.
        await until(share, () => (round % 2 === 0 ? share.status.state === 'synced' : share.status.state !== 'offline'))
        const asked = person.shares[0]?.invite().catch(() => {})
        await person.close()
        await asked
        assert.is(time.pending, 0, `${person.name}, round ${round}`)
      }
    }
  })
)

takingBack.run()

/** Brings a share to its end and checks what both sides say, and the disk. */
async function ends(
  house: Household,
  share: Share,
  person: Account,
  reason: 'left' | 'removed' | 'expired',
  cause: () => Promise<void>
): Promise<void> {
  const [lent] = person.sharedWithMe
  assert.ok(lent)
  const { doc } = lent
  const states: boolean[] = []
  const wiped = event(person, 'ended', ended => {
    states.push(ended.wiped)
    return ended.wiped
  })
  const told = event(lent, 'ended', ended => ended.wiped)
  await cause()
  const ended = await wiped
  await told
  assert.is(ended.reason, reason)
  assert.is(ended.share, lent)
  assert.equal(states, [false, true], 'access ends, then it is gone')
  assert.equal(lent.status, { state: 'ended', reason })
  assert.throws(() => lent.doc, isCode('ENDED'))
  assert.ok(doc.isDestroyed)
  assert.equal(person.sharedWithMe, [])
  const { directory, keyFile } = replicaOf(house.folder(person.name), share)
  assert.not.ok(existsSync(directory) || existsSync(keyFile))
  const member = await until(share, () => memberOf(share, person).wiped === 1 && memberOf(share, person))
  assert.equal([member.state, member.devices], [reason, 1])
}

function stays(house: Household, { name }: Account, share: LentShare, account?: Account): void {
  const { directory, keyFile } = replicaOf(house.folder(name), share)
  assert.ok(existsSync(join(directory, 'CURRENT')) && existsSync(keyFile), 'nothing is deleted')
  if (account) assert.is(account.sharedWithMe[0], share)
}

function inviteBy(share: Share, link: string): Invite {
  const invite = share.invites.find(other => other.link === link)
  assert.ok(invite, 'the owner knows this link')
  return invite
}

function tryOpen(open: () => unknown): boolean {
  try {
    open()
    return true
  } catch {
    return false
  }
}

async function codeOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked
    return 'resolved'
  } catch (error) {
    return error instanceof LendError ? error.code : `${error}`
  }
}

function isCode(code: string): (error: unknown) => boolean {
  return error => error instanceof LendError && error.code === code
}
