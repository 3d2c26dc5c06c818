/** Shares at rest: what they show and do is what open ones show and do, and no directory is opened for it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Account,
  type LendError,
  type LentShare,
  openAccount,
  pairDevice,
  type Share,
  type World
} from '@lend/client'
import { hex } from '@lend/engine'
import { startRelay } from '@lend/server'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { REST_MS } from '../../packages/client/src/disk/resting-store.ts'
import { restsOf } from './all-keys.ts'
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
import { openLossyLine } from './lossy-line.ts'
import { movableTime, nodeWorld, noNetwork, throughDisk } from './worlds.ts'

const rest = suite('shares at rest')

/** Of each kind, mine and lent to me. A hundred in all: `SHARES=50`. */
const SHARES = Number(process.env.SHARES ?? 4)
const HOUR_MS = 60 * 60 * 1000

type Id = { readonly id: Uint8Array }

interface WatchedDisk {
  readonly world: World
  /** The directories that were opened, sorted, since this was asked last. */
  opened(): string[]
  /** Resolves when the directory of a share is opened. Ask before what causes it. */
  opening(share: Id): Promise<void>
  /** Lets time pass for what is not used, until the directory of a share is closed. */
  rested(share: Id): Promise<void>
}

function watchedDisk(): WatchedDisk {
  const opened: string[] = []
  const waiters = new Map<string, () => void>()
  const world = throughDisk((step, run) => {
    // Whichever it has moved to, see moving-store.test.ts.
    const directory = step.to.replace(/-\d+$/, '')
    if (step.does === 'openDatabase') opened.push(directory)
    if (step.does === 'openDatabase' || step.keys?.includes('rested')) waiters.get(`${step.does} ${directory}`)?.()
    return run()
  })
  const waitFor = (what: string) => new Promise<void>(tell => waiters.set(what, tell))
  const idle = new Set<() => void>()
  const timer: World['timer'] = (ms, run) => {
    if (ms !== REST_MS) return nodeWorld.timer(ms, run)
    idle.add(run)
    return () => idle.delete(run)
  }
  return {
    world: { ...world, timer },
    opened: () => opened.splice(0).sort(),
    opening: share => waitFor(`openDatabase ${directoryOf(share)}`),
    async rested(share) {
      let isResting = false
      void waitFor(`batch ${directoryOf(share)}`).then(() => {
        isResting = true
      })
      while (!isResting) {
        for (const run of [...idle]) if (idle.delete(run)) run()
        await new Promise(setImmediate)
      }
    }
  }
}

const directoryOf = ({ id }: Id) => `logs/${hex(id)}`

function sameOf<T extends Id>(shares: readonly T[], share: Id): T {
  const found = shares.find(({ id }) => hex(id) === hex(share.id))
  if (!found) throw new Error('it is not in the list')
  return found
}

const mineOf = (account: Account, share: Id): Share => sameOf(account.shares, share)
const lentOf = (account: Account, share: Id): LentShare => sameOf(account.sharedWithMe, share)
const namesOf = (share: Share | LentShare) => share.items.map(({ name, kind }) => `${kind} ${name}`).join()

/** All that an app shows of its shares. */
function shown(account: Account): unknown {
  const mine = account.shares.map(share => ({
    id: hex(share.id),
    title: share.title,
    items: namesOf(share),
    leaseMs: share.leaseMs,
    members: share.members.map(({ name, label, state, joined, devices }) => ({ name, label, state, joined, devices })),
    invites: share.invites.map(({ id, name, state, link, usedBy }) => ({ id, name, state, link, by: usedBy.length })),
    text: textOf(share).toString()
  }))
  const lent = account.sharedWithMe.map(share => ({
    id: hex(share.id),
    title: share.title,
    items: namesOf(share),
    owner: { ...share.owner, account: hex(share.owner.account) },
    since: share.since,
    until: share.until,
    text: textOf(share).toString()
  }))
  const byId = (a: { readonly id: string }, b: { readonly id: string }) => (a.id < b.id ? -1 : 1)
  return { mine: mine.sort(byId), lent: lent.sort(byId) }
}

function firstOf<T>([first]: readonly T[]): T {
  if (first === undefined) throw new Error('there is none')
  return first
}

function lastOf<T>(things: readonly T[]): T {
  return firstOf(things.slice(-1))
}

async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run()
    return 'ok'
  } catch (error) {
    return (error as LendError).code
  }
}

/** Resolves when all shares of an account say so. */
async function settled(account: Account): Promise<void> {
  await account.synced()
  for (const share of [...account.shares, ...account.sharedWithMe]) await share.synced()
}

/** An owner with a share of one item and a text, and a member of it. */
async function lendOne(house: Household, o: { relay?: string } = {}) {
  const maya = await house.person('Maya')
  const ben = await house.person('Ben')
  const item = await maya.library.add('camera', { name: 'Gate', word: 'first' })
  const share = await maya.share({ title: 'Garden', items: [item], ...o })
  textOf(share).insert(0, 'roses')
  const lent = await follow(share, ben)
  await until(lent, () => lent.items.length === 1)
  await settled(ben)
  return { maya, ben, item, share, lent }
}

rest(
  `${2 * SHARES} shares open one directory at a start, look as before, and news opens the one that it is about`,
  household(async house => {
    const maya = await house.person('Maya')
    const ana = await house.person('Ana')
    for (const [owner, reader] of [
      [maya, ana],
      [ana, maya]
    ] as const) {
      for (let n = 0; n < SHARES; n++) {
        const item = await owner.library.add('camera', { name: `Camera ${n}`, word: 'first' })
        const share = await owner.share({ title: `${owner.name}’s ${n}`, items: [item] })
        textOf(share).insert(0, `text ${n}`)
        const ends = new Date(Date.now() + HOUR_MS)
        const lent = await reader.accept(await linkTo(share, { name: reader.name, until: ends }))
        await lent.synced()
        await share.invite({ name: 'somebody' })
      }
    }
    await Promise.all([settled(maya), settled(ana)])
    const before = shown(maya)
    await maya.close()

    const disk = watchedDisk()
    const alone = house.keep(await openAccount({ path: house.folder('Maya'), world: { ...disk.world, ...noNetwork } }))
    assert.equal(shown(alone), before)
    await alone.close()
    assert.equal(disk.opened(), ['account'])
    const again = await house.person('Maya', disk)
    assert.equal(shown(again), before)
    await settled(again)
    assert.equal(shown(again), before)
    assert.equal(disk.opened(), ['account'])

    // Of one that is lent to her, its owner edits an item.
    const theirs = firstOf(ana.shares)
    const lent = lentOf(again, theirs)
    const copy = await lent.open(firstOf(lent.items))
    assert.equal(disk.opened(), [directoryOf(theirs)])
    const source = await ana.library.open(firstOf(theirs.items))
    source.getMap('camera').set('word', 'second')
    await until(copy, () => copy.getMap('camera').get('word') === 'second')
    const other = lentOf(again, lastOf(ana.shares))
    const news = disk.opening(other)
    textOf(lastOf(ana.shares)).insert(0, 'new ')
    await news
    await until(other.doc, () => textOf(other).toString().startsWith('new '))
    await settled(again)
    assert.equal(disk.opened(), [directoryOf(other)])
    // Of one of hers, she edits an item, which is mirrored.
    const mine = firstOf(again.shares)
    const own = await again.library.open(firstOf(mine.items))
    own.getMap('camera').set('word', 'third')
    const far = await lentOf(ana, mine).open(firstOf(lentOf(ana, mine).items))
    await until(far, () => far.getMap('camera').get('word') === 'third')
    assert.equal(disk.opened(), [directoryOf(mine)])
  })
)

rest(
  'what news has opened rests again when nothing more comes, whoever holds its documents, and news opens it again',
  household(async house => {
    const disk = watchedDisk()
    const { maya, ben, item, share } = await lendOne(house)
    await ben.close()
    const again = await house.person('Ben', disk)
    const lent = lentOf(again, share)
    const { doc } = lent
    const titles: string[] = []
    lent.on('change', () => titles.push(lent.title))
    await lent.synced()
    disk.opened()
    const copy = await lent.open(firstOf(lent.items))
    assert.equal(disk.opened(), [directoryOf(share)])
    const source = await maya.library.open(item)
    for (const word of ['second', 'third']) {
      await disk.rested(share)
      const opening = disk.opening(share)
      source.getMap('camera').set('word', word)
      await until(copy, () => copy.getMap('camera').get('word') === word)
      await opening
      assert.equal(disk.opened(), [directoryOf(share)], word)
    }
    await share.rename('Yard')
    await until(lent, () => lent.title === 'Yard')
    assert.is(lentOf(again, share), lent)
    assert.is(lent.doc, doc)
    assert.ok(titles.includes('Yard'))
  })
)

rest(
  'a member who is taken out while the share rests, there or away, loses it at once, and its directory is not opened for that',
  household(async house => {
    const { maya, ben, share } = await lendOne(house)
    await ben.close()
    const { directory, keyFile } = replicaOf(house.folder('Ben'), share)
    const disk = watchedDisk()
    for (const isAway of [false, true]) {
      const member = await house.person('Ben', disk)
      if (isAway) await (await follow(share, member)).synced()
      else await settled(member)
      const lent = lentOf(member, share)
      if (isAway) await member.close()
      disk.opened()
      assert.equal([existsSync(directory), existsSync(keyFile)], [true, true])
      const wiped = isAway ? null : event(member, 'ended', ({ wiped }) => wiped)
      await takeOut(share, member)
      const again = isAway ? await house.person('Ben', disk) : member
      await (wiped ?? until(again, () => again.sharedWithMe.length === 0))
      await until(share, () => memberOf(share, member).wiped === 1)
      assert.equal(disk.opened(), isAway ? ['account'] : [])
      assert.equal([existsSync(directory), existsSync(keyFile)], [false, false])
      assert.is(await codeOf(() => lent.doc), isAway ? 'CLOSED' : 'ENDED')
      await again.synced()
      await again.close()
      assert.equal(await restsOf(house.folder('Ben')), [])
    }
    assert.equal(maya.shares.length, 1)
  })
)

rest('a head is of no use without the key of its replica, and gone with an unselected item', async () => {
  const SECRET = 'a-word-of-the-door'
  await household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const door = await maya.library.add('camera', { name: SECRET })
    const share = await maya.share({ title: 'House', items: [door] })
    const lent = await follow(share, ben)
    await until(lent, () => lent.items.length === 1)
    await Promise.all([maya.close(), ben.close()])
    for (const name of ['Maya', 'Ben']) {
      const rests = await restsOf(house.folder(name))
      assert.ok(
        rests.some(({ opened }) => Buffer.from(opened ?? []).includes(SECRET)),
        name
      )
      assert.ok(!rests.some(({ sealed }) => Buffer.from(sealed).includes(SECRET)), name)
    }
  })()
})

rest('a lease runs out at rest, to the millisecond, and a clock that is set back gains nothing', async () => {
  const time = movableTime()
  const disk = watchedDisk()
  const world = { ...time.world, disk: disk.world.disk }
  await household(
    async house => {
      const maya = await house.person('Maya')
      const ben = await house.person('Ben', { world })
      const share = await maya.share({ title: 'Paper', leaseMs: HOUR_MS })
      textOf(share).insert(0, 'a line')
      await share.synced()
      await follow(share, ben)
      await ben.close()
      time.freeze()
      disk.opened()
      // Half of it has gone when its relay is heard: it begins anew, at rest.
      time.moveOn(HOUR_MS / 2)
      const renewed = await house.person('Ben', { world })
      await settled(renewed)
      const endsMs = lentOf(renewed, share).leaseEnds?.getTime() ?? 0
      assert.is(endsMs, time.world.now() + HOUR_MS)
      await renewed.close()

      const alone = async () => {
        const path = house.folder('Ben')
        return house.keep(await openAccount({ path, world: { ...world, ...noNetwork } }))
      }
      time.moveOn(HOUR_MS - 2)
      const early = await alone()
      const lent = lentOf(early, share)
      assert.is(lent.leaseEnds?.getTime(), endsMs)
      time.moveOn(1)
      assert.is(textOf(lent).toString(), 'a line', 'a millisecond before')
      time.moveOn(1)
      assert.is(await codeOf(() => lent.doc), 'LOCKED')
      assert.equal([lent.status.state, lent.items], ['locked', []])
      await early.close()
      time.moveOn(-HOUR_MS)
      const late = await alone()
      assert.is(lentOf(late, share).status.state, 'locked')
      assert.is(await codeOf(() => lentOf(late, share).open(new Uint8Array(16) as never)), 'LOCKED')
      await late.close()
      time.moveOn(HOUR_MS)
      const again = await house.person('Ben', { world })
      await until(lentOf(again, share), () => lentOf(again, share).status.state === 'synced')
      assert.is(textOf(lentOf(again, share)).toString(), 'a line')
      await again.close()
      assert.equal(disk.opened(), ['account', 'account', 'account', 'account'])
    },
    { clock: time.world.now }
  )()
})

rest('a membership runs out at rest, and is wiped when the owner has signed that, whose share rests too', async () => {
  const time = movableTime()
  const disk = watchedDisk()
  const world = { ...time.world, disk: disk.world.disk }
  await household(
    async house => {
      const maya = await house.person('Maya', { world })
      const ben = await house.person('Ben', { world })
      const share = await lend(maya, 'Paper', 'a line')
      const ends = new Date(time.world.now() + HOUR_MS)
      await (await ben.accept(await linkTo(share, { until: ends }))).synced()
      await Promise.all([ben.close(), maya.close()])
      time.freeze()
      disk.opened()
      const path = house.folder('Ben')
      const alone = house.keep(await openAccount({ path, world: { ...world, ...noNetwork } }))
      const lent = lentOf(alone, share)
      assert.equal(lent.until, ends)
      time.moveOn(ends.getTime() - 1 - time.world.now())
      assert.is(textOf(lent).toString(), 'a line', 'a millisecond before')
      time.moveOn(1)
      assert.is(await codeOf(() => lent.doc), 'LOCKED')
      assert.is(lent.status.state, 'locked')
      await alone.close()
      assert.equal(disk.opened(), ['account'])
      const mayaAgain = await house.person('Maya', { world })
      const mine = mineOf(mayaAgain, share)
      await until(mine, () => memberOf(mine, ben).state === 'expired')
      disk.opened()
      const again = await house.person('Ben', { world })
      await until(mine, () => memberOf(mine, ben).wiped === 1)
      assert.equal(again.sharedWithMe, [])
      assert.equal(disk.opened(), ['account'])
    },
    { clock: time.world.now }
  )()
})

rest(
  'what another device brought no further than the library is taken up by one on which the share rests',
  household(async house => {
    const far = house.keep(await startRelay({ data: join(house.dir, 'far'), port: 0 }))
    const line = house.keep(await openLossyLine(() => far.url))
    const { maya, item, share, lent } = await lendOne(house, { relay: line.url })
    const invite = await maya.inviteDevice()
    await until(maya, () => invite.state === 'open')
    const laptop = house.keep(
      await pairDevice(invite.link ?? '', { path: house.folder('laptop'), device: 'laptop', world: nodeWorld })
    )
    await until(laptop, () => laptop.shares.length === 1)
    const there = mineOf(laptop, share)
    await settled(laptop)
    await until(there, () => namesOf(there) === 'camera Gate')
    await settled(maya)
    await maya.close()

    line.cut({ down: true })
    await until(there, () => there.status.state !== 'synced')
    const door = await laptop.library.add('camera', { name: 'Door' })
    await there.select(door)
    const gate = await laptop.library.open(item)
    gate.getMap('camera').set('word', 'second')
    await laptop.library.add('camera', { name: 'Last' })
    const disk = watchedDisk()
    const phone = await house.person('Maya', disk)
    const mine = mineOf(phone, share)
    assert.is(namesOf(mine), 'camera Gate')
    await until(mine, () => namesOf(mine) === 'camera Gate,camera Door')
    await until(phone.library, () => phone.library.items.some(({ name }) => name === 'Last'))
    await laptop.close()
    assert.equal(disk.opened(), ['account'])
    line.mend()
    await until(lent, () => namesOf(lent).includes('Door'))
    const copy = await lent.open(firstOf(lent.items.filter(({ name }) => name === 'Gate')))
    await until(copy, () => copy.getMap('camera').get('word') === 'second')
    assert.equal(disk.opened(), [directoryOf(share)])
    assert.is(mineOf(phone, share), mine)
  })
)

rest(
  'each verb of a share at rest does what it does',
  household(async house => {
    const { maya, ben, item, share } = await lendOne(house)
    const ana = await house.person('Ana')
    await follow(share, ana)
    const door = await maya.library.add('camera', { name: 'Door' })
    const disk = watchedDisk()
    let owner = maya
    /** Does it on a share that rests. @param opens whether its directory is opened for that */
    const one = async (what: string, opens: boolean, verb: (mine: Share) => Promise<unknown>) => {
      await settled(owner)
      await owner.close()
      owner = await house.person('Maya', disk)
      await settled(owner)
      disk.opened()
      const mine = mineOf(owner, share)
      await verb(mine)
      await settled(owner)
      assert.equal(disk.opened(), opens ? [directoryOf(share)] : [], what)
      assert.is(mineOf(owner, share), mine, what)
    }
    const lent = lentOf(ben, share)
    await one('doc', true, async ({ doc }) => {
      doc.getText('text').insert(0, 'red ')
      await until(lent.doc, () => textOf(lent).toString() === 'red roses')
    })
    await one('open', false, async mine => {
      const doc = await mine.open(firstOf(mine.items))
      assert.is(doc.getMap('camera').get('word'), 'first')
    })
    await one('rename', true, async mine => {
      await mine.rename('Yard')
      await until(lent, () => lent.title === 'Yard')
    })
    await one('select', true, async mine => {
      await mine.select(door)
      await until(lent, () => namesOf(lent).includes('Door'))
    })
    await one('unselect', true, async mine => {
      await mine.unselect(item)
      await until(lent, () => namesOf(lent) === 'camera Door')
    })
    await one('invite', true, async mine => {
      const link = await linkTo(mine, { name: 'Cat' })
      const cat = await house.person('Cat')
      await (await cat.accept(link)).synced()
      await until(mine, () => mine.members.some(({ name, label }) => name === 'Cat' && label === 'Cat'))
    })
    await one('limit', true, async mine => {
      const ends = new Date(Date.now() + HOUR_MS)
      await mine.limit(memberOf(mine, ana), ends)
      await until(mine, () => memberOf(mine, ana).until?.getTime() === ends.getTime())
    })
    await one('remove', true, async mine => {
      await takeOut(mine, ana)
      await until(mine, () => memberOf(mine, ana).wiped === 1)
    })
    await one('stop', true, async mine => {
      await mine.stop()
      await until(ben, () => ben.sharedWithMe.length === 0)
    })
  })
)

rest(
  'leaving a share at rest takes it from the disk, and a directory that does not open is told by what needs it alone',
  household(async house => {
    const { maya, ben, share } = await lendOne(house)
    const other = await lend(maya, 'Other', 'b')
    await follow(other, ben)
    const items = lentOf(ben, share).items
    await ben.close()
    let isClosed = true
    const disk = throughDisk((step, run) =>
      isClosed && step.does === 'openDatabase' && step.to === directoryOf(share)
        ? Promise.reject(Object.assign(new Error('operation not permitted'), { code: 'EPERM' }))
        : run()
    )
    const again = await house.person('Ben', { world: disk })
    const lent = lentOf(again, share)
    await settled(again)
    assert.is(textOf(lent).toString(), 'roses')
    assert.is(await codeOf(() => lent.open(firstOf(items))), 'NO_PERMISSION')
    isClosed = false
    const doc = await lent.open(firstOf(items))
    assert.is(doc.getMap('camera').get('word'), 'first')
    const { directory } = replicaOf(house.folder('Ben'), other)
    const second = lentOf(again, other)
    assert.ok(existsSync(directory))
    await second.leave()
    assert.not.ok(existsSync(directory))
    await until(other, () => memberOf(other, again).state === 'left' && memberOf(other, again).wiped === 1)
    await again.close()
    assert.equal(
      (await restsOf(house.folder('Ben'))).map(({ log }) => log),
      [hex(share.id)]
    )
  })
)

rest.run()
