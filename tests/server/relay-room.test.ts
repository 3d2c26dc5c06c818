/** How much of a relay one log, one account and one address may take. */
import { type Cover, decodeHead, type Entry, type Incarnation, incarnation, type LogId } from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { keptBytesOf, SNAPSHOT_RESERVE_BYTES } from '../../packages/server/src/hosting/room.ts'
import {
  accountWriter,
  connectRaw,
  dice,
  makeAccount,
  makeShare,
  type RawClient,
  randomDocument,
  UNSEEN
} from './raw-client.ts'
import { closeWorlds, newData, newMember, newWorld, start } from './world.ts'

const roomTest = describe('relay room')
roomTest.after.each(closeWorlds)

const lifeOf = (head: Uint8Array): Incarnation => incarnation(decodeHead(head).incarnation.slice())

async function codeOf(client: RawClient, log: LogId, life: Incarnation, entry: Entry): Promise<string> {
  client.append(log, life, entry)
  const refused = await client.refused(log)
  assert.ok(refused.sentence.length > 0)
  return refused.code
}

/** What the create, an invite and Bob's join of a share hold for ever: they are of the same size in every share. */
function keptBytes(): number {
  const share = makeShare(makeAccount('Ann'), dice(32))
  const { keys } = share.invite()
  share.take(share.join(makeAccount('Bob'), keys))
  return share.entries.reduce((sum, entry) => sum + keptBytesOf(entry), 0)
}

roomTest('access entries fill a log to its bound, to the byte: one byte less and a join is refused', async () => {
  const logKeptBytes = keptBytes()
  await newMember(await newWorld({ limits: { logKeptBytes } }))
  const { share, owner, life, relay } = await newWorld({ limits: { logKeptBytes: logKeptBytes - 1 } })
  const { entry, keys } = share.invite()
  await owner.appended(share.log, life, entry)
  const bob = makeAccount('Bob')
  const client = await connectRaw(relay.url, bob.device)
  await client.followed(share.log, { invite: keys })
  assert.is(await codeOf(client, share.log, life, share.join(bob, keys)), 'LIMIT_STORAGE')
})

roomTest('a full log takes nobody and no document in, and all that takes away', async () => {
  const world = await newWorld({ limits: { logKeptBytes: keptBytes(), memberAccessBurst: 10 } })
  const { share, owner, life } = world
  const [first, second] = [randomDocument(), randomDocument()]
  await owner.appended(share.log, life, share.update('first', first), share.update('second', second))
  const { bob, client } = await newMember(world)
  const isFull = async () => {
    const more = [
      () => share.invite().entry,
      () => share.write({ type: 'lease', leaseMs: 3_600_000 }),
      () => share.update('a new document', randomDocument()),
      () => share.drop(randomDocument())
    ]
    for (const write of more) assert.is(await codeOf(world.owner, share.log, life, share.draft(write)), 'LIMIT_STORAGE')
  }
  await isFull()
  assert.is(
    await codeOf(
      owner,
      share.log,
      life,
      share.draft(() => share.remove())
    ),
    'LIMIT_STORAGE',
    'nobody is out'
  )
  await owner.appended(share.log, life, share.update('in a document that is there', first), share.drop(second))
  await client.appended(share.log, life, accountWriter(share, bob)())
  await client.appended(share.log, life, share.write({ type: 'leave' }, bob.device))
  await owner.appended(share.log, life, share.remove())
  await world.restart()
  await isFull()
  await world.owner.appended(share.log, life, share.drop(first), share.write({ type: 'stop' }))
})

roomTest('a removal and a void fit in a full log', async () => {
  const { entry: extra } = makeShare(makeAccount('Ann'), dice(32)).invite()
  const world = await newWorld({ limits: { logKeptBytes: keptBytes() + keptBytesOf(extra) } })
  const { share, owner, life } = world
  const { bob } = await newMember(world)
  const { entry, keys } = share.invite()
  await owner.appended(share.log, life, entry)
  assert.is(
    await codeOf(
      owner,
      share.log,
      life,
      share.draft(() => share.invite().entry)
    ),
    'LIMIT_STORAGE'
  )
  await owner.appended(share.log, life, share.write({ type: 'void', invite: keys.id }), share.remove(bob))
})

roomTest('the bytes of a log are bounded: a snapshot makes room, and what is there is acknowledged again', async () => {
  const size = makeShare(makeAccount('Ann'), dice(32)).update(new Uint8Array(4000)).bytes.length
  const { create } = makeShare(makeAccount('Ann'), dice(32))
  const world = await newWorld({ limits: { logBytes: create.bytes.length + 3 * size } })
  const { share, owner, life, ann } = world
  const updates = Array.from({ length: 3 }, () => share.update(new Uint8Array(4000)))
  await owner.appended(share.log, life, ...updates)
  assert.is(
    await codeOf(
      owner,
      share.log,
      life,
      share.draft(() => share.update())
    ),
    'LIMIT_STORAGE'
  )
  await owner.appended(share.log, life, ...updates.slice(0, 1))
  const last = updates.at(-1)
  assert.ok(last)
  const cover: Cover = { author: ann.device.id, ctr: 3, id: last.id }
  const snapshot = share.snapshot([cover])
  assert.ok(snapshot.bytes.length < SNAPSHOT_RESERVE_BYTES)
  await owner.appended(share.log, life, snapshot)
  await owner.appended(share.log, life, share.update(new Uint8Array(4000)))
})

roomTest('a log has so many documents that are not dropped; those that are there go on', async () => {
  const world = await newWorld({ limits: { logDocuments: 2 } })
  const { share, life } = world
  const [first, second, third] = [randomDocument(), randomDocument(), randomDocument()]
  await world.owner.appended(share.log, life, share.update('first', first), share.update('second', second))
  const isFull = async () => {
    for (const write of [() => share.update('third', third), () => share.snapshot([], 'third', third)]) {
      assert.is(await codeOf(world.owner, share.log, life, share.draft(write)), 'LIMIT_STORAGE')
    }
  }
  await isFull()
  await world.restart()
  await isFull()
  await world.owner.appended(share.log, life, share.update('more', first), share.drop(randomDocument()))
  await isFull()
  await world.owner.appended(share.log, life, share.drop(second), share.update('third', third))
  await world.restart()
  assert.is(
    await codeOf(
      world.owner,
      share.log,
      life,
      share.draft(() => share.update('fourth'))
    ),
    'LIMIT_STORAGE'
  )
})

roomTest('an account creates so many logs, then one a minute; others are not held up', async () => {
  let offsetMs = 0
  const clock = () => Date.now() + offsetMs
  const relay = await start(await newData(), { clock, limits: { createBurst: 2 } })
  const ann = makeAccount('Ann')
  const client = await connectRaw(relay.url, ann.device)
  const shares = Array.from({ length: 4 }, () => makeShare(ann, relay.key))
  const [first, second, third, fourth] = shares
  assert.ok(first && second && third && fourth)
  await client.appended(first.log, UNSEEN, first.create)
  const life = lifeOf(await client.appended(second.log, UNSEEN, second.create))
  client.append(third.log, UNSEEN, third.create)
  const refused = await client.refused(third.log)
  assert.is(refused.code, 'RATE_LIMITED')
  assert.ok(refused.retryAfterMs !== null && refused.retryAfterMs > 50_000 && refused.retryAfterMs <= 60_000)
  await client.appended(second.log, life, second.create, second.update())
  const bob = makeAccount('Bob')
  const other = await connectRaw(relay.url, bob.device)
  const his = makeShare(bob, relay.key)
  await other.appended(his.log, UNSEEN, his.create)
  offsetMs = 60_000
  await client.appended(third.log, UNSEEN, third.create)
  client.send({ type: 'offer', log: fourth.log, incarnation: UNSEEN, entries: [fourth.create.bytes] })
  assert.is((await client.refused(fourth.log)).code, 'RATE_LIMITED', 'nor by an offer')
})

roomTest('one address creates so many logs, of however many accounts', async () => {
  const relay = await start(await newData(), { limits: { networkCreateBurst: 3 } })
  const attempt = async () => {
    const account = makeAccount()
    const client = await connectRaw(relay.url, account.device)
    const { log, create } = makeShare(account, relay.key)
    client.append(log, UNSEEN, create)
    return Promise.race([client.take('ack', log).then(() => 'ack'), client.refused(log).then(({ code }) => code)])
  }
  assert.equal(
    [await attempt(), await attempt(), await attempt(), await attempt()],
    ['ack', 'ack', 'ack', 'RATE_LIMITED']
  )
})

roomTest('each offer of someone without a part counts for its address, whether the log exists or not', async () => {
  const { share, relay, owner, life } = await newWorld({ limits: { networkCreateBurst: 3 } })
  const eve = makeAccount('Eve')
  const client = await connectRaw(relay.url, eve.device)
  const other = makeShare(makeAccount('Bob'), relay.key)
  const attempt = async ({ log, create }: typeof share) => {
    client.send({ type: 'offer', log, incarnation: UNSEEN, entries: [create.bytes] })
    return (await client.refused(log)).code
  }
  // Ann's create was the first.
  assert.equal([await attempt(share), await attempt(other)], ['NO_ACCESS', 'NO_ACCESS'])
  assert.equal([await attempt(share), await attempt(other)], ['RATE_LIMITED', 'RATE_LIMITED'])
  owner.send({ type: 'offer', log: share.log, incarnation: life, entries: [share.create.bytes] })
  assert.is((await owner.refused(share.log)).code, 'INCARNATION', 'who has a part pays nothing')
})

roomTest('an account keeps so many logs in use, over all its connections; the same log counts once', async () => {
  const relay = await start(await newData(), { limits: { logsPerAccount: 2 } })
  const ann = makeAccount('Ann')
  const [one, two] = [await connectRaw(relay.url, ann.device), await connectRaw(relay.url, ann.device)]
  const shares = Array.from({ length: 3 }, () => makeShare(ann, relay.key))
  for (const { log, create } of shares) await one.appended(log, UNSEEN, create)
  const [a, b, c] = shares.map(({ log }) => log)
  assert.ok(a && b && c)
  await one.followed(a)
  await two.followed(b)
  await two.followed(a)
  one.follow(c)
  assert.is((await one.refused(c)).code, 'LIMIT_SUBSCRIPTIONS')
  one.send({ type: 'unfollow', log: a })
  one.follow(c)
  assert.is((await one.refused(c)).code, 'LIMIT_SUBSCRIPTIONS', 'the other connection is still there')
  await two.close()
  await one.followed(b)
  await one.followed(c)
})

roomTest('one address keeps so many logs in use, of however many accounts', async () => {
  const relay = await start(await newData(), { limits: { logsPerNetwork: 2 } })
  const follower = async () => {
    const account = makeAccount()
    const client = await connectRaw(relay.url, account.device)
    const { log, create } = makeShare(account, relay.key)
    await client.appended(log, UNSEEN, create)
    return { client, log }
  }
  const [ann, bob, cid] = [await follower(), await follower(), await follower()]
  await ann.client.followed(ann.log)
  await bob.client.followed(bob.log)
  cid.client.follow(cid.log)
  assert.is((await cid.client.refused(cid.log)).code, 'LIMIT_SUBSCRIPTIONS')
  await ann.client.close()
  await cid.client.followed(cid.log)
})

roomTest.run()
