// limit: 60 s
/**
 * Every refusal that a relay can send, earned on a real socket. What is wrong with one connection or log is its alone: a
 * witness with a share of its own writes on after each. All that the relay answers here is kept, and searched at the end.
 */
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, Socket } from 'node:net'
import { basename, join } from 'node:path'
import {
  authorReset,
  type Cover,
  concat,
  type DeviceId,
  type DeviceKeys,
  dataKey,
  decodeEntry,
  decodeFrame,
  decodeHead,
  decodeStatement,
  deviceId,
  deviceKeys,
  type Entry,
  type EntryId,
  encodeFrame,
  encodeHeader,
  encodeStatement,
  entryId,
  type Frame,
  foldShare,
  hex,
  type Incarnation,
  type InviteKeys,
  incarnation,
  inviteId,
  joinProofParts,
  type LogId,
  limits,
  logId,
  NO_DOCUMENT,
  type Nonces,
  REFUSALS,
  Refusal,
  type RefusalCode,
  type Refused,
  rootKeys,
  SHARE_DOCUMENT,
  type Statement,
  sealUpdate,
  signEntry,
  signPeek,
  signReceipt,
  signSession
} from '@lend/engine'
import { type LogStore, loadRelayKeys, openLevelStore, type Relay, type RelayOptions, StoreCorrupt } from '@lend/server'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { type ClientOptions, WebSocket } from 'ws'
import {
  accessEntry,
  accountWriter,
  connectRaw,
  dice,
  libraryEntry,
  makeAccount,
  makeShare,
  NO_HEAD,
  type RawAccount,
  RawClient,
  type RawShare,
  randomDocument,
  suite,
  UNSEEN
} from './raw-client.ts'
import { closeWorlds, newData, newMember, start, type World } from './world.ts'

/** Codes of the table that no relay says over a socket, and why. Those with `tested` are earned in another test. */
const ELSEWHERE: Partial<Record<RefusalCode, { readonly why: string; readonly tested: boolean }>> = {
  FRAME_TOO_BIG: { why: 'the WebSocket edge has the same bound and closes with 1009 before', tested: true },
  STALLED: { why: 'its socket takes nothing, so it is cut without a word', tested: true },
  NO_LOG: { why: 'who has no standing in a log is told NO_ACCESS, whether it exists or not', tested: true },
  HEAD_AFTER: { why: 'for readers: at the relay every entry comes last', tested: true },
  PLAN_NEEDED: { why: 'nobody says it yet: this relay knows no plans', tested: false }
}

const badInput = describe('bad input')
const earned = new Set<RefusalCode>()
/** What the relays sent, by connection. */
const heard: Buffer[][] = []
/** Bytes that no relay may ever send. */
const secrets: Uint8Array[] = []
const taps = new Set<Server>()
const tapped = new Set<Socket>()
let clockMs = 0
let house: House

interface House {
  readonly data: string
  /** Its address is that of the tap. */
  readonly relay: Relay
  /** Someone else, with a share of its own, writes and is acknowledged on the connection it has had from the start. */
  goesOn(): Promise<void>
}

interface Answer {
  readonly code: RefusalCode
  readonly sentence: string
}

badInput.before(async () => {
  const data = await newData()
  house = await openHouse(data, {
    store: await breakable(data),
    clock: () => Date.now() + clockMs,
    origins: ['https://app.example'],
    limits: { receiptsPerLog: 1, subscriptions: 2 }
  })
})
badInput.after(async () => {
  for (const socket of tapped) socket.destroy()
  for (const tap of taps) tap.close()
  await closeWorlds()
})

/** One row: what earns the code, in a fresh share of Ann's. */
function earns(code: RefusalCode, what: string, earn: (world: World) => Promise<Answer>): void {
  badInput(`${code}: ${what}`, async () => {
    const answer = await earn(await lend(house))
    assert.is(answer.code, code, answer.sentence)
    isPlain(answer.sentence)
    earned.add(code)
    await house.goesOn()
  })
}

// --- bytes ---

earns('BAD_FRAME', 'each frame of a client, a byte short and a byte long', async world => {
  const { share, life } = world
  const { log } = share
  const receipt = receiptOf(world.ann, log, share.create.id)
  const frames: Frame[] = [
    { type: 'follow', log, cursor: { incarnation: life, seq: 1 }, head: null, invite: null, accountProof: [] },
    { type: 'unfollow', log },
    { type: 'append', log, incarnation: life, entries: [share.create.bytes] },
    { type: 'offer', log, incarnation: life, entries: [share.create.bytes] },
    { type: 'ready', log, incarnation: life },
    { type: 'receipts', log, receipts: [receipt] },
    { type: 'receipts-stored', log, devices: [world.ann.device.id] },
    { type: 'ping' }
  ]
  const long = frames.map(frame => concat(encodeFrame(frame), new Uint8Array(1)))
  const short = frames.map(frame => encodeFrame(frame).slice(0, -1))
  const answers = await Promise.all([...short, ...long].map(bytes => sessionRefused(world, bytes)))
  for (const { code, message } of answers) assert.is(code, 'BAD_FRAME', message)
  return answerOf(answers.at(-1))
})
earns('BAD_FRAME', 'a message of text', async world => {
  const client = await stranger(world)
  client.webSocket.send('hello')
  return answerOf((await client.closed).refusal)
})
earns('BAD_FRAME', 'a hello, a byte short', async world => unprovedRefused(world, hello().slice(0, -1)))
earns('UNKNOWN_VERSION', 'a hello of another protocol', async world => {
  const bytes = hello()
  bytes[1] = 2
  return unprovedRefused(world, bytes)
})
earns('UNKNOWN_FRAME', 'a frame of a type that is none', async world =>
  answerOf(await sessionRefused(world, Uint8Array.of(99)))
)
earns('UNEXPECTED_FRAME', 'a request before the handshake', async world =>
  unprovedRefused(world, encodeFrame({ type: 'ping' }))
)
earns('UNEXPECTED_FRAME', 'a frame of the other side', async world =>
  answerOf(await sessionRefused(world, encodeFrame({ type: 'welcome', timeMs: 0 })))
)
earns('BAD_ENTRY', 'an entry a byte short, and a byte long', async world => {
  const { bytes } = world.share.create
  await entryBytesRefused(world, bytes.slice(0, -1))
  return entryBytesRefused(world, concat(bytes, new Uint8Array(1)))
})
earns('BAD_ENTRY', 'a data entry without a ctr', async world => {
  const header = encodeHeader({ ...headerOf(world), kind: 'drop', ctr: 0 }, 0)
  return entryBytesRefused(world, concat(header, new Uint8Array(64)))
})
earns('BAD_ENTRY', 'a snapshot whose covers are cut off', async world => {
  const snapshot = signEntry(suite, { ...headerOf(world), kind: 'snapshot' }, Uint8Array.of(0, 3, 1), secretOf(world))
  return entryRefused(world.owner, world, snapshot)
})
earns('UNKNOWN_VERSION', 'an entry of another version', async world => entryBytesRefused(world, altered(world, 0, 2)))
earns('UNKNOWN_KIND', 'an entry of a kind that is none', async world => entryBytesRefused(world, altered(world, 1, 9)))
earns('BAD_FLAGS', 'an entry with a flag', async world => entryBytesRefused(world, altered(world, 3, 1)))
earns('ENTRY_TOO_BIG', 'a drop that carries a byte', async world =>
  entryBytesRefused(world, concat(encodeHeader({ ...headerOf(world), kind: 'drop' }, 1), new Uint8Array(1 + 64)))
)
earns(
  'BAD_STATEMENT',
  'a statement a byte long, one of no known number, and one that has no place in a share',
  async world => {
    const { share } = world
    const header = { ...headerOf(world), kind: 'access', document: NO_DOCUMENT, ctr: 0, epoch: 0 } as const
    const stop = encodeStatement({ type: 'stop' })
    for (const payload of [concat(stop, new Uint8Array(1)), Uint8Array.of(99), new Uint8Array(0)]) {
      const answer = await entryRefused(world.owner, world, signEntry(suite, header, payload, secretOf(world)))
      assert.is(answer.code, 'BAD_STATEMENT')
    }
    const joinLibrary = { invite: inviteId(dice(32)), proof: dice(64), deviceSealingKey: dice(32), box: dice(80) }
    const entry = access(world, { type: 'join-library', ...joinLibrary })
    assert.is(hex(entry.accessHead), hex(share.list.head))
    return entryRefused(world.owner, world, entry)
  }
)

// --- sessions ---

earns('BAD_AUTH', 'a proof by another key, by S + L, and by a key of small order', async world => {
  const [device, other] = [newDevice(), newDevice()]
  const lax = { ...device, id: deviceId(SMALL_ORDER) }
  await proofRefused(world, nonces =>
    proof(device.id, signSession(suite, { ...device, signing: other.signing }, nonces))
  )
  await proofRefused(world, nonces => proof(device.id, malleated(signSession(suite, device, nonces))))
  return proofRefused(world, () => proof(lax.id, SMALL_ORDER_SIGNATURE))
})
earns('BAD_AUTH', 'a proof that was good on another connection, after the same hello', async world => {
  const device = newDevice()
  const nonce = dice(32)
  const first = await greeted(world, nonce)
  const captured = proof(device.id, signSession(suite, device, first.nonces))
  first.webSocket.send(captured)
  assert.is((await nextFrame(first.webSocket)).type, 'welcome')
  return proofRefused(world, () => captured, nonce)
})
earns('HANDSHAKE_SLOW', 'who says nothing, who does not prove, and who never ends a frame', async world => {
  const silent = await stranger(world)
  const halfway = await stranger(world)
  socketOf(halfway).write(webSocketFrame(hello()).subarray(0, 20))
  const unproved = nextFrame((await greeted(world, dice(32))).webSocket)
  clockMs += limits.HANDSHAKE_MS_MAX
  const refused = await unproved
  if (refused.type !== 'refused') throw new Error(`answered with ${refused.type}`)
  const closed = await Promise.all([silent, halfway].map(client => client.closed))
  for (const { refusal } of closed) assert.is(refusal?.code, 'HANDSHAKE_SLOW')
  return answerTo(refused)
})
earns('FOREIGN_ORIGIN', 'a page of an origin that is not served', async ({ relay }) =>
  denied(relay.url, 403, { origin: 'https://evil.example' })
)
badInput('LIMIT_CONNECTIONS and RATE_LIMITED: an address that connects too much is denied at the upgrade', async () => {
  const narrow = await openHouse(await newData(), { limits: { connectionsPerAddress: 2 } })
  await connectRaw(narrow.relay.url, newDevice())
  const crowd = await denied(narrow.relay.url, 429)
  const slow = await openHouse(await newData(), { limits: { handshakesPerMinute: 2 } })
  await connectRaw(slow.relay.url, newDevice())
  const hasty = await denied(slow.relay.url, 429)
  assert.equal([crowd.code, hasty.code], ['LIMIT_CONNECTIONS', 'RATE_LIMITED'])
  for (const { code, sentence } of [crowd, hasty]) {
    isPlain(sentence)
    earned.add(code)
  }
  await Promise.all([narrow.goesOn(), slow.goesOn()])
})
earns('NO_ACCESS', 'whatever a stranger asks of a log', async world => {
  const { share, life } = world
  const eve = makeAccount('Eve')
  const client = await connectRaw(world.relay.url, eve.device)
  const incarnationOf = { log: share.log, incarnation: life }
  client.follow(share.log)
  client.send({ type: 'offer', ...incarnationOf, entries: [] })
  client.send({ type: 'ready', ...incarnationOf })
  client.receipt(share.log, share.create.id)
  client.send({ type: 'receipts-stored', log: share.log, devices: [eve.device.id] })
  for (let i = 0; i < 5; i++) assert.is((await client.refused(share.log)).code, 'NO_ACCESS')
  return entryRefused(client, world, data(world, { author: eve.device.id }, eve.device))
})
earns('RATE_LIMITED', 'a member that writes access entries one after the other', async world => {
  const { bob, client } = await newMember(world)
  const { share, life } = world
  const account = accountWriter(share, bob)
  for (let i = 0; i < 3; i++) await client.appended(share.log, life, account())
  return entryRefused(client, world, access(world, { type: 'leave' }, bob.device))
})
earns('LIMIT_SUBSCRIPTIONS', 'a third log on a connection that may follow two', async world => {
  const { owner, ann, relay } = world
  const others = [makeShare(ann, relay.key), makeShare(ann, relay.key)]
  for (const { log, create } of others) await owner.appended(log, UNSEEN, create)
  for (const { log } of others) await owner.followed(log)
  owner.follow(world.share.log)
  return answerTo(await owner.refused(world.share.log))
})
earns('STORE_CORRUPT', 'a log whose records are damaged', async world => {
  const { owner, share } = world
  broken.add(hex(share.log))
  await owner.followed(share.log)
  return answerTo(await owner.refused(share.log))
})
earns('INCARNATION', 'entries, an offer and a `ready` for another life of the log', async world => {
  const { owner, share } = world
  const other = incarnation(dice(16))
  owner.send({ type: 'offer', log: share.log, incarnation: other, entries: [] })
  assert.is((await owner.refused(share.log)).code, 'INCARNATION')
  owner.send({ type: 'ready', log: share.log, incarnation: other })
  assert.is((await owner.refused(share.log)).code, 'INCARNATION')
  return entryRefused(owner, world, data(world), other)
})
earns('BAD_RECEIPT', 'another’s receipt, one by S + L, and one for an entry that is not there', async world => {
  const { share, life, owner } = world
  const { bob, client } = await newMember(world)
  const removal = share.remove(bob)
  await owner.appended(share.log, life, removal)
  const good = receiptOf(bob, share.log, removal.id)
  const bad = [
    receiptOf(makeAccount('Eve'), share.log, removal.id),
    { ...good, signature: malleated(good.signature) },
    receiptOf(bob, share.log, entryId(dice(32)))
  ]
  const answers: Refused[] = []
  for (const receipt of bad) {
    client.send({ type: 'receipts', log: share.log, receipts: [receipt] })
    answers.push(await client.refused(share.log))
  }
  for (const { code } of answers) assert.is(code, 'BAD_RECEIPT')
  return answerTo(answers.at(-1))
})
earns('LIMIT_STORAGE', 'a receipt more than the relay keeps for an owner', async world => {
  const { share, life, owner } = world
  const [bob, carol] = [await newMember(world), await newMember(world)]
  const removal = share.remove(bob.bob, carol.bob)
  await owner.appended(share.log, life, removal)
  bob.client.receipt(share.log, removal.id)
  await bob.client.take('receipts-stored', share.log)
  carol.client.receipt(share.log, removal.id)
  return answerTo(await carol.client.refused(share.log))
})

// --- any entry ---

earns('FOREIGN_LOG', 'an entry of another share', async world => {
  const other = await lend(house)
  return entryRefused(world.owner, world, data(other, { author: world.ann.device.id }, world.ann.device))
})
earns('NOT_OWNER', 'an entry of another author than the session’s device', async world => {
  const { client } = await newMember(world)
  return entryRefused(client, world, data(world))
})
earns('NOT_OWNER', 'what a member writes and signs: data, and statements of an owner', async world => {
  const { bob, client } = await newMember(world)
  const { list } = world.share
  const rotation = decodeStatement(access(world, removalOf(world)).payload)
  const statements: Statement[] = [{ type: 'stop' }, { type: 'lease', leaseMs: null }, rotation]
  assert.is((await entryRefused(client, world, access(world, { type: 'stop' }, bob.device))).code, 'NOT_OWNER')
  for (const statement of statements) {
    clockMs += 60_000
    assert.is((await entryRefused(client, world, access(world, statement, bob.device))).code, 'NOT_OWNER')
  }
  return entryRefused(client, world, data(world, { author: bob.device.id, accessHead: list.head }, bob.device))
})
earns('BAD_SIGNATURE', 'data with a changed signature, with S + L, and with a small-order R', async world => {
  const entry = data(world)
  const changed = entry.signature.slice()
  changed[5] = (changed[5] ?? 0) ^ 1
  for (const signature of [changed, malleated(entry.signature), SMALL_ORDER_SIGNATURE]) {
    const answer = await entryRefused(world.owner, world, signed(entry, signature))
    assert.is(answer.code, 'BAD_SIGNATURE')
  }
  await world.owner.appended(world.share.log, world.life, entry)
  const stop = access(world, { type: 'stop' })
  await entryRefused(world.owner, world, signed(stop, malleated(stop.signature)))
  return entryRefused(world.owner, world, signed(stop, SMALL_ORDER_SIGNATURE))
})
earns('STOPPED', 'data and statements after the stop', async world => {
  const { owner, share, life } = world
  await owner.appended(share.log, life, share.write({ type: 'stop' }))
  assert.is((await entryRefused(owner, world, access(world, { type: 'lease', leaseMs: null }))).code, 'STOPPED')
  return entryRefused(owner, world, data(world))
})

// --- data entries ---

earns('CTR_REUSED', 'other bytes under a used ctr', async world => {
  const taken = data(world)
  await world.owner.appended(world.share.log, world.life, taken)
  const { code, sentence, top } = await entryRefused(world.owner, world, data(world))
  assert.is(hex(top?.id ?? NO_HEAD), hex(taken.id))
  return { code, sentence }
})
earns('CTR_GAP', 'a ctr beyond the next', async world => entryRefused(world.owner, world, data(world, { ctr: 2 })))
earns('COVERED', 'an entry that a snapshot covers, once more', async world => {
  const { owner, share, life } = world
  const [first, second] = [share.update(), share.update()]
  await owner.appended(share.log, life, first, second, share.snapshot([cover(second)]))
  return entryRefused(owner, world, first)
})
earns('COVER_AHEAD', 'a snapshot that covers what is not there', async world => {
  const { owner, share, life } = world
  const update = share.update()
  await owner.appended(share.log, life, update)
  return entryRefused(owner, world, share.snapshot([{ ...cover(update), ctr: 9 }]))
})
earns('COVER_MISMATCH', 'a snapshot that covers another entry', async world => {
  const { owner, share, life } = world
  const update = share.update()
  await owner.appended(share.log, life, update)
  return entryRefused(owner, world, share.snapshot([{ ...cover(update), id: entryId(dice(32)) }]))
})
earns('COVER_BEHIND', 'a snapshot that covers less than the one before', async world => {
  const { owner, share, life } = world
  const [first, second] = [share.update(), share.update()]
  await owner.appended(share.log, life, first, second, share.snapshot([cover(second)]))
  return entryRefused(owner, world, share.snapshot([cover(first)]))
})
earns('EPOCH_STALE', 'data of the epoch before, and data while a rotation is due', async world => {
  const { owner, share, life } = world
  const before = data(world)
  const { entry, keys } = share.invite()
  await owner.appended(share.log, life, entry, share.write({ type: 'void', invite: keys.id }))
  assert.is((await entryRefused(owner, world, data(world))).code, 'EPOCH_STALE')
  await owner.appended(share.log, life, share.remove())
  return entryRefused(owner, world, before)
})
earns('EPOCH_UNKNOWN', 'data of an epoch to come', async world =>
  entryRefused(world.owner, world, data(world, { epoch: 2 }))
)
earns('RELAY_BEHIND', 'data that names an access entry which is not there', async world =>
  entryRefused(world.owner, world, data(world, { accessHead: entryId(dice(32)) }))
)
earns('DOCUMENT_DROPPED', 'data of a dropped document', async world => {
  const { owner, share, life } = world
  const document = randomDocument()
  const drop = signEntry(suite, { ...headerOf(world), kind: 'drop', document }, new Uint8Array(0), secretOf(world))
  await owner.appended(share.log, life, drop)
  return entryRefused(owner, world, data(world, { document }))
})

// --- access entries ---

earns('ACCESS_CONFLICT', 'a statement on a stale access head', async world => {
  const { owner, share, life } = world
  const stale = access(world, { type: 'stop' })
  await owner.appended(share.log, life, share.invite().entry)
  return entryRefused(owner, world, stale)
})
earns('LOG_EXISTS', 'another create in a log that is there', async world => {
  const other = makeShare(world.ann, world.relay.key)
  return entryRefused(world.owner, world, access(world, decodeStatement(other.create.payload)))
})
earns('BAD_PROOF', 'a join without the invite’s key, and one by a key of small order', async world => {
  const { owner, share, life } = world
  const { guest, client, keys } = await invite(world, { uses: 9 })
  const joining = joinOf(world, guest, keys)
  const lax = lawlessInvite(world)
  await owner.appended(share.log, life, lax)
  const small = { ...joining, invite: inviteId(SMALL_ORDER), proof: SMALL_ORDER_SIGNATURE }
  assert.is((await entryRefused(client, world, access(world, small, guest.device))).code, 'BAD_PROOF')
  return entryRefused(client, world, access(world, { ...joining, proof: dice(64) }, guest.device))
})
earns('BAD_PROOF', 'a library that its root key has not signed', async world => {
  const bob = makeAccount('Bob')
  const create = decodeStatement(bob.create.payload)
  assert.is(create.type, 'create-library')
  const log = logId(bob.account)
  const forged = accessEntry(log, NO_HEAD, world.ann.device, create)
  world.owner.append(log, UNSEEN, forged)
  return answerTo(await world.owner.refused(log))
})
earns(
  'INVITE_UNKNOWN',
  'a link to nothing, a peek that proves nothing, and one by a key of small order',
  async world => {
    const { owner, share, life, relay } = world
    const { entry, keys } = share.invite()
    await owner.appended(share.log, life, entry, lawlessInvite(world))
    const client = await connectRaw(relay.url, newDevice())
    const peeks = [
      { id: inviteId(dice(32)), signature: dice(64) },
      { id: keys.id, signature: dice(64) },
      { id: inviteId(SMALL_ORDER), signature: SMALL_ORDER_SIGNATURE }
    ]
    const answers: Refused[] = []
    for (const peek of peeks) {
      client.send({ type: 'follow', log: share.log, cursor: null, head: null, invite: peek, accountProof: [] })
      answers.push(await client.refused(share.log))
    }
    for (const { code } of answers) assert.is(code, 'INVITE_UNKNOWN')
    return answerTo(answers.at(-1))
  }
)
earns('INVITE_UNKNOWN', 'a peek that was good on another connection', async world => {
  const { owner, share, life, relay } = world
  const { entry, keys } = share.invite()
  await owner.appended(share.log, life, entry)
  const nonces = { client: dice(32), relay: dice(32), relayKey: relay.key }
  const peek = { id: keys.id, signature: signPeek(suite, keys, share.log, nonces) }
  const client = await connectRaw(relay.url, newDevice())
  client.send({ type: 'follow', log: share.log, cursor: null, head: null, invite: peek, accountProof: [] })
  return answerTo(await client.refused(share.log))
})
earns('INVITE_USED', 'a link that was used up', async world => {
  const { share, life } = world
  const { guest, client, keys } = await invite(world)
  const joining = share.join(guest, keys)
  await client.appended(share.log, life, joining)
  share.take(joining)
  return linkRefused(world, keys)
})
earns('INVITE_EXPIRED', 'a link whose time has passed', async world => {
  const { entry, keys } = world.share.invite({ expiresMs: Date.now() + clockMs })
  await world.owner.appended(world.share.log, world.life, entry)
  return linkRefused(world, keys)
})
earns('INVITE_VOID', 'a link that was taken back', async world => {
  const { owner, share, life } = world
  const { entry, keys } = share.invite()
  await owner.appended(share.log, life, entry, share.write({ type: 'void', invite: keys.id }))
  return linkRefused(world, keys)
})
earns('INVITE_NOT_FOR_YOU', 'a link that is bound to another account', async world => {
  const { guest, client, keys } = await invite(world, { bound: makeAccount('Bob').account })
  return entryRefused(client, world, world.share.join(guest, keys))
})
earns('INVITE_EXISTS', 'an invite with an id that was used before', async world => {
  const { entry } = world.share.invite()
  await world.owner.appended(world.share.log, world.life, entry)
  return entryRefused(world.owner, world, access(world, decodeStatement(entry.payload)))
})
earns('ALREADY_MEMBER', 'a member that joins', async world => {
  const { share, life } = world
  const { guest, client, keys } = await invite(world, { uses: 2 })
  const joining = share.join(guest, keys)
  await client.appended(share.log, life, joining)
  share.take(joining)
  return entryRefused(client, world, access(world, decodeStatement(joining.payload), guest.device))
})
earns('YOU_ARE_THE_OWNER', 'an owner that joins', async world => {
  const { keys } = await invite(world)
  return entryRefused(world.owner, world, world.share.join(world.ann, keys))
})
earns('NOT_MEMBER', 'an end for the access of who has none', async world =>
  entryRefused(world.owner, world, access(world, { type: 'until', member: makeAccount().account, untilMs: null }))
)
earns('NOT_DEVICE', 'a join in the name of another account', async world => {
  const { guest, client, keys } = await invite(world)
  const joining = joinOf(world, makeAccount('Bob'), keys, guest.device.id)
  return entryRefused(client, world, access(world, joining, guest.device))
})
earns('KNOWN_DEVICE', 'a device that joins its own library', async ({ ann, owner }) => {
  const log = logId(ann.account)
  const life = lifeOf(await owner.appended(log, UNSEEN, ann.create))
  const { keys, statement } = newInvite()
  const entry = accessEntry(log, ann.create.id, ann.device, statement)
  await owner.appended(log, life, entry)
  const parts = joinProofParts({ log, author: ann.device.id, accessHead: entry.id }, ann.account)
  const joining = accessEntry(log, entry.id, ann.device, {
    type: 'join-library',
    invite: keys.id,
    proof: suite.sign(keys.signing.secretKey, 'join', ...parts),
    deviceSealingKey: ann.device.sealing.publicKey,
    box: dice(80)
  })
  owner.append(log, life, joining)
  return answerTo(await owner.refused(log))
})
earns('ROTATE_INCOMPLETE', 'a rotation that leaves someone out', async world =>
  entryRefused(world.owner, world, access(world, { ...removalOf(world), seals: [] }))
)
earns('ACCOUNT_STALE', 'an account entry that brings nothing new', async world => {
  const { bob, client } = await newMember(world)
  return entryRefused(client, world, access(world, { type: 'account', account: bob.account, entries: [] }, bob.device))
})
earns('LIMIT_ACCESS', 'an invite to a library that has its most bytes', async ({ relay }) => {
  const bob = makeAccount('Bob')
  const client = await connectRaw(relay.url, bob.device)
  const log = logId(bob.account)
  const life = lifeOf(await client.appended(log, UNSEEN, bob.create))
  let entry = bob.create
  for (let bytes = entry.bytes.length; ; ) {
    entry = libraryEntry(bob, entry.id, { previewBytes: limits.PREVIEW_BYTES_MAX })
    bytes += entry.bytes.length
    if (bytes > limits.LIBRARY_BYTES_MAX) break
    await client.appended(log, life, entry)
  }
  client.append(log, life, entry)
  return answerTo(await client.refused(log))
})
earns('RESET_OLD', 'a reset with the number of the one before it', async ({ relay }) => {
  const bob = makeAccount('Bob')
  const root = rootKeys(suite, bob.entropy).signing
  const log = logId(bob.account)
  const life = lifeOf(await (await connectRaw(relay.url, bob.device)).appended(log, UNSEEN, bob.create))
  const client = await connectRaw(relay.url, { ...bob.device, id: deviceId(root.publicKey), signing: root })
  const resetting = (head: EntryId) => {
    const o = { entropy: bob.entropy, device: deviceKeys(suite, dice(32)), epochKey: dice(32), earlier: new Map() }
    const statement = authorReset(suite, bob.library, { ...o, timeMs: 1 }, dice)
    assert.ok(statement)
    return accessEntry(log, head, { ...bob.device, id: deviceId(root.publicKey), signing: root }, statement)
  }
  const first = resetting(bob.create.id)
  await client.appended(log, life, first)
  client.append(log, life, resetting(first.id))
  return answerTo(await client.refused(log))
})
earns('DEVICE_REMOVED', 'a share by a device that its library has put out', async ({ relay }) => {
  const bob = makeAccount('Bob')
  const client = await connectRaw(relay.url, bob.device)
  const log = logId(bob.account)
  const life = lifeOf(await client.appended(log, UNSEEN, bob.create))
  await client.appended(log, life, accessEntry(log, bob.create.id, bob.device, { type: 'leave' }))
  const { log: share, create } = makeShare(bob, relay.key)
  client.append(share, UNSEEN, create)
  return answerTo(await client.refused(share))
})
badInput('LIMIT_MEMBERS and LIMIT_INVITES: a share has so many of both and no more', async () => {
  const ann = makeAccount('Ann')
  const owner = await connectRaw(house.relay.url, ann.device)
  // Folded unseen, for the relay verifies all of it.
  const take = (share: RawShare, entry: Entry) => {
    const unseen = { timeMs: null, signatures: false }
    const folded = foldShare(suite, share.list, entry, decodeStatement(entry.payload), 0, unseen)
    if (folded instanceof Refusal) throw folded
    share.list = folded
    share.entries.push(entry)
  }
  /** As after a loss: the owner gives the relay the list that it has. */
  const offered = async (share: RawShare): Promise<World> => {
    const entries = share.entries.map(({ bytes }) => bytes)
    owner.send({ type: 'offer', log: share.log, incarnation: UNSEEN, entries })
    const ack = await owner.take('ack', share.log)
    assert.is(ack.ids.length, share.entries.length)
    const { data, relay } = house
    return { data, relay, ann, share, owner, life: lifeOf(ack.head), restart: async () => {} }
  }
  const invite = (share: RawShare) => accessEntry(share.log, share.list.head, ann.device, newInvite().statement)
  const [peopled, open] = [makeShare(ann, house.relay.key), makeShare(ann, house.relay.key)]
  const { keys } = peopled.invite({ uses: limits.MEMBERS_MAX + 1 })
  for (let i = 0; i < limits.MEMBERS_MAX; i++) take(peopled, peopled.join(makeAccount(), keys))
  for (let i = 0; i < limits.INVITES_MAX; i++) take(open, invite(open))
  const guest = makeAccount('Guest')
  const client = await connectRaw(house.relay.url, guest.device)
  const full = await offered(peopled)
  await client.followed(peopled.log, { invite: keys })
  const answers = [
    await entryRefused(client, full, peopled.join(guest, keys)),
    await entryRefused(owner, await offered(open), invite(open))
  ]
  assert.equal(
    answers.map(({ code }) => code),
    ['LIMIT_MEMBERS', 'LIMIT_INVITES']
  )
  for (const { code, sentence } of answers) {
    isPlain(sentence)
    earned.add(code)
  }
  await house.goesOn()
})

// --- what the WebSocket edge cuts without a code of ours ---

badInput('a frame over the bound is cut by its header alone, before the handshake and after it', async () => {
  const before = await stranger(house)
  socketOf(before).write(webSocketFrame(new Uint8Array(limits.STRANGER_FRAME_BYTES_MAX + 1)).subarray(0, 14))
  const after = await connectRaw(house.relay.url, newDevice())
  socketOf(after).write(webSocketFrame(new Uint8Array(limits.FRAME_BYTES_MAX + 1)).subarray(0, 14))
  for (const client of [before, after]) assert.is((await client.closed).code, 1009)
  await house.goesOn()
})
badInput('fragments beyond the bound are cut, and so are those that sum up to too much', async () => {
  const many = await connectRaw(house.relay.url, newDevice())
  for (let i = 0; i <= limits.FRAGMENTS_MAX; i++) many.webSocket.send(new Uint8Array(1), { fin: false })
  assert.is((await many.closed).code, 1008)
  const much = await stranger(house)
  for (let i = 0; i < 3; i++) much.webSocket.send(new Uint8Array(limits.STRANGER_FRAME_BYTES_MAX / 2), { fin: false })
  assert.is((await much.closed).code, 1009)
  await house.goesOn()
})
badInput('bytes that are no WebSocket frame are cut', async () => {
  const client = await connectRaw(house.relay.url, newDevice())
  socketOf(client).write(new Uint8Array(64).fill(0xff))
  assert.is((await client.closed).code, 1002)
  await house.goesOn()
})
badInput('who never ends a frame after the handshake gives no sign of life, and is cut', async () => {
  const watchful = await openHouse(await newData(), { limits: { pingMs: 500 } })
  const client = await connectRaw(watchful.relay.url, newDevice())
  socketOf(client).write(webSocketFrame(new Uint8Array(1000)).subarray(0, 500))
  assert.is((await client.closed).code, 1006)
  await watchful.goesOn()
})
badInput('who takes nothing for too long is cut', async () => {
  const world = await lend(house)
  const { share, life, owner, relay } = world
  const { client } = await newMember(world)
  client.webSocket.pause()
  for (let i = 0; i < 80; i++) await owner.appended(share.log, life, share.update(new Uint8Array(200_000)))
  const { sessionsRefused } = relay.metrics()
  clockMs += limits.STALLED_MS_MAX
  while (relay.metrics().sessionsRefused === sessionsRefused) await owner.settle()
  client.webSocket.resume()
  assert.is((await client.closed).code, 1006)
  await house.goesOn()
})

// --- all of it ---

badInput('RELAY_CLOSING: everyone, when the relay stops', async () => {
  assert.is(house.relay.metrics().incidents, 0, 'nothing above made the relay stumble')
  const client = await connectRaw(house.relay.url, newDevice())
  await house.relay.close()
  const { code, sentence } = answerOf((await client.closed).refusal)
  assert.is(code, 'RELAY_CLOSING')
  isPlain(sentence)
  earned.add(code)
})
badInput('no answer holds a key, a path or a stack', async () => {
  const seed = new Uint8Array(await readFile(join(house.data, 'relay.key')))
  const { signing, headKey } = await loadRelayKeys(suite, house.data, dice)
  secrets.push(seed, headKey, signing.secretKey, signing.secretKey.slice(0, 32))
  const texts = [house.data, process.cwd(), 'node_modules', 'node:internal', 'file:///', '\n    at ', 'Error: ']
  const never = [...secrets.map(bytes => Buffer.from(bytes)), ...texts.map(text => Buffer.from(text))]
  assert.ok(heard.length > 100)
  const hears = heard.every(chunks => chunks.length === 0 || Buffer.concat(chunks).includes('HTTP/1.1 '))
  assert.ok(hears, 'the tap hears what is said')
  assert.ok(
    heard.some(chunks => Buffer.concat(chunks).includes(Buffer.from(signing.publicKey))),
    'and what is in it'
  )
  for (const chunks of heard) {
    const bytes = Buffer.concat(chunks)
    for (const one of never) assert.not(bytes.includes(one), `an answer holds ${one.toString('latin1')}`)
  }
})
badInput('every code of the table is earned here, or in another test and said why', async () => {
  const others = await otherTests()
  for (const code of Object.keys(REFUSALS) as RefusalCode[]) {
    const elsewhere = ELSEWHERE[code]
    assert.is(earned.has(code), elsewhere === undefined, `${code} has ${elsewhere ? 'a test' : 'no test'} here`)
    if (elsewhere) assert.is(others.includes(`'${code}'`), elsewhere.tested, `${code}, of which "${elsewhere.why}"`)
  }
})

badInput.run()

// --- a relay with a tap in front, a witness behind, and logs that can break ---

const broken = new Set<string>()

/** A store in which the logs in `broken` are damaged. */
async function breakable(path: string): Promise<LogStore> {
  const inner = await openLevelStore({ path: join(path, 'store'), dice })
  return {
    append: (log, entries, expected) => inner.append(log, entries, expected),
    async *read(log, after, follow) {
      if (broken.has(hex(log))) throw new StoreCorrupt(log, `${path}: a record has the wrong checksum`)
      yield* inner.read(log, after, follow)
    },
    forget: (log, seqs) => inner.forget(log, seqs),
    drop: log => inner.drop(log),
    head: log => inner.head(log),
    close: () => inner.close()
  }
}

async function openHouse(path: string, options: Partial<RelayOptions>): Promise<House> {
  const started = await start(path, options)
  const relay = { ...started, url: await tap(started.url) }
  const eve = makeAccount('Witness')
  const share = makeShare(eve, relay.key)
  const client = await connectRaw(relay.url, eve.device, relay.key)
  const life = lifeOf(await client.appended(share.log, UNSEEN, share.create))
  return {
    data: path,
    relay,
    async goesOn() {
      await client.appended(share.log, life, share.update())
    }
  }
}

/** Listens in on all that a relay sends. @returns where to connect */
async function tap(url: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const server = createServer(near => {
    const far = connect(Number(port), hostname)
    const chunks: Buffer[] = []
    heard.push(chunks)
    far.on('data', chunk => chunks.push(chunk))
    near.pipe(far).pipe(near)
    for (const socket of [near, far]) {
      tapped.add(socket)
      socket.on('error', () => {
        near.destroy()
        far.destroy()
      })
      socket.on('close', () => tapped.delete(socket))
    }
  })
  taps.add(server)
  server.listen(0, hostname)
  await once(server, 'listening')
  return `ws://${hostname}:${(server.address() as AddressInfo).port}`
}

/** A share of Ann's at this relay. */
async function lend({ data: path, relay }: House): Promise<World> {
  const ann = makeAccount('Ann')
  const share = makeShare(ann, relay.key)
  secrets.push(ann.device.signing.secretKey.slice(0, 32), share.epochKey)
  const owner = await connectRaw(relay.url, ann.device, relay.key)
  const life = lifeOf(await owner.appended(share.log, UNSEEN, share.create))
  return { data: path, relay, ann, share, owner, life, restart: async () => {} }
}

// --- connections ---

/** A session before its first frame. */
async function stranger({ relay }: Pick<House, 'relay'>): Promise<RawClient> {
  const webSocket = new WebSocket(relay.url)
  const client = new RawClient(webSocket, newDevice(), null)
  webSocket.removeAllListeners('open')
  await once(webSocket, 'open')
  return client
}

async function unprovedRefused(world: World, first: Uint8Array): Promise<Answer> {
  const client = await stranger(world)
  client.webSocket.send(first)
  return answerOf((await client.closed).refusal)
}

/** Sends these bytes in an open session, which must end it. */
async function sessionRefused({ relay }: World, bytes: Uint8Array): Promise<Refusal> {
  const client = await connectRaw(relay.url, newDevice())
  client.webSocket.send(bytes)
  const { refusal } = await client.closed
  if (!refusal) throw new Error('closed without a word')
  return refusal
}

/** The relay's greeting, on a connection that speaks no further. */
async function greeted({ relay }: World, nonce: Uint8Array): Promise<{ webSocket: WebSocket; nonces: Nonces }> {
  const webSocket = new WebSocket(relay.url)
  await once(webSocket, 'open')
  webSocket.send(encodeFrame({ type: 'hello', nonce }))
  const greeting = await nextFrame(webSocket)
  if (greeting.type !== 'greeting') throw new Error(`greeted with ${greeting.type}`)
  return { webSocket, nonces: { client: nonce, relay: greeting.nonce, relayKey: greeting.relayKey } }
}

async function proofRefused(world: World, prove: (nonces: Nonces) => Uint8Array, nonce = dice(32)): Promise<Answer> {
  const { webSocket, nonces } = await greeted(world, nonce)
  const closed = once(webSocket, 'close')
  webSocket.send(prove(nonces))
  const refused = await nextFrame(webSocket)
  await closed
  if (refused.type !== 'refused') throw new Error(`answered with ${refused.type}`)
  assert.is(refused.code, 'BAD_AUTH')
  return answerTo(refused)
}

async function nextFrame(webSocket: WebSocket): Promise<Frame> {
  const [message]: unknown[] = await once(webSocket, 'message')
  if (!(message instanceof Uint8Array)) throw new Error('a message of text')
  return decodeFrame(new Uint8Array(message))
}

/** An upgrade that is denied. */
function denied(url: string, status: number, options: ClientOptions = {}): Promise<Answer> {
  const webSocket = new WebSocket(url, options)
  webSocket.on('error', () => {})
  return new Promise((done, failed) => {
    webSocket.once('open', () => failed(new Error('not denied')))
    webSocket.once('unexpected-response', (_request: unknown, response: IncomingMessage) => {
      let body = ''
      response.on('data', chunk => {
        body += chunk
      })
      response.once('end', () => {
        const [code, sentence = ''] = body.trimEnd().split(': ')
        const known = (Object.keys(REFUSALS) as RefusalCode[]).find(name => name === code)
        if (known && response.statusCode === status) done({ code: known, sentence })
        else failed(new Error(`${response.statusCode}: ${body}`))
      })
    })
  })
}

/** What ws writes to, for bytes that ws would not send. */
function socketOf({ webSocket }: RawClient): Socket {
  const socket: unknown = Reflect.get(webSocket, '_socket')
  if (!(socket instanceof Socket)) throw new Error('this version of ws keeps its socket elsewhere')
  return socket
}

/** A whole binary message under the mask zero, as a client may send it. */
function webSocketFrame(payload: Uint8Array): Uint8Array {
  const head = Buffer.alloc(14)
  head[0] = 0x82
  head[1] = 0x80 | 127
  head.writeBigUInt64BE(BigInt(payload.length), 2)
  return concat(new Uint8Array(head), payload)
}

// --- refusals ---

/** Appends an entry that must be refused by itself: the session goes on. */
async function entryRefused(
  client: RawClient,
  { share, life }: World,
  entry: Entry,
  forLife: Incarnation = life
): Promise<Refused> {
  client.append(share.log, forLife, entry)
  const refused = await client.refused(share.log)
  assert.is(hex(refused.entry ?? NO_HEAD), hex(entry.id), refused.sentence)
  await client.settle()
  return refused
}

/** Appends and offers bytes that are no entry: both end the session. */
async function entryBytesRefused(world: World, bytes: Uint8Array): Promise<Answer> {
  const { share, life } = world
  const request = { log: share.log, incarnation: life, entries: [bytes] }
  const appended = await sessionRefused(world, encodeFrame({ type: 'append', ...request }))
  const offered = await sessionRefused(world, encodeFrame({ type: 'offer', ...request }))
  assert.is(appended.code, offered.code)
  return answerOf(offered)
}

async function linkRefused({ relay, share }: World, invite: InviteKeys): Promise<Answer> {
  const client = await connectRaw(relay.url, newDevice())
  client.follow(share.log, { invite })
  return answerTo(await client.refused(share.log))
}

function answerOf(refusal: Refusal | null | undefined): Answer {
  if (!refusal) throw new Error('closed without a word')
  return { code: refusal.code, sentence: refusal.message }
}

function answerTo(refused: Refused | undefined): Answer {
  if (!refused) throw new Error('nothing was refused')
  return { code: refused.code, sentence: refused.sentence }
}

/** A sentence for people: no stack, no path. */
function isPlain(sentence: string): void {
  assert.ok(sentence.length > 10)
  assert.not.match(sentence, /\n|:\d+:\d+|\bat \S+ \(|[\w-]+\/[\w-]+\/|\.[jt]s\b/)
}

// --- bytes with something wrong in them ---

/** The neutral element, which a lax verifier takes for a key under which R = 0 and S = 0 sign everything. */
const SMALL_ORDER = Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0))
const SMALL_ORDER_SIGNATURE = concat(SMALL_ORDER, new Uint8Array(32))
/** Ed25519's group order. */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n

/** The same signature with S + L, which a lax verifier takes too. */
function malleated(signature: Uint8Array): Uint8Array {
  const twin = signature.slice()
  let sum = ORDER
  for (let i = 0; i < 32; i++) sum += BigInt(signature[32 + i] ?? 0) << BigInt(8 * i)
  for (let i = 0; i < 32; i++) twin[32 + i] = Number((sum >> BigInt(8 * i)) & 255n)
  return twin
}

function hello(): Uint8Array {
  return encodeFrame({ type: 'hello', nonce: dice(32) })
}

function proof(device: DeviceId, signature: Uint8Array): Uint8Array {
  return encodeFrame({ type: 'prove', device, signature })
}

function newDevice(): DeviceKeys {
  return deviceKeys(suite, dice(32))
}

function lifeOf(head: Uint8Array): Incarnation {
  return incarnation(decodeHead(head).incarnation.slice())
}

function secretOf({ ann }: World): Uint8Array {
  return ann.device.signing.secretKey
}

/** Of Ann's first data entry. */
function headerOf({ share, ann }: World) {
  const { log, list } = share
  return { log, author: ann.device.id, document: SHARE_DOCUMENT, ctr: 1, epoch: list.epoch, accessHead: list.head }
}

/** Ann's first update, or another that is not quite. */
function data(world: World, over: Partial<ReturnType<typeof headerOf>> = {}, by = world.ann.device): Entry {
  const keys = { dataKey: dataKey(suite, world.share.epochKey), secretKey: by.signing.secretKey }
  return sealUpdate(suite, { kind: 'update', ...headerOf(world), ...over }, dice(8), keys, dice)
}

/** The share's create with one byte changed. */
function altered({ share }: World, at: number, byte: number): Uint8Array {
  const bytes = share.create.bytes.slice()
  bytes[at] = byte
  return bytes
}

function signed(entry: Entry, signature: Uint8Array): Entry {
  return decodeEntry(suite, concat(entry.bytes.slice(0, -64), signature))
}

/** A statement that is not folded here: only the relay knows whether it is taken. */
function access({ share, ann }: World, statement: Statement, by: DeviceKeys = ann.device): Entry {
  return accessEntry(share.log, share.list.head, by, statement)
}

function cover({ author, ctr, id }: Entry): Cover {
  return { author, ctr, id }
}

function receiptOf({ device }: RawAccount, log: LogId, accessHead: Entry['id']) {
  const said = { device: device.id, accessHead, reason: 'removed', timeMs: 1 } as const
  return signReceipt(suite, log, said, device.signing.secretKey)
}

/** Someone who follows by a link of this share and has not joined. */
async function invite(
  world: World,
  o: Parameters<World['share']['invite']>[0] = {}
): Promise<{ guest: RawAccount; client: RawClient; keys: InviteKeys }> {
  const { share, owner, life, relay } = world
  const { entry, keys } = share.invite(o)
  await owner.appended(share.log, life, entry)
  const guest = makeAccount('Guest')
  const client = await connectRaw(relay.url, guest.device)
  assert.is((await client.followed(share.log, { invite: keys })).standing, 'invited')
  return { guest, client, keys }
}

function joinOf(
  { share }: World,
  joiner: RawAccount,
  keys: InviteKeys,
  author = joiner.device.id
): Statement & { type: 'join-share' } {
  const statement = decodeStatement(share.join(joiner, keys).payload)
  if (statement.type !== 'join-share') throw new Error('a join is a join')
  const place = { log: share.log, author, accessHead: share.list.head }
  const parts = joinProofParts(place, joiner.account)
  return { ...statement, proof: suite.sign(keys.signing.secretKey, 'join', ...parts) }
}

/** An invite without a secret that anybody knows, and its signing keys. */
function newInvite(): { keys: Pick<InviteKeys, 'id' | 'signing'>; statement: Statement & { type: 'invite' } } {
  const signing = suite.signingKeys(dice(32))
  const id = inviteId(signing.publicKey)
  const rest = {
    sealingKey: dice(32),
    uses: 1,
    expiresMs: Date.now() + clockMs + 3_600_000,
    untilMs: null,
    bound: null
  }
  return {
    keys: { id, signing },
    statement: { type: 'invite', invite: id, ...rest, box: dice(80), preview: new Uint8Array(0) }
  }
}

/** An owner's invite whose id is of small order: without a strict verifier anybody could use it. */
function lawlessInvite({ share }: World): Entry {
  return share.write({ ...newInvite().statement, invite: inviteId(SMALL_ORDER) })
}

/** A rotation with nobody to seal to. */
function removalOf({ share }: World): Statement & { type: 'remove-members' } {
  const seals = [{ to: share.owner.account, box: dice(80) }]
  return {
    type: 'remove-members',
    who: [],
    reason: 'rotation',
    commitment: dice(32),
    seals,
    previous: dice(72)
  }
}

/** All tests of relay and engine but this one. */
async function otherTests(): Promise<string> {
  const folders = [import.meta.dirname, join(import.meta.dirname, '..', 'engine')]
  const texts: string[] = []
  for (const folder of folders) {
    for (const name of await readdir(folder, { recursive: true })) {
      const isOther = name.endsWith('.test.ts') && name !== basename(import.meta.filename)
      if (isOther) texts.push(await readFile(join(folder, name), 'utf8'))
    }
  }
  return texts.join('\n')
}
