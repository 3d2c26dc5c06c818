/** A relay that lost part of a log: a new life of the log, offers, and members who wait for an owner device. */
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeHead, hex, incarnation, type LogId, logId } from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { addDevice, connectRaw, makeAccount, type RawClient, type RawShare, UNSEEN } from './raw-client.ts'
import { bytesOf, closeWorlds, newMember, newWorld, tail, type World } from './world.ts'

const lossTest = describe('relay loss')
lossTest.after.each(closeWorlds)

/** Puts the store back to what it was at the last `keep`. */
async function keep(world: World): Promise<void> {
  await world.restart(() => cp(join(world.data, 'store'), join(world.data, 'old'), { recursive: true }))
}

async function lose(world: World): Promise<void> {
  await world.restart(async () => {
    await rm(join(world.data, 'store'), { recursive: true })
    await cp(join(world.data, 'old'), join(world.data, 'store'), { recursive: true })
  })
}

/** The whole store is gone; the key is not. */
async function loseAll(world: World): Promise<void> {
  await world.restart(() => rm(join(world.data, 'store'), { recursive: true }))
}

function offer(client: RawClient, share: RawShare, life: Uint8Array): void {
  const entries = share.entries.map(({ bytes }) => bytes)
  client.send({ type: 'offer', log: share.log, incarnation: incarnation(life.slice()), entries })
}

function ready(client: RawClient, log: LogId, life: Uint8Array): void {
  client.send({ type: 'ready', log, incarnation: incarnation(life.slice()) })
}

lossTest('a head beyond the end begins a new life; members wait in it until an owner device was there', async () => {
  const world = await newWorld()
  const { share } = world
  const { bob } = await newMember(world)
  const kept = share.update('kept')
  await world.owner.appended(share.log, world.life, kept)
  await keep(world)
  const lost = share.update('lost')
  const { entry: invite } = share.invite()
  const head = await world.owner.appended(share.log, world.life, lost, invite)
  await lose(world)

  const member = await connectRaw(world.relay.url, bob.device)
  const waiting = await member.followed(share.log, { head })
  assert.is(waiting.standing, 'waiting')
  assert.is.not(hex(waiting.incarnation), hex(world.life))
  assert.is(world.relay.metrics().incarnations, 1)

  const following = await world.owner.followed(share.log, { head })
  assert.is(following.standing, 'owner')
  assert.is(hex(following.incarnation), hex(waiting.incarnation))
  assert.is(world.relay.metrics().incarnations, 1, 'the same head begins no second one')
  const life = incarnation(following.incarnation.slice())

  world.owner.append(share.log, world.life, lost)
  assert.is((await world.owner.refused(share.log)).code, 'INCARNATION')
  offer(world.owner, share, life)
  await world.owner.take('ack', share.log)
  await world.owner.appended(share.log, life, lost)
  ready(world.owner, share.log, life)
  const served = await member.take('following', share.log)
  assert.is(served.standing, 'member')
  assert.is(served.from, 0)
  const placed = await member.readTo(share.log, decodeHead(served.head).seq)
  assert.equal(placed.map(tail), [...share.entries, kept, lost].map(tail))
  assert.is(share.entries.at(-1), invite)
  const live = share.update('goes on')
  await world.owner.appended(share.log, life, live)
  assert.equal((await member.read(share.log, 1)).map(tail), [tail(live)])
})

lossTest('a log that is gone as a whole is offered by a member, and published by its owner', async () => {
  const world = await newWorld()
  const { share } = world
  const { bob } = await newMember(world)
  const update = share.update()
  const head = await world.owner.appended(share.log, world.life, update)
  await loseAll(world)

  const stranger = await connectRaw(world.relay.url, makeAccount().device)
  stranger.follow(share.log)
  assert.is((await stranger.refused(share.log)).code, 'NO_ACCESS')

  const member = await connectRaw(world.relay.url, bob.device)
  const first = await member.followed(share.log, { head })
  assert.is(first.standing, 'waiting')
  assert.is(
    decodeHead(first.head).accessHead.some(byte => byte !== 0),
    false
  )
  offer(member, share, first.incarnation)
  const ack = await member.take('ack', share.log)
  assert.is(ack.ids.length, share.entries.length)

  const following = await world.owner.followed(share.log, { head })
  assert.is(following.standing, 'owner')
  assert.is(following.entriesTotal, share.entries.length)
  const life = incarnation(following.incarnation.slice())
  await world.owner.appended(share.log, life, update)
  await member.settle()
  assert.equal(bytesOf(member.seen), [], 'a member sees nothing before the owner is ready')
  ready(world.owner, share.log, life)
  const served = await member.take('following', share.log)
  assert.is(served.standing, 'member')
  const placed = await member.readTo(share.log, decodeHead(served.head).seq)
  assert.equal(placed.map(tail), [...share.entries, update].map(tail))

  await world.restart()
  const again = await connectRaw(world.relay.url, bob.device)
  assert.is((await again.followed(share.log, { head: served.head })).standing, 'member', 'it is remembered')
})

lossTest('what is offered to a log that lost nothing is refused', async () => {
  const world = await newWorld()
  const { share, owner, life } = world
  offer(owner, share, life)
  assert.is((await owner.refused(share.log)).code, 'INCARNATION')
})

lossTest('an offer that makes its sender neither owner nor member is refused', async () => {
  const world = await newWorld()
  const { share } = world
  await loseAll(world)
  const stranger = await connectRaw(world.relay.url, makeAccount().device)
  offer(stranger, share, UNSEEN)
  assert.is((await stranger.refused(share.log)).code, 'NO_ACCESS')
})

lossTest('who was removed in what was lost waits, and is shown the removal when it is back', async () => {
  const world = await newWorld()
  const { share } = world
  const { bob } = await newMember(world)
  await keep(world)
  const removal = share.remove(bob)
  const head = await world.owner.appended(share.log, world.life, removal)
  await lose(world)
  const member = await connectRaw(world.relay.url, bob.device)
  const served = await member.followed(share.log)
  assert.is(served.standing, 'member', 'nobody has shown the loss yet')
  await member.readTo(share.log, decodeHead(served.head).seq)
  const following = await world.owner.followed(share.log, { head })
  assert.is((await member.take('following', share.log)).standing, 'waiting')
  offer(world.owner, share, following.incarnation)
  await world.owner.take('ack', share.log)
  const former = await member.take('following', share.log)
  assert.is(former.standing, 'former')
  assert.equal((await member.read(share.log, share.entries.length)).map(tail), share.entries.map(tail))
})

lossTest('another hash at the same seq begins a new life', async () => {
  const world = await newWorld()
  const { share } = world
  const after = share.update('taken after the loss')
  await keep(world)
  const head = await world.owner.appended(share.log, world.life, share.invite().entry)
  await lose(world)
  const same = await world.owner.appended(share.log, world.life, after)
  assert.is(decodeHead(same).seq, decodeHead(head).seq)
  assert.is(hex((await world.owner.followed(share.log, { head: same })).incarnation), hex(world.life))
  assert.is.not(hex((await world.owner.followed(share.log, { head })).incarnation), hex(world.life))
})

/** The relay has lost a part, and an owner device has shown it. @returns the new life */
async function loseTail(world: World): Promise<Uint8Array> {
  await keep(world)
  const head = await world.owner.appended(world.share.log, world.life, world.share.update('lost'))
  await lose(world)
  return (await world.owner.followed(world.share.log, { head })).incarnation
}

/** What the relay has of the list, told to its owner. */
async function listAt(world: World): Promise<string[]> {
  const { share } = world
  const owner = await connectRaw(world.relay.url, world.ann.device)
  const { head } = await owner.followed(share.log)
  const { seq } = decodeHead(head)
  return (seq > 0 ? await owner.readTo(share.log, seq) : []).filter(({ bytes }) => bytes[1] === 1).map(tail)
}

lossTest('a link that has expired lets nobody in by an offer, neither into a list nor into none', async () => {
  for (const isEmpty of [false, true]) {
    let offsetMs = 0
    const world = await newWorld({ clock: () => Date.now() + offsetMs })
    const { share, owner, life } = world
    const { entry, keys } = share.invite({ expiresMs: Date.now() + 60_000 })
    await owner.appended(share.log, life, entry)
    const eve = makeAccount('Eve')
    const known = [...share.entries]
    const forged = share.join(eve, keys)
    if (isEmpty) await loseAll(world)
    const newLife = isEmpty ? UNSEEN : await loseTail(world)
    offsetMs = 60_000
    const client = await connectRaw(world.relay.url, eve.device)
    const entries = (isEmpty ? [...known, forged] : [forged]).map(({ bytes }) => bytes)
    client.send({ type: 'offer', log: share.log, incarnation: incarnation(newLife.slice()), entries })
    assert.is((await client.refused(share.log)).code, 'NO_ACCESS')
    if (isEmpty) offer(world.owner, share, UNSEEN)
    if (isEmpty) await world.owner.take('ack', share.log)
    assert.equal(await listAt(world), known.map(tail))
  }
})

lossTest('the same link lets in by an offer before it has expired, as it does without one', async () => {
  const world = await newWorld()
  const { share, owner, life } = world
  const { entry, keys } = share.invite({ expiresMs: Date.now() + 60_000 })
  await owner.appended(share.log, life, entry)
  const newLife = await loseTail(world)
  const bob = makeAccount('Bob')
  const join = share.join(bob, keys)
  const client = await connectRaw(world.relay.url, bob.device)
  client.send({ type: 'offer', log: share.log, incarnation: incarnation(newLife.slice()), entries: [join.bytes] })
  assert.equal((await client.take('ack', share.log)).ids.map(hex), [hex(join.id)])
})

lossTest('a member whose link has expired since is let in again by the relay’s own word on its join', async () => {
  let offsetMs = 0
  const world = await newWorld({ clock: () => Date.now() + offsetMs })
  const { share } = world
  const first = await newMember(world)
  const head = headOf(first.client)
  const second = await newMember(world)
  await loseAll(world)
  offsetMs = 2 * 3_600_000

  const without = await connectRaw(world.relay.url, second.bob.device)
  offer(without, share, UNSEEN)
  assert.is((await without.refused(share.log)).code, 'NO_ACCESS', 'who shows no head may have joined just now')

  const client = await connectRaw(world.relay.url, first.bob.device)
  const following = await client.followed(share.log, { head })
  offer(client, share, following.incarnation)
  // Its own join, and what an owner’s device wrote after it; not the other join, which nobody has vouched for.
  const ids = (await client.take('ack', share.log)).ids.map(hex)
  assert.equal(
    ids,
    share.entries.slice(0, 4).map(({ id }) => hex(id))
  )
  assert.is(share.entries.length, 5)

  const owner = await world.owner.followed(share.log)
  offer(world.owner, share, owner.incarnation)
  const rest = (await world.owner.take('ack', share.log)).ids
  assert.is(rest.length, 5, 'an owner’s device vouches for what it brings')
})

lossTest('the relay’s word that a session has shown counts until it unfollows', async () => {
  let offsetMs = 0
  const world = await newWorld({ clock: () => Date.now() + offsetMs })
  const { share } = world
  const { bob, client } = await newMember(world)
  await loseAll(world)
  offsetMs = 2 * 3_600_000
  const member = await connectRaw(world.relay.url, bob.device)
  const { incarnation: life } = await member.followed(share.log, { head: headOf(client) })
  member.send({ type: 'unfollow', log: share.log })
  offer(member, share, life)
  assert.is((await member.refused(share.log)).code, 'NO_ACCESS')
  await member.followed(share.log, { head: headOf(client) })
  offer(member, share, life)
  await member.take('ack', share.log)
})

lossTest('an entry that an owner’s device wrote on top of a join vouches for it, whoever brings both', async () => {
  let offsetMs = 0
  const world = await newWorld({ clock: () => Date.now() + offsetMs })
  const { share } = world
  const { bob, client } = await newMember(world)
  const head = headOf(client)
  await newMember(world)
  await world.owner.appended(share.log, world.life, share.write({ type: 'lease', leaseMs: 3_600_000 }))
  await loseAll(world)
  offsetMs = 2 * 3_600_000
  const member = await connectRaw(world.relay.url, bob.device)
  const following = await member.followed(share.log, { head })
  offer(member, share, following.incarnation)
  assert.is((await member.take('ack', share.log)).ids.length, share.entries.length)
})

lossTest(
  'who came back by a link is former to a relay that lost that, and lets itself in by the relay’s word',
  async () => {
    let offsetMs = 0
    const world = await newWorld({ clock: () => Date.now() + offsetMs, limits: { memberAccessBurst: 10 } })
    const { share, life } = world
    const { bob, client } = await newMember(world)
    await client.appended(share.log, life, share.write({ type: 'leave' }, bob.device))
    await world.owner.appended(share.log, life, share.remove())
    await keep(world)
    const { entry, keys } = share.invite()
    await world.owner.appended(share.log, world.life, entry)
    const again = await connectRaw(world.relay.url, bob.device)
    await again.followed(share.log, { invite: keys })
    const join = share.join(bob, keys, [])
    const head = await again.appended(share.log, world.life, join)
    share.take(join)
    await lose(world)
    offsetMs = 2 * 3_600_000
    const late = await connectRaw(world.relay.url, bob.device)
    const former = await late.followed(share.log, { head })
    assert.is(former.standing, 'former')
    offer(late, share, former.incarnation)
    assert.is((await late.take('ack', share.log)).ids.length, share.entries.length)
    assert.is((await late.followed(share.log, { head })).standing, 'waiting')
  }
)

lossTest('a device link that has expired lets no device into a library that was lost', async () => {
  let offsetMs = 0
  const world = await newWorld({ clock: () => Date.now() + offsetMs })
  const ann = makeAccount('Ann')
  const { account, entries } = addDevice(ann)
  const log = logId(ann.account)
  const first = await connectRaw(world.relay.url, ann.device)
  await first.appended(log, UNSEEN, ...entries.slice(0, 2))
  await loseAll(world)
  offsetMs = 2 * 3_600_000
  const thief = await connectRaw(world.relay.url, account.device)
  thief.send({ type: 'offer', log, incarnation: UNSEEN, entries: entries.map(({ bytes }) => bytes) })
  assert.is((await thief.refused(log)).code, 'NO_ACCESS')
  const owner = await connectRaw(world.relay.url, ann.device)
  owner.send({ type: 'offer', log, incarnation: UNSEEN, entries: entries.map(({ bytes }) => bytes) })
  assert.is((await owner.take('ack', log)).ids.length, 3, 'its own device may bring it')
})

/** The highest head that a client was told. */
function headOf(client: RawClient): Uint8Array {
  const heads = client.seen.flatMap(frame => ('head' in frame && frame.head ? [frame.head] : []))
  return heads.reduce((highest, head) => (decodeHead(head).seq > decodeHead(highest).seq ? head : highest))
}

lossTest('a head that another relay said is no head', async () => {
  const [world, other] = [await newWorld(), await newWorld()]
  const head = await other.owner.appended(other.share.log, other.life, other.share.update())
  const forged = head.slice()
  forged.set(world.share.log)
  const following = await world.owner.followed(world.share.log, { head: forged })
  assert.is(hex(following.incarnation), hex(world.life))
  assert.is(world.relay.metrics().incarnations, 0)
})

lossTest.run()
