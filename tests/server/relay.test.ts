/** The relay over real sockets: what it takes, to whom it gives what, and in which order. */
import {
  concat,
  decodeEntry,
  decodeHead,
  decodeStatement,
  type Entry,
  hex,
  incarnation,
  inviteKeys,
  logId,
  sealUpdate
} from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import {
  accessEntry,
  addDevice,
  connectRaw,
  dice,
  libraryEntry,
  makeAccount,
  makeShare,
  NO_HEAD,
  randomDocument,
  suite,
  UNSEEN
} from './raw-client.ts'
import { bytesOf, closeWorlds, newMember, newWorld, tail } from './world.ts'

const relayTest = describe('relay')
relayTest.after.each(closeWorlds)

relayTest('an entry is acknowledged to its author, then forwarded to every reader', async () => {
  const world = await newWorld()
  const { share, owner, life } = world
  const { client } = await newMember(world)
  const following = await owner.followed(share.log)
  assert.is(following.standing, 'owner')
  await owner.readTo(share.log, decodeHead(following.head).seq)
  const update = share.update()
  const before = owner.seen.length
  const head = await owner.appended(share.log, life, update)
  const [placed] = await owner.read(share.log, 1)
  assert.equal(
    owner.seen.slice(before).map(({ type }) => type),
    ['ack', 'entries']
  )
  assert.is(tail(placed ?? update), tail(update))
  assert.is(decodeHead(head).seq, placed?.seq)
  const [seen] = await client.read(share.log, 1)
  assert.equal(seen, placed)
})

relayTest(
  'a reader from the beginning gets access entries, then share.doc, then the rest, and its cursor last',
  async () => {
    const world = await newWorld()
    const { share, owner, life } = world
    const other = share.update('a camera', randomDocument())
    const first = share.update('manifest')
    const { entry: invite } = share.invite()
    const second = share.update('manifest again')
    await owner.appended(share.log, life, other, first, invite, second)
    const following = await owner.followed(share.log)
    assert.is(following.from, 0)
    assert.is(following.entriesTotal, 5)
    const bytes = [share.create, invite, first, second, other]
    assert.is(
      following.bytesTotal,
      bytes.reduce((sum, entry) => sum + entry.bytes.length, 0)
    )
    const placed = await owner.read(share.log, 5)
    assert.equal(placed.map(tail), bytes.map(tail))
    await owner.settle()
    const cursors = owner.seen.flatMap(frame => (frame.type === 'entries' ? [frame.upTo] : []))
    assert.is(cursors.at(-1), decodeHead(following.head).seq)
    assert.ok(cursors.slice(0, -1).every((cursor, i) => cursor <= (cursors[i + 1] ?? 0)))
  }
)

relayTest('a reader with a cursor gets the access entries after it first, then the data', async () => {
  const world = await newWorld()
  const { share, owner, life } = world
  const head = decodeHead(await owner.appended(share.log, life, share.update()))
  const data = share.update()
  const { entry: invite } = share.invite()
  await owner.appended(share.log, life, data, invite)
  const following = await owner.followed(share.log, { cursor: { incarnation: life, seq: head.seq } })
  assert.is(following.from, head.seq)
  assert.is(following.entriesTotal, 2)
  assert.equal((await owner.read(share.log, 2)).map(tail), [tail(invite), tail(data)])
})

relayTest('a removal cuts the member in the same turn, and nothing comes after it', async () => {
  const world = await newWorld()
  const { share, owner, life } = world
  const { bob, client } = await newMember(world)
  const before = share.update('the last that Bob sees')
  const removal = share.remove(bob)
  const after = share.update('not for Bob')
  await owner.appended(share.log, life, before, removal, after)
  await client.settle()
  const entries = bytesOf(client.seen)
  assert.equal(entries.slice(-2), [tail(before), tail(removal)])
  assert.not(entries.includes(tail(after)))
})

relayTest('a former member is shown its removal on every contact, for ever, and nothing else', async () => {
  const world = await newWorld()
  const { share, owner, life } = world
  const { bob, client } = await newMember(world)
  const cursor = { incarnation: life, seq: decodeHead(await owner.appended(share.log, life, share.update())).seq }
  await client.close()
  const unseen = share.update()
  const removal = share.remove(bob)
  await owner.appended(share.log, life, unseen, removal, share.update(), share.invite().entry)
  for (const restarts of [false, true]) {
    if (restarts) await world.restart()
    const again = await connectRaw(world.relay.url, bob.device)
    const following = await again.followed(share.log, { cursor })
    assert.is(following.standing, 'former')
    assert.is(following.entriesTotal, 1)
    assert.is(hex(decodeHead(following.head).accessHead), hex(removal.id))
    assert.equal((await again.read(share.log, 1)).map(tail), [tail(removal)])
    await world.owner.appended(share.log, life, share.update())
    await again.settle()
    assert.equal(bytesOf(again.seen), [tail(removal)])
    again.append(share.log, life, accessEntry(share.log, share.list.head, bob.device, { type: 'leave' }))
    assert.is((await again.refused(share.log)).code, 'NO_ACCESS')
  }
})

relayTest('who holds an open invite sees the access entries and no data, and is cut when the invite dies', async () => {
  const world = await newWorld()
  const { share, owner, life, relay } = world
  const update = share.update()
  const { entry, keys } = share.invite()
  await owner.appended(share.log, life, update, entry)
  const guest = await connectRaw(relay.url, makeAccount().device)
  const following = await guest.followed(share.log, { invite: keys })
  assert.is(following.standing, 'invited')
  assert.is(following.entriesTotal, 2)
  const hidden = share.update()
  const other = share.invite().entry
  await owner.appended(share.log, life, hidden, other)
  assert.equal((await guest.read(share.log, 3)).map(tail), [share.create, entry, other].map(tail))
  const voided = share.write({ type: 'void', invite: keys.id })
  await owner.appended(share.log, life, voided)
  assert.is((await guest.refused(share.log)).code, 'INVITE_VOID')
  assert.is(bytesOf(guest.seen).length, 4)
  guest.follow(share.log, { invite: keys })
  assert.is((await guest.refused(share.log)).code, 'INVITE_VOID')
})

relayTest('an offer with a forged part is answered alike by a log that exists and by one that does not', async () => {
  const { relay } = await newWorld()
  const [held, other] = [makeAccount('Ann'), makeAccount('Ben')]
  const client = await connectRaw(relay.url, held.device)
  await client.appended(logId(held.account), UNSEEN, held.create)
  const eve = makeAccount('Eve')
  const stranger = await connectRaw(relay.url, eve.device)
  const forged = ({ header, payload }: Entry) => decodeEntry(suite, concat(header, payload, dice(64)))
  const answers: string[] = []
  for (const of of [held, other]) {
    const log = logId(of.account)
    const keys = inviteKeys(suite, dice(32))
    const invite = forged(libraryEntry(of, of.create.id, { keys }))
    const join = { type: 'join-library', proof: dice(64), deviceSealingKey: dice(32), box: dice(80) } as const
    const joining = forged(accessEntry(log, invite.id, eve.device, { ...join, invite: keys.id }))
    for (const life of [UNSEEN, incarnation(dice(16))]) {
      const entries = [of.create, invite, joining].map(({ bytes }) => bytes)
      stranger.send({ type: 'offer', log, incarnation: life, entries })
      answers.push((await stranger.refused(log)).code)
    }
  }
  assert.equal(answers, ['NO_ACCESS', 'NO_ACCESS', 'NO_ACCESS', 'NO_ACCESS'])
})

relayTest('a stranger can not tell a log that exists from one that does not', async () => {
  const world = await newWorld()
  const { share, relay, ann } = world
  const answers: string[][] = []
  const otherLife = incarnation(dice(16))
  for (const asked of [share, makeShare(ann, relay.key)]) {
    const { log } = asked
    const stranger = makeAccount()
    const client = await connectRaw(relay.url, stranger.device)
    const mine = makeShare(stranger, relay.key)
    const { keys } = asked.invite()
    const answered: string[] = []
    // All but the ids that were asked about.
    const next = async () => {
      const { code, sentence, retryAfterMs, top, entry } = await client.refused(log)
      answered.push(JSON.stringify({ code, sentence, retryAfterMs, top, isEntry: entry !== null }))
    }
    client.follow(log)
    await next()
    client.follow(log, { invite: keys })
    await next()
    const forged = accessEntry(log, NO_HEAD, stranger.device, decodeStatement(mine.create.payload))
    const data = sealUpdate(
      suite,
      { ...mine.update(), kind: 'update', log },
      new Uint8Array(8),
      { dataKey: new Uint8Array(32), secretKey: stranger.device.signing.secretKey },
      dice
    )
    for (const entry of [asked.create, mine.create, forged, data, asked.join(stranger, keys)]) {
      for (const life of [UNSEEN, otherLife]) {
        client.append(log, life, entry)
        await next()
      }
    }
    client.send({ type: 'offer', log, incarnation: UNSEEN, entries: [mine.create.bytes] })
    await next()
    client.send({ type: 'ready', log, incarnation: UNSEEN })
    await next()
    client.receipt(log, asked.create.id)
    await next()
    client.send({ type: 'receipts-stored', log, devices: [] })
    await next()
    answers.push(answered)
  }
  assert.equal(answers[0], answers[1])
})

relayTest('a restart keeps every entry and who has which standing', async () => {
  const world = await newWorld()
  const { share, owner, life } = world
  const { bob } = await newMember(world)
  const update = share.update()
  await owner.appended(share.log, life, update)
  const before = await owner.followed(share.log)
  const placed = await owner.read(share.log, before.entriesTotal)
  await world.restart()
  const after = await world.owner.followed(share.log)
  assert.is(hex(after.incarnation), hex(life))
  assert.is(after.entriesTotal, before.entriesTotal)
  assert.is(hex(decodeHead(after.head).runningHash), hex(decodeHead(before.head).runningHash))
  assert.equal(await world.owner.read(share.log, after.entriesTotal), placed)
  const client = await connectRaw(world.relay.url, bob.device)
  assert.is((await client.followed(share.log)).standing, 'member')
  const again = await world.owner.appended(share.log, life, update)
  assert.is(decodeHead(again).seq, decodeHead(after.head).seq)
})

relayTest('a device that the share does not know yet is served by the proof of its account', async () => {
  const world = await newWorld()
  const { share, owner, life, relay } = world
  const { bob } = await newMember(world)
  const { account: second, entries } = addDevice(bob)
  const accountProof = entries.map(({ bytes }) => bytes)
  const client = await connectRaw(relay.url, second.device)
  client.follow(share.log, { accountProof: accountProof.slice(0, 2) })
  assert.is((await client.refused(share.log)).code, 'NO_ACCESS', 'the proof does not reach to this device')
  const following = await client.followed(share.log, { accountProof })
  assert.is(following.standing, 'member')
  await client.readTo(share.log, decodeHead(following.head).seq)
  const account = share.write({ type: 'account', account: bob.account, entries: accountProof.slice(1) }, second.device)
  await client.appended(share.log, life, account)
  await client.readTo(share.log, decodeHead(following.head).seq + 1)
  const removal = share.remove(bob)
  await owner.appended(share.log, life, removal, share.update())
  await client.settle()
  assert.is(bytesOf(client.seen).at(-1), tail(removal))
})

relayTest(
  'a relay that holds a library refuses what a device says in its name that the account has put out',
  async () => {
    const world = await newWorld()
    const { share, owner, life, relay } = world
    const bob = makeAccount('Bob')
    const { account: second, entries } = addDevice(bob)
    const library = logId(bob.account)
    const first = await connectRaw(relay.url, bob.device)
    const [create, invite, joinLibrary] = entries
    assert.ok(create && invite && joinLibrary)
    const libraryLife = incarnation(
      decodeHead(await first.appended(library, UNSEEN, create, invite)).incarnation.slice()
    )
    const client = await connectRaw(relay.url, second.device)

    const opened = share.invite()
    await owner.appended(share.log, life, opened.entry)
    await client.followed(share.log, { invite: opened.keys })
    const early = share.join(second, opened.keys, entries)
    client.append(share.log, life, early)
    assert.is((await client.refused(share.log)).code, 'BAD_PROOF', 'its library does not have that device')

    // Not invited to the library in this session, but its owner may pass it on.
    const remove = accessEntry(library, invite.id, bob.device, { type: 'leave' })
    await first.appended(library, libraryLife, remove)
    const opening = await connectRaw(relay.url, bob.device)
    await opening.followed(share.log, { invite: opened.keys })
    opening.append(share.log, life, share.join(bob, opened.keys))
    assert.is((await opening.refused(share.log)).code, 'DEVICE_REMOVED')
  }
)

relayTest(
  'what a library says counts also while it is asked for itself, from the first moment after a start',
  async () => {
    const world = await newWorld()
    const bob = makeAccount('Bob')
    const library = logId(bob.account)
    const before = await connectRaw(world.relay.url, bob.device)
    const life = incarnation(decodeHead(await before.appended(library, UNSEEN, bob.create)).incarnation.slice())
    await before.appended(library, life, accessEntry(library, bob.create.id, bob.device, { type: 'leave' }))
    await world.restart()
    const client = await connectRaw(world.relay.url, bob.device)
    const share = makeShare(bob, world.relay.key)
    client.follow(library)
    client.append(share.log, UNSEEN, share.create)
    assert.is((await client.refused(share.log)).code, 'DEVICE_REMOVED')
  }
)

relayTest('a stopped share keeps its access entries and nothing else', async () => {
  const world = await newWorld()
  const { share, owner, life } = world
  const { client } = await newMember(world)
  const update = share.update()
  const stop = share.write({ type: 'stop' })
  await owner.appended(share.log, life, update, stop)
  assert.equal((await client.read(share.log, 2)).map(tail), [update, stop].map(tail))
  for (const restarts of [false, true]) {
    if (restarts) await world.restart()
    const following = await world.owner.followed(share.log)
    assert.is(following.entriesTotal, share.entries.length)
    const placed = await world.owner.readTo(share.log, decodeHead(following.head).seq)
    assert.equal(placed.map(tail), share.entries.map(tail))
  }
})

relayTest('one connection follows so many logs and no more', async () => {
  const world = await newWorld({ limits: { subscriptions: 1 } })
  const { owner, share, ann, relay } = world
  const other = makeShare(ann, relay.key)
  await owner.appended(other.log, UNSEEN, other.create)
  await owner.followed(share.log)
  await owner.followed(share.log)
  owner.follow(other.log)
  assert.is((await owner.refused(other.log)).code, 'LIMIT_SUBSCRIPTIONS')
  owner.send({ type: 'unfollow', log: share.log })
  // Answered by the same log, so after the unfollow.
  owner.append(share.log, UNSEEN, share.create)
  await owner.take('ack', share.log)
  assert.is((await owner.followed(other.log)).standing, 'owner')
})

relayTest.run()
