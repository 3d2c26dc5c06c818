/** No request holds the relay: what is much goes over several turns of the event loop, and others are answered between. */
import {
  authorShare,
  concat,
  decodeEntry,
  type Entry,
  type Frame,
  inviteKeys,
  type LogId,
  limits,
  logId,
  shareLogId
} from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { newCore, PlayedPeer } from './played-peer.ts'
import {
  accessEntry,
  dice,
  libraryEntry,
  makeAccount,
  makeShare,
  NO_HEAD,
  type RawAccount,
  type RawShare,
  suite,
  UNSEEN
} from './raw-client.ts'
import { closeWorlds } from './world.ts'

const turnsTest = describe('relay turns')
turnsTest.after.each(closeWorlds)

/** A relay whose turns are counted. */
async function newRelay() {
  const counted = { turns: 0 }
  const { core, close } = await newCore(() => 1_000_000, {
    limits: { socketBufferBytes: 64 * 1024 * 1024, idleLogs: 0 },
    async nextTurn() {
      await new Promise(setImmediate)
      counted.turns++
    }
  })
  const connect = async (device: RawAccount['device']) => {
    const { sessions } = core.metrics()
    const peer = new PlayedPeer(core, device)
    await peer.until(() => core.metrics().sessions > sessions)
    return peer
  }
  return { core, close, counted, connect }
}

function append(log: LogId, ...entries: readonly Entry[]): Frame {
  return { type: 'append', log, incarnation: UNSEEN, entries: entries.map(({ bytes }) => bytes) }
}

function follow(log: LogId): Frame {
  return { type: 'follow', log, cursor: null, head: null, invite: null, accountProof: [] }
}

/** The owner's own statements, signed. */
function leases(share: RawShare, count: number): Entry[] {
  const entries = Array.from({ length: count }, () => share.write({ type: 'lease', leaseMs: 3_600_000 }))
  return [share.create, ...entries]
}

/** How many frames `peer` had when `other` got its first of a type. */
async function seenBefore(peer: PlayedPeer, other: PlayedPeer, type: Frame['type']): Promise<number> {
  const before = peer.seen.length
  await other.until(() => other.count(type) > 0)
  return peer.seen.length - before
}

turnsTest('a cold log is folded over several turns, and another is opened in between', async () => {
  const { close, counted, connect } = await newRelay()
  const [ann, bob] = [makeAccount('Ann'), makeAccount('Bob')]
  const long = makeShare(ann, dice(32))
  const short = makeShare(bob, dice(32))
  const [owner, other] = [await connect(ann.device), await connect(bob.device)]
  owner.ask({
    type: 'offer',
    log: long.log,
    incarnation: UNSEEN,
    entries: leases(long, 1300).map(({ bytes }) => bytes)
  })
  await owner.until(() => owner.count('ack') === 1)
  other.ask(append(short.log, short.create))
  await other.until(() => other.count('ack') === 1)
  const before = counted.turns
  owner.ask(follow(long.log))
  other.ask(follow(short.log))
  assert.is(await seenBefore(owner, other, 'following'), 0, 'the short one first')
  await owner.until(() => owner.count('following') === 1)
  assert.ok(counted.turns - before > 3, `${counted.turns - before} turns`)
  await close()
})

turnsTest('a long offer is verified over several turns, and another connection is answered in between', async () => {
  const { close, counted, connect } = await newRelay()
  const ann = makeAccount('Ann')
  const share = makeShare(ann, dice(32))
  const entries = leases(share, 800)
  const [owner, other] = [await connect(ann.device), await connect(makeAccount('Bob').device)]
  const before = counted.turns
  owner.ask({ type: 'offer', log: share.log, incarnation: UNSEEN, entries: entries.map(({ bytes }) => bytes) })
  other.ask(follow(logId(dice(32))))
  assert.is(await seenBefore(owner, other, 'refused'), 0)
  await owner.until(() => owner.count('ack') === 1)
  assert.ok(counted.turns - before > 5, `${counted.turns - before} turns`)
  await close()
})

turnsTest('a create with a long proof is judged over several turns, and another is answered in between', async () => {
  const { close, counted, connect } = await newRelay()
  const ann = makeAccount('Ann')
  const proof = [ann.create]
  while (proof.length < limits.LIBRARY_ENTRIES_MAX) proof.push(libraryEntry(ann, proof.at(-1)?.id ?? NO_HEAD))
  const [nonce, relayKey, epochKey] = [dice(32), dice(32), dice(32)]
  const log = shareLogId(suite, ann.account, nonce)
  const owned = { log, nonce, owner: ann.library, proof: proof.map(({ bytes }) => bytes), leaseMs: null, name: 'Ann' }
  const statement = authorShare(suite, { ...owned, relayKey, epochKey }, dice)
  const [owner, other] = [await connect(ann.device), await connect(makeAccount('Bob').device)]
  const before = counted.turns
  owner.ask(append(log, accessEntry(log, NO_HEAD, ann.device, statement)))
  other.ask(follow(logId(dice(32))))
  assert.is(await seenBefore(owner, other, 'refused'), 0)
  await owner.until(() => owner.count('ack') === 1)
  assert.ok(counted.turns - before > 5, `${counted.turns - before} turns`)
  await close()
})

/** A library's own entries that nobody has signed, as a chain. */
function unsigned(of: RawAccount, count: number): Entry[] {
  const chain = [of.create]
  while (chain.length < count) {
    const { header, payload } = libraryEntry(of, chain.at(-1)?.id ?? NO_HEAD)
    chain.push(decodeEntry(suite, concat(header, payload, dice(64))))
  }
  return chain
}

turnsTest(
  'an offer is charged for the proofs that it carries, and read no further than a create that is none',
  async () => {
    const { close, counted, connect } = await newRelay()
    const [ann, eve] = [makeAccount('Ann'), makeAccount('Eve')]
    const share = makeShare(ann, dice(32))
    const [owner, other] = [await connect(ann.device), await connect(eve.device)]
    owner.ask(append(share.log, share.create))
    await owner.until(() => owner.count('ack') === 1)
    const MANY = 20
    const turnsOf = async (log: LogId, entry: Entry) => {
      const [before, refused] = [counted.turns, other.count('refused')]
      other.ask({ type: 'offer', log, incarnation: UNSEEN, entries: Array.from({ length: MANY }, () => entry.bytes) })
      await other.until(() => other.count('refused') > refused)
      return counted.turns - before
    }
    const proof = unsigned(eve, 300)
    const joining = share.join(eve, inviteKeys(suite, dice(32)), proof)
    const turns = await turnsOf(share.log, joining)
    assert.ok(turns > MANY / 2, `${turns} turns: each is the work of one`)

    const nonce = dice(32)
    const none = { log: shareLogId(suite, eve.account, nonce), nonce, owner: eve.library, leaseMs: null, name: 'Eve' }
    const statement = authorShare(
      suite,
      { ...none, proof: proof.map(({ bytes }) => bytes), relayKey: dice(32), epochKey: dice(32) },
      dice
    )
    const create = accessEntry(none.log, NO_HEAD, ann.device, statement)
    const first = await turnsOf(none.log, create)
    assert.ok(first < MANY / 2, `${first} turns: the first is no create of hers`)
    await close()
  }
)

turnsTest('who asks a log for the same again and again waits for itself, and its owner is served between', async () => {
  const { close, connect } = await newRelay()
  const ann = makeAccount('Ann')
  const share = makeShare(ann, dice(32))
  const [owner, eve] = [await connect(ann.device), await connect(makeAccount('Eve').device)]
  owner.ask(append(share.log, share.create))
  await owner.until(() => owner.count('ack') === 1)
  const MANY = 100
  for (let i = 0; i < MANY; i++) eve.ask(follow(share.log))
  owner.ask(append(share.log, share.create, share.update()))
  await owner.until(() => owner.count('ack') > 1)
  assert.ok(eve.count('refused') < MANY / 2, `${eve.count('refused')} of ${MANY} came first`)
  await eve.until(() => eve.count('refused') === MANY)
  await close()
})

turnsTest('an entry that comes in is read once, whatever it is', async () => {
  const [ann, eve] = [makeAccount('Ann'), makeAccount('Eve')]
  const share = makeShare(ann, dice(32))
  const entries = [share.create, share.update()]
  const hash = suite.hash
  let read = 0
  Object.assign(suite, {
    hash(...o: Parameters<typeof hash>) {
      if (o[0] === 'payload') read++
      return hash(...o)
    }
  })
  const COUNT = 10
  try {
    const { close, connect } = await newRelay()
    const peer = await connect(eve.device)
    for (const [i, entry] of entries.entries()) {
      peer.ask({
        type: 'append',
        log: logId(dice(32)),
        incarnation: UNSEEN,
        entries: Array.from({ length: COUNT }, () => entry.bytes)
      })
      await peer.until(() => peer.count('refused') === (i + 1) * COUNT)
      assert.is(read, (i + 1) * COUNT)
    }
    await close()
  } finally {
    Object.assign(suite, { hash })
  }
})

turnsTest('a create is judged once, with its proof', async () => {
  const ann = makeAccount('Ann')
  const share = makeShare(ann, dice(32))
  const hash = suite.hash
  let read = 0
  Object.assign(suite, {
    hash(...o: Parameters<typeof hash>) {
      if (o[0] === 'payload') read++
      return hash(...o)
    }
  })
  try {
    const { close, connect } = await newRelay()
    const owner = await connect(ann.device)
    owner.ask(append(share.log, share.create))
    await owner.until(() => owner.count('ack') === 1)
    assert.is(read, 3, 'the create; then the one entry of its proof, in turns of its own and for the judge')
    await close()
  } finally {
    Object.assign(suite, { hash })
  }
})

turnsTest('a stranger’s offer is refused before a signature of it is verified', async () => {
  const { close, connect } = await newRelay()
  const share = makeShare(makeAccount('Ann'), dice(32))
  const entries = leases(share, 50).map(({ bytes }) => bytes)
  const verify = suite.verify
  let verified = 0
  const eve = await connect(makeAccount('Eve').device)
  Object.assign(suite, {
    verify(...o: Parameters<typeof verify>) {
      verified++
      return verify(...o)
    }
  })
  try {
    eve.ask({ type: 'offer', log: share.log, incarnation: UNSEEN, entries })
    await eve.until(() => eve.count('refused') === 1)
    assert.is(verified, 0)
  } finally {
    Object.assign(suite, { verify })
  }
  await close()
})

turnsTest.run()
