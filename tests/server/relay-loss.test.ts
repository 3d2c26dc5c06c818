/** A relay that lost part of a log: a new life of the log, offers, and members who wait for an owner device. */
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeHead, hex, incarnation, type LogId } from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { connectRaw, makeAccount, type RawClient, type RawShare, UNSEEN } from './raw-client.ts'
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
