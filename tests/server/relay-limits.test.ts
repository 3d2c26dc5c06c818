// limit: 60 s
/** What the relay refuses, at the socket and behind it, and how slow readers are served. */
import { request } from 'node:http'
import { connect } from 'node:net'
import {
  type Cover,
  decodeHead,
  deviceKeys,
  encodeFrame,
  entryId,
  hex,
  limits,
  logId,
  type Placed,
  signReceipt
} from '@lend/engine'
import { startRelay } from '@lend/server'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket } from 'ws'
import {
  accessEntry,
  accountWriter,
  connectRaw,
  dice,
  makeAccount,
  RawClient,
  randomDocument,
  suite
} from './raw-client.ts'
import { bytesOf, closeWorlds, newData, newMember, newWorld, start, tail } from './world.ts'

const limitsTest = describe('relay limits')
limitsTest.after.each(closeWorlds)

limitsTest('a reader that does not read grows no memory, and gets all of it in order when it reads again', async () => {
  const world = await newWorld({ limits: { socketBufferBytes: 64 * 1024 } })
  const { share, owner, life, relay } = world
  const { client } = await newMember(world)
  client.webSocket.pause()
  const big = new Uint8Array(100_000)
  const sent = Array.from({ length: 300 }, () => share.update(big))
  const before = relay.metrics().deliveries
  for (const update of sent) await owner.appended(share.log, life, update)
  const delivered = relay.metrics().deliveries - before
  assert.ok(delivered < sent.length / 2, `30 MB came in, and ${delivered} of ${sent.length} frames were made for it`)
  client.webSocket.resume()
  const placed = await client.read(share.log, sent.length)
  assert.equal(placed.map(tail), sent.map(tail))
  const live = share.update()
  await owner.appended(share.log, life, live)
  assert.equal((await client.read(share.log, 1)).map(tail), [tail(live)])
})

limitsTest('a reader that is behind when it is removed gets its removal, and none of the data it missed', async () => {
  const world = await newWorld({ limits: { socketBufferBytes: 64 * 1024 } })
  const { share, owner, life } = world
  const { bob, client } = await newMember(world)
  client.webSocket.pause()
  const big = new Uint8Array(200_000)
  for (let i = 0; i < 100; i++) await owner.appended(share.log, life, share.update(big))
  const removal = share.remove(bob)
  await owner.appended(share.log, life, removal)
  const after = share.update('not for Bob')
  await owner.appended(share.log, life, after)
  client.webSocket.resume()
  await client.settle()
  const seen = bytesOf(client.seen)
  assert.is(seen.at(-1), tail(removal))
  assert.ok(seen.length < 100, 'what it missed is not for it any more')
  assert.not(seen.includes(tail(after)))
})

limitsTest('what a snapshot covers is not sent to who comes later', async () => {
  const world = await newWorld()
  const { share, owner, life, ann } = world
  const updates = [share.update('one'), share.update('two')]
  const last = updates[1]
  assert.ok(last)
  await owner.appended(share.log, life, ...updates)
  const cover: Cover = { author: ann.device.id, ctr: 2, id: last.id }
  const snapshot = share.snapshot([cover])
  await owner.appended(share.log, life, snapshot)
  for (const restarts of [false, true]) {
    if (restarts) await world.restart()
    const following = await world.owner.followed(share.log)
    assert.is(following.entriesTotal, 2)
    const placed = await world.owner.readTo(share.log, decodeHead(following.head).seq)
    assert.equal(placed.map(tail), [tail(share.create), tail(snapshot)])
  }
  world.owner.append(share.log, life, ...updates.slice(0, 1))
  const refused = await world.owner.refused(share.log)
  assert.is(refused.code, 'COVERED')
  assert.is(refused.top?.ctr, 3)
})

limitsTest('one bad entry is refused by itself, and those after it are judged on their own', async () => {
  const world = await newWorld()
  const { share, owner, life } = world
  const document = randomDocument()
  const [first, second, third] = [share.update(), share.update(), share.update('other', document)]
  owner.append(share.log, life, second, third, first)
  const ack = await owner.take('ack', share.log)
  assert.equal(
    ack.ids.map(hex),
    [third, first].map(({ id }) => hex(id))
  )
  const refused = await owner.refused(share.log)
  assert.is(refused.code, 'CTR_GAP')
  assert.is(hex(refused.entry ?? new Uint8Array()), hex(second.id))
})

limitsTest('bytes that are no entry close the session with a code', async () => {
  const world = await newWorld()
  const { share, owner, life } = world
  owner.send({ type: 'append', log: share.log, incarnation: life, entries: [Uint8Array.of(1, 9)] })
  const { refusal } = await owner.closed
  assert.is(refusal?.code, 'UNKNOWN_KIND')
})

limitsTest('a member writes four access entries, then has to wait; the owner never has to', async () => {
  let offsetMs = 0
  const world = await newWorld({ clock: () => Date.now() + offsetMs })
  const { share, owner, life } = world
  const { bob, client } = await newMember(world)
  const account = accountWriter(share, bob)
  for (let i = 0; i < 3; i++) await client.appended(share.log, life, account())
  const extra = accessEntry(share.log, share.list.head, bob.device, { type: 'leave' })
  client.append(share.log, life, extra)
  const refused = await client.refused(share.log)
  assert.is(refused.code, 'RATE_LIMITED')
  assert.ok(refused.retryAfterMs !== null && refused.retryAfterMs > 50_000 && refused.retryAfterMs <= 60_000)
  for (let i = 0; i < 10; i++) await owner.appended(share.log, life, share.invite().entry)
  offsetMs = 60_000
  await client.appended(share.log, life, share.write({ type: 'leave' }, bob.device))
})

limitsTest('receipts wait for an owner device, over a restart, until it has stored them', async () => {
  const world = await newWorld()
  const { share, life } = world
  const { bob, client } = await newMember(world)
  client.receipt(share.log, share.list.head)
  assert.is((await client.refused(share.log)).code, 'NO_ACCESS', 'a member has nothing to show a receipt for')
  const removal = share.remove(bob)
  await world.owner.appended(share.log, life, removal)
  client.receipt(share.log, entryId(dice(32)))
  assert.is((await client.refused(share.log)).code, 'BAD_RECEIPT')
  client.receipt(share.log, removal.id)
  assert.equal((await client.take('receipts-stored', share.log)).devices, [bob.device.id])
  await world.restart()
  world.owner.follow(share.log)
  const waiting = await world.owner.take('receipts', share.log)
  assert.is(waiting.receipts.length, 1)
  assert.is(hex(waiting.receipts[0]?.device ?? dice(1)), hex(bob.device.id))
  world.owner.send({ type: 'receipts-stored', log: share.log, devices: [bob.device.id] })
  const following = await world.owner.followed(share.log)
  await world.owner.readTo(share.log, decodeHead(following.head).seq)
  world.owner.follow(share.log)
  await world.owner.take('following', share.log)
  await world.owner.readTo(share.log, decodeHead(following.head).seq)
  assert.is(world.owner.seen.filter(({ type }) => type === 'receipts').length, 1)
  const live = await connectRaw(world.relay.url, bob.device)
  live.receipt(share.log, removal.id)
  await world.owner.take('receipts', share.log)
  live.follow(logId(suite.hash('receipts log', share.log)))
  assert.is((await live.refused(logId(suite.hash('receipts log', share.log)))).code, 'NO_ACCESS')
})

limitsTest('a former member’s receipt is about its end, and costs one write a frame, which it pays for', async () => {
  const nowMs = Date.now()
  const world = await newWorld({ limits: { memberAccessBurst: 1 }, clock: () => nowMs })
  const { share, life, owner } = world
  const { bob, client } = await newMember(world)
  const join = share.entries.at(-1)
  assert.ok(join)
  const removal = share.remove(bob)
  await owner.appended(share.log, life, removal)
  const [wrong, right] = [join, removal].map(({ id }) => {
    const receipt = { device: bob.device.id, accessHead: id, reason: 'removed', timeMs: 1 } as const
    return signReceipt(suite, share.log, receipt, bob.device.signing.secretKey)
  })
  assert.ok(wrong && right)
  for (const receipts of [[wrong], [right, wrong]]) {
    client.send({ type: 'receipts', log: share.log, receipts })
    assert.is((await client.refused(share.log)).code, 'BAD_RECEIPT')
  }
  const many = Array.from({ length: 1024 }, () => right)
  client.send({ type: 'receipts', log: share.log, receipts: many })
  await client.take('receipts-stored', share.log)
  owner.send({ type: 'receipts-stored', log: share.log, devices: [bob.device.id] })
  await owner.settle()
  client.send({ type: 'receipts', log: share.log, receipts: many })
  assert.is((await client.refused(share.log)).code, 'RATE_LIMITED', 'the first was all that it may write for a while')
})

limitsTest('a membership that ends at a time is cut when the time comes', async () => {
  let offsetMs = 0
  const world = await newWorld({ clock: () => Date.now() + offsetMs })
  const { share, owner, life } = world
  const { bob, client } = await newMember(world)
  const until = share.write({ type: 'until', member: bob.account, untilMs: Date.now() + 60_000 })
  await owner.appended(share.log, life, until)
  await client.read(share.log, 1)
  offsetMs = 61_000
  assert.is((await client.refused(share.log)).code, 'NO_ACCESS')
  client.follow(share.log)
  assert.is((await client.refused(share.log)).code, 'NO_ACCESS')
})

limitsTest('a stranger may send four kilobytes, a device that proved itself the largest entry', async () => {
  const relay = await start(await newData())
  const rude = new WebSocket(relay.url)
  const closed = new Promise<number>(done => rude.once('close', done))
  rude.once('open', () => rude.send(new Uint8Array(limits.STRANGER_FRAME_BYTES_MAX + 1)))
  assert.is(await closed, 1009)
  const client = await connectRaw(relay.url, makeAccount().device)
  client.webSocket.send(new Uint8Array(limits.FRAME_BYTES_MAX))
  assert.is((await client.closed).refusal?.code, 'UNKNOWN_FRAME', 'read, and refused for what it says')
  const other = await connectRaw(relay.url, makeAccount().device)
  other.webSocket.send(new Uint8Array(limits.FRAME_BYTES_MAX + 1))
  assert.is((await other.closed).code, 1009)
})

limitsTest('a message in more than sixteen fragments closes the socket', async () => {
  const relay = await start(await newData())
  for (const [fragments, code] of [
    [limits.FRAGMENTS_MAX, null],
    [limits.FRAGMENTS_MAX + 1, 1008]
  ] as const) {
    const client = await connectRaw(relay.url, makeAccount().device)
    const ping = encodeFrame({ type: 'ping' })
    client.webSocket.send(ping, { fin: false })
    for (let i = 2; i < fragments; i++) client.webSocket.send(new Uint8Array(0), { fin: false })
    client.webSocket.send(new Uint8Array(0), { fin: true })
    if (code === null) await client.take('pong')
    else assert.is((await client.closed).code, code)
  }
})

limitsTest('who does not finish the handshake in time is refused with a code', async () => {
  let offsetMs = 0
  const relay = await start(await newData(), { clock: () => Date.now() + offsetMs })
  const device = deviceKeys(suite, dice(32))
  const webSocket = new WebSocket(relay.url)
  const silent = new RawClient(webSocket, { ...device, signing: device.signing }, null)
  webSocket.removeAllListeners('open')
  const opened = new Promise(done => webSocket.once('open', done))
  await opened
  offsetMs = limits.HANDSHAKE_MS_MAX
  assert.is((await silent.closed).refusal?.code, 'HANDSHAKE_SLOW')
})

limitsTest('who does not finish its HTTP request in time is cut', async () => {
  const relay = await start(await newData(), { limits: { handshakeMs: 300 } })
  const { hostname, port } = new URL(relay.url)
  const socket = connect(Number(port), hostname)
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n')
  const closed = new Promise<void>(done => socket.once('close', () => done()))
  socket.resume()
  await closed
})

limitsTest('a page of a foreign origin is refused at the upgrade, a program without an origin is not', async () => {
  const relay = await start(await newData(), { origins: ['https://app.example'] })
  const denied = await upgrade(relay.url, { Origin: 'https://evil.example' })
  assert.is(denied.status, 403)
  assert.match(denied.body, /^FOREIGN_ORIGIN/)
  const page = new WebSocket(relay.url, { origin: 'https://app.example' })
  await new Promise((opened, failed) => page.once('open', opened).once('error', failed))
  page.terminate()
  await connectRaw(relay.url, makeAccount().device)
})

limitsTest('an address has so many connections and no more', async () => {
  const relay = await start(await newData(), { limits: { connectionsPerAddress: 2 } })
  const first = await connectRaw(relay.url, makeAccount().device)
  await connectRaw(relay.url, makeAccount().device)
  const denied = await upgrade(relay.url, {})
  assert.is(denied.status, 429)
  assert.match(denied.body, /^LIMIT_CONNECTIONS/)
  await first.close()
  await connectRaw(relay.url, makeAccount().device)
})

/** Opens a socket, or says with which status it was denied. */
function opened(url: string, forwarded: string): Promise<number> {
  const socket = new WebSocket(url, { headers: { 'X-Forwarded-For': forwarded } })
  return new Promise((done, failed) => {
    socket.once('open', () => done(101))
    socket.once('unexpected-response', (_request, { statusCode }) => done(statusCode ?? 0))
    socket.once('error', failed)
  })
}

limitsTest('behind a proxy the address counts that the proxy added last, whatever its client sent', async () => {
  const limited = { limits: { connectionsPerAddress: 1 } }
  const { url } = await start(await newData(), { ...limited, proxies: ['127.0.0.1'] })
  assert.is(await opened(url, '203.0.113.7'), 101)
  assert.is(await opened(url, '203.0.113.8'), 101)
  assert.is(await opened(url, '198.51.100.1, 203.0.113.7'), 429)
  assert.is(await opened(url, 'no address'), 101, 'the proxy’s own')
  assert.is(await opened(url, ''), 429)
})

limitsTest('from anyone else that header counts for nothing', async () => {
  const limited = { limits: { connectionsPerAddress: 1 } }
  const { url } = await start(await newData(), { ...limited, proxies: ['203.0.113.1'] })
  assert.is(await opened(url, '203.0.113.7'), 101)
  assert.is(await opened(url, '203.0.113.8'), 429)
})

limitsTest('health answers, and closing the relay refuses every session with RELAY_CLOSING', async () => {
  const world = await newWorld()
  const { share, owner, life, relay } = world
  assert.is((await fetch(`${relay.url.replace('ws:', 'http:')}/health`)).status, 200)
  const update = share.update()
  owner.append(share.log, life, update)
  await owner.settle()
  await relay.close()
  const { code, refusal } = await owner.closed
  assert.is(code, 1001)
  assert.is(refusal?.code, 'RELAY_CLOSING')
  await world.restart()
  assert.is((await world.owner.followed(share.log)).entriesTotal, 2, 'what was asked before is durable')
})

limitsTest('two devices that each wait for the other get all entries once, while many are appended', async () => {
  const world = await newWorld()
  const { share, owner, life, relay, ann } = world
  const updates = Array.from({ length: 200 }, () => share.update())
  const writing = owner.appended(share.log, life, ...updates)
  const readers = await Promise.all(Array.from({ length: 10 }, () => connectRaw(relay.url, ann.device)))
  const read = readers.map(async reader => {
    await reader.followed(share.log)
    const placed: Placed[] = await reader.read(share.log, updates.length + 1)
    return placed.map(tail).sort()
  })
  await writing
  const want = [share.create, ...updates].map(tail).sort()
  for (const got of await Promise.all(read)) assert.equal(got, want)
})

limitsTest('options that make no sense are refused at the start', async () => {
  const data = await newData()
  for (const wrong of [
    { port: -1, data },
    { port: 70_000, data },
    { port: 0, data: '' }
  ]) {
    await startRelay(wrong).then(
      () => assert.unreachable(),
      error => assert.is(error.name, 'ZodError')
    )
  }
})

/** Asks for an upgrade that is to be denied. */
function upgrade(url: string, headers: Record<string, string>): Promise<{ status: number; body: string }> {
  const asked = request(url.replace('ws:', 'http:'), {
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': Buffer.from(dice(16)).toString('base64'),
      ...headers
    }
  })
  return new Promise((done, failed) => {
    asked.once('error', failed)
    asked.once('response', response => {
      let body = ''
      response.on('data', chunk => {
        body += chunk
      })
      response.once('end', () => done({ status: response.statusCode ?? 0, body }))
    })
    asked.end()
  })
}

limitsTest('a session that ends itself right after asking harms neither the relay nor who reads there', async () => {
  const world = await newWorld({ limits: { socketBufferBytes: 64 * 1024 } })
  const { share, owner, life, relay } = world
  const { client } = await newMember(world)
  client.webSocket.pause()
  const sent = Array.from({ length: 50 }, () => share.update(new Uint8Array(100_000)))
  for (const update of sent) await owner.appended(share.log, life, update)
  const { log } = share
  const asks = [
    encodeFrame({ type: 'ready', log, incarnation: life }),
    encodeFrame({ type: 'offer', log, incarnation: life, entries: [] }),
    encodeFrame({ type: 'receipts', log, receipts: [] }),
    encodeFrame({ type: 'receipts-stored', log, devices: [] })
  ]
  for (const ask of asks) {
    const stranger = await connectRaw(relay.url, makeAccount('stranger').device)
    const over = new Promise(done => stranger.webSocket.once('close', done))
    stranger.webSocket.send(ask)
    stranger.webSocket.send(Uint8Array.of(255))
    await over
  }
  client.webSocket.resume()
  assert.equal((await client.read(log, sent.length)).map(tail), sent.map(tail))
  const live = share.update()
  await owner.appended(log, life, live)
  assert.equal((await client.read(log, 1)).map(tail), [tail(live)])
  assert.is(relay.metrics().incidents, 0)
})

limitsTest.run()
