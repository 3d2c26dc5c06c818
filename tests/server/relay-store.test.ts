/** What the relay does when its store fails: one log that is damaged, a disk that is gone, another relay that was first. */

import { join } from 'node:path'
import { decodeHead, hex, incarnation, type LogId } from '@lend/engine'
import { type LogStore, openLevelStore, StoreCorrupt, StoreError } from '@lend/server'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { connectRaw, dice, makeAccount, makeShare, randomDocument, UNSEEN } from './raw-client.ts'
import { closeWorlds, newData, newMember, newWorld, start, tail } from './world.ts'

const storeTest = describe('relay store')
storeTest.after.each(closeWorlds)

/** A store with faults: what is in `faults` is thrown instead of done. */
async function faulty(
  data: string
): Promise<{ store: LogStore; faults: { read?: Error; append?: Error; log?: LogId } }> {
  const inner = await openLevelStore({ path: join(data, 'store'), dice })
  const faults: { read?: Error; append?: Error; log?: LogId } = {}
  const hits = (log: LogId) => !faults.log || hex(faults.log) === hex(log)
  const store: LogStore = {
    append: (log, entries, expected) =>
      faults.append && hits(log) ? Promise.reject(faults.append) : inner.append(log, entries, expected),
    async *read(log, after, follow) {
      if (faults.read && hits(log)) throw faults.read
      yield* inner.read(log, after, follow)
    },
    forget: (log, seqs) => inner.forget(log, seqs),
    drop: log => inner.drop(log),
    head: log => inner.head(log),
    close: () => inner.close()
  }
  return { store, faults }
}

storeTest('a damaged log is refused with STORE_CORRUPT to everyone, and the others go on', async () => {
  const data = await newData()
  const { store, faults } = await faulty(data)
  const relay = await start(data, { store })
  const ann = makeAccount('Ann')
  const [broken, sound] = [makeShare(ann, relay.key), makeShare(ann, relay.key)]
  const client = await connectRaw(relay.url, ann.device)
  const life = incarnation(decodeHead(await client.appended(broken.log, UNSEEN, broken.create)).incarnation.slice())
  await client.appended(sound.log, UNSEEN, sound.create)
  faults.log = broken.log
  faults.read = new StoreCorrupt(broken.log, 'a record has the wrong checksum')
  await client.followed(broken.log)
  assert.is((await client.refused(broken.log)).code, 'STORE_CORRUPT', 'found while it was read')
  client.append(broken.log, life, broken.update())
  const refused = await client.refused(broken.log)
  assert.is(refused.code, 'STORE_CORRUPT')
  assert.ok(refused.entry)
  const stranger = await connectRaw(relay.url, makeAccount().device)
  stranger.follow(broken.log)
  assert.is((await stranger.refused(broken.log)).code, 'STORE_CORRUPT')
  assert.is((await client.followed(sound.log)).standing, 'owner')
})

storeTest('a write that fails acknowledges nothing, and is fatal', async () => {
  const data = await newData()
  const { store, faults } = await faulty(data)
  let fatal: (error: Error) => void = () => {}
  const failed = new Promise<Error>(done => {
    fatal = done
  })
  const relay = await start(data, { store, onFatal: error => fatal(error) })
  const ann = makeAccount('Ann')
  const share = makeShare(ann, relay.key)
  const client = await connectRaw(relay.url, ann.device)
  faults.append = new StoreError('STORE_FAILED', 'the disk is gone')
  client.append(share.log, UNSEEN, share.create)
  assert.is(await failed, faults.append)
  assert.not(client.seen.some(({ type }) => type === 'ack'))
})

storeTest('an entry that loses against another relay of the same store is judged again and taken', async () => {
  const data = await newData()
  const { store } = await faulty(data)
  const relay = await start(data, { store })
  const ann = makeAccount('Ann')
  const share = makeShare(ann, relay.key)
  const client = await connectRaw(relay.url, ann.device)
  const life = incarnation(decodeHead(await client.appended(share.log, UNSEEN, share.create)).incarnation.slice())
  const following = await client.followed(share.log)
  await client.readTo(share.log, decodeHead(following.head).seq)
  // The other relay took an entry of the same owner, which this one does not know of.
  const [theirs, ours] = [share.update('theirs', randomDocument()), share.update('ours')]
  const head = decodeHead(following.head)
  const record = { seq: 2, timeMs: head.timeMs, runningHash: dice(32), bytes: theirs.bytes }
  await store.append(share.log, [record], 1)
  assert.is(decodeHead(await client.appended(share.log, life, ours)).seq, 3)
  const placed = await client.readTo(share.log, 3)
  assert.equal(placed.map(tail), [theirs, ours].map(tail))
})

storeTest('a log that nobody uses is folded anew when someone comes', async () => {
  const world = await newWorld({ limits: { idleLogs: 0 } })
  const { share, owner, life, relay } = world
  const { bob, client } = await newMember(world)
  await owner.appended(share.log, life, share.update())
  await client.close()
  const other = await connectRaw(relay.url, bob.device)
  const following = await other.followed(share.log)
  assert.is(following.standing, 'member')
  assert.is(following.entriesTotal, 4)
  assert.is(relay.metrics().hostedLogs, 1)
})

storeTest.run()
