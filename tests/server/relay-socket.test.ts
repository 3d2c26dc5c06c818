/**
 * What a connection may hold of a relay, and for how long: frames that never end, readers that never read, bytes before
 * a handshake and before an upgrade. Bytes that no WebSocket would send are written to its socket by hand.
 */
import { once } from 'node:events'
import { request } from 'node:http'
import { connect, Socket } from 'node:net'
import { decodeHead, encodeFrame, type LogId, limits } from '@lend/engine'
import type { Relay, RelayOptions } from '@lend/server'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket } from 'ws'
import { connectRaw, dice, makeAccount, type RawAccount, RawClient } from './raw-client.ts'
import { closeWorlds, newData, newWorld, start, type World } from './world.ts'

const socketTest = describe('relay socket')
socketTest.after.each(closeWorlds)

const KB = 1024
const MB = 1024 * KB
const BYTES_PER_SECOND_MIN = 4096
const ENTRY_BYTES = 250 * KB
const BACKLOG_ENTRIES = 120
/** Its type is none that this version has: once it is read to its end, the session ends with UNKNOWN_FRAME. */
const NO_FRAME = new Uint8Array(8 * MB).fill(0xff)

// --- frames that do not end ---

socketTest('an upload at the least pace goes on for minutes without a pong, and is cut when it stops', async () => {
  let nowMs = 1_000_000
  const relay = await start(await newData(), { clock: () => nowMs })
  const client = await connectMute(relay)
  const window = new Uint8Array((limits.PING_MS / 1000) * BYTES_PER_SECOND_MIN)
  const windows = 10
  const after = async (ms: number, bytes: Uint8Array) => {
    socketOf(client).write(bytes)
    const tick = await nextTick(relay)
    nowMs += ms
    await tick()
  }
  socketOf(client).write(frameHeader(windows * window.length + 1))
  for (let i = 0; i < windows; i++) await after(limits.PING_MS - 1, window)
  assert.is(client.webSocket.readyState, WebSocket.OPEN, 'after three minutes of one frame')
  await after(limits.PING_MS, new Uint8Array(0))
  assert.is((await client.closed).refusal?.code, 'STALLED')
})

socketTest('whose frame is on its way is not asked for a pong; who is silent and gives none is cut', async () => {
  const relay = await start(await newData(), { limits: { pingMs: 300, bytesPerSecondMin: 1 } })
  const { webSocket: watch } = await connectRaw(relay.url, makeAccount().device)
  const [busy, idle] = [await connectMute(relay), await connectMute(relay)]
  const pings = 6
  socketOf(busy).write(frameHeader(pings))
  for (let i = 0; i < pings; i++) {
    await once(watch, 'ping')
    socketOf(busy).write(NO_FRAME.subarray(0, 1))
  }
  assert.is((await busy.closed).refusal?.code, 'UNKNOWN_FRAME', 'read to its end')
  assert.equal(await idle.closed, { code: 1006, refusal: null })
})

socketTest('frames that do not end share a budget of memory: who goes over it is cut, and nobody else', async () => {
  const relay = await start(await newData(), { limits: { heldBytes: 7 * MB } })
  const holders: RawClient[] = []
  for (let i = 0; i < 4; i++) holders.push(await connectMute(relay))
  const ends = holders.map(async holder => [holder, (await holder.closed).refusal] as const)
  for (const holder of holders) socketOf(holder).write(frameHeader(2 * MB))
  for (const holder of holders) socketOf(holder).write(NO_FRAME.subarray(0, 2 * MB - 1))
  const [cut, refusal] = await Promise.race(ends)
  assert.is(refusal?.code, 'RATE_LIMITED')
  assert.is(refusal?.retryAfterMs, 10_000)
  for (const holder of holders) if (holder !== cut) socketOf(holder).write(NO_FRAME.subarray(0, 1))
  const codes = (await Promise.all(ends)).map(([, refusal]) => refusal?.code)
  assert.equal(codes.sort(), ['RATE_LIMITED', 'UNKNOWN_FRAME', 'UNKNOWN_FRAME', 'UNKNOWN_FRAME'])
  const next = await connectMute(relay)
  next.webSocket.send(NO_FRAME.subarray(0, 6 * MB))
  assert.is((await next.closed).refusal?.code, 'UNKNOWN_FRAME', 'and what they held is free again')
})

socketTest('over the budget a frame that has stopped is cut, and not the larger one that makes headway', async () => {
  // A clock that stands still, so that nobody is cut for being slow alone.
  const relay = await start(await newData(), { limits: { heldBytes: 6 * MB, pingMs: 1000 }, clock: () => 1_000_000 })
  const { webSocket: watch } = await connectRaw(relay.url, makeAccount().device)
  const stopped = await connectMute(relay)
  socketOf(stopped).write(frameHeader(8 * MB))
  socketOf(stopped).write(NO_FRAME.subarray(0, 2 * MB))
  for (let i = 0; i < 4; i++) await once(watch, 'ping')
  const quick = await connectMute(relay)
  socketOf(quick).write(frameHeader(5 * MB))
  socketOf(quick).write(NO_FRAME.subarray(0, 5 * MB - 1))
  assert.is((await stopped.closed).refusal?.code, 'RATE_LIMITED')
  socketOf(quick).write(NO_FRAME.subarray(0, 1))
  assert.is((await quick.closed).refusal?.code, 'UNKNOWN_FRAME')
})

socketTest('a frame in single bytes costs what their chunks cost, and not what they say', async () => {
  const relay = await start(await newData(), { limits: { heldBytes: 256 * KB } })
  const [client, other] = [await connectMute(relay), await connectRaw(relay.url, makeAccount().device)]
  const socket = socketOf(client)
  socket.write(frameHeader(MB))
  let bytes = 0
  for (; client.webSocket.readyState === WebSocket.OPEN && bytes < 1024; bytes++) {
    socket.write(NO_FRAME.subarray(0, 1))
    await other.settle()
  }
  assert.is((await client.closed).refusal?.code, 'RATE_LIMITED', `after ${bytes} bytes`)
})

socketTest('control frames inside a frame are no way to send without an end', async () => {
  const relay = await start(await newData())
  const pongs = Buffer.concat(new Array<Uint8Array>(KB).fill(Uint8Array.of(0x8a, 0x82, 0, 0, 0, 0, 0, 0)))
  for (const [megabytes, code] of [
    [1, 'UNKNOWN_FRAME'],
    [9, 'FRAME_TOO_BIG']
  ] as const) {
    const client = await connectMute(relay)
    const socket = socketOf(client)
    socket.write(Uint8Array.of(0x02, 0x81, 0, 0, 0, 0, 0xff))
    for (let i = 0; i < (megabytes * MB) / pongs.length; i++) socket.write(pongs)
    socket.write(Uint8Array.of(0x80, 0x80, 0, 0, 0, 0))
    assert.is((await client.closed).refusal?.code, code, `${megabytes} MB of pongs`)
  }
})

socketTest('who sends many small frames at once does not keep the others waiting for all of them', async () => {
  const floodFrames = 100_000
  let asked = 0
  // Every ping asks for the time, which its pong says: so a pong tells how many pings were served before.
  const relay = await start(await newData(), { clock: () => ++asked / 1000 })
  const flood = await connectMute(relay)
  const other = await connectRaw(relay.url, makeAccount().device)
  const ping = Uint8Array.of(0x82, 0x81, 0, 0, 0, 0, encodeFrame({ type: 'ping' })[0] ?? 0)
  socketOf(flood).write(Buffer.concat(new Array<Uint8Array>(floodFrames).fill(ping)))
  other.send({ type: 'ping' })
  const { timeMs } = await other.take('pong')
  assert.ok(timeMs * 1000 * ping.length <= 2 * 64 * KB, `served after ${timeMs * 1000} of ${floodFrames}`)
})

// --- readers that do not read ---

socketTest('a reader on a slow line is served for longer than one that has stalled is kept', async () => {
  let nowMs = 1_000_000
  const { relay, share, ann } = await newBacklog({ clock: () => nowMs })
  const reader = await pausedReader(relay, ann, share.log)
  const after = async (ms: number, bytes: number) => {
    await taken(reader, bytes)
    const tick = await nextTick(relay)
    nowMs += ms
    await tick()
  }
  for (let i = 0; i < 5; i++) await after(limits.STALLED_MS_MAX - 1, 2 * MB)
  assert.is(relay.metrics().sessionsRefused, 5, 'after five minutes of one write: those who told the time')
  await after(limits.STALLED_MS_MAX, 0)
  assert.is(relay.metrics().sessionsRefused, 7)
  reader.webSocket.resume()
  assert.is((await reader.closed).code, 1006)
})

socketTest('who has not taken yet what it is sent is not asked for a pong, which would come after that', async () => {
  const { relay, share, ann, owner, seq } = await newBacklog({ limits: { pingMs: 200, socketBufferBytes: 64 * MB } })
  const reader = await pausedReader(relay, ann, share.log)
  for (let i = 0; i < 5; i++) await once(owner.webSocket, 'ping')
  reader.webSocket.resume()
  assert.is((await reader.readTo(share.log, seq)).length, BACKLOG_ENTRIES + 2)
})

socketTest(
  'what is made for readers who do not take it shares the budget: one is cut, the others get it all',
  async () => {
    const { relay, share, ann, owner, seq } = await newBacklog({ limits: { heldBytes: 40 * MB } })
    const readers: RawClient[] = []
    for (let i = 0; i < 3; i++) readers.push(await pausedReader(relay, ann, share.log))
    while (relay.metrics().sessionsRefused === 0) await owner.settle()
    const outcomes = readers.map(reader => {
      reader.webSocket.resume()
      return reader.readTo(share.log, seq).then(
        placed => placed.length,
        () => 'cut'
      )
    })
    const counts: (string | number)[] = await Promise.all(outcomes)
    assert.is(counts.filter(count => count === BACKLOG_ENTRIES + 2).length, 2)
    assert.is(counts.filter(count => count === 'cut').length, 1)
  }
)

// --- strangers ---

socketTest('a stranger may send 4 KiB in a frame and little besides, and then proves itself or goes', async () => {
  const relay = await start(await newData())
  for (const [bytes, code] of [
    [4 * KB, null],
    [32 * KB, 'FRAME_TOO_BIG']
  ] as const) {
    const { device } = makeAccount()
    const webSocket = new WebSocket(relay.url)
    const client = new RawClient(webSocket, device, null)
    webSocket.prependOnceListener('open', () => {
      // Pongs, which nobody asked for and nothing answers.
      for (let sent = 0; sent < bytes; sent += 131) webSocket.pong(new Uint8Array(125))
    })
    if (code === null) await client.opened
    else assert.is((await client.closed).refusal?.code, code)
  }
})

socketTest('who says nothing, or asks for nothing more, does not keep its socket', async () => {
  const relay = await start(await newData(), { limits: { handshakeMs: 300 } })
  const { hostname, port } = new URL(relay.url)
  const silent = connect(Number(port), hostname)
  const asked = connect(Number(port), hostname)
  asked.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n')
  let answer = ''
  asked.on('data', chunk => {
    answer += chunk
  })
  silent.resume()
  await Promise.all([once(silent, 'close'), once(asked, 'close')])
  assert.is(answer.split('HTTP/1.1 200 OK').length, 2, 'one request, one answer')
})

socketTest('who is denied an upgrade does not keep its socket by leaving its side open', async () => {
  const relay = await start(await newData(), { limits: { connectionsPerAddress: 1 } })
  const first = await connectRaw(relay.url, makeAccount().device)
  const { hostname, port } = new URL(relay.url)
  const denied = connect({ port: Number(port), host: hostname, allowHalfOpen: true })
  denied.write(upgradeRequest())
  denied.on('error', () => {})
  const [answer] = await once(denied, 'data')
  assert.match(String(answer), /^HTTP\/1.1 429 /)
  await once(denied.resume(), 'end')
  await first.close()
  await connectRaw(relay.url, makeAccount().device)
  denied.destroy()
})

socketTest('a relay has so many connections and no more, whatever their addresses', async () => {
  const relay = await start(await newData(), { limits: { connections: 2 } })
  const first = await connectRaw(relay.url, makeAccount().device)
  await connectRaw(relay.url, makeAccount().device)
  const { hostname, port } = new URL(relay.url)
  const denied = connect(Number(port), hostname)
  denied.write(upgradeRequest())
  const [answer] = await once(denied, 'data')
  assert.match(String(answer), /^HTTP\/1.1 503 [\s\S]*LIMIT_CONNECTIONS/)
  await once(denied, 'close')
  await first.close()
  await connectRaw(relay.url, makeAccount().device)
})

socketTest('more header bytes than anyone needs are refused before they are a request', async () => {
  const relay = await start(await newData())
  for (const [bytes, status] of [
    [7 * KB, 200],
    [9 * KB, 431]
  ] as const) {
    const asked = request(`${relay.url.replace('ws:', 'http:')}/health`, { headers: { padding: 'x'.repeat(bytes) } })
    asked.end()
    const [response] = await once(asked, 'response')
    assert.is(response.statusCode, status)
    response.resume()
  }
})

socketTest('metrics are numbers, under the same names whoever is there: no id and no address', async () => {
  const { relay, owner, share } = await newWorld()
  const empty = Object.keys((await start(await newData())).metrics())
  await owner.followed(share.log)
  assert.equal(Object.keys(relay.metrics()), empty)
  for (const value of Object.values(relay.metrics())) assert.type(value, 'number')
})

socketTest.run()

// --- connections ---

/** A device that has proved itself and answers no ping, so that nothing comes but what a test writes. */
async function connectMute({ url }: Relay): Promise<RawClient> {
  const client = new RawClient(new WebSocket(url, { autoPong: false }), makeAccount().device, null)
  await client.opened
  return client
}

/** A share of 30 MB, at a relay that makes up to 16 MB ready for each reader. */
async function newBacklog(options: Partial<RelayOptions>): Promise<World & { seq: number }> {
  const limits = { socketBufferBytes: 16 * MB, ...options.limits }
  const world = await newWorld({ ...options, limits })
  const { share, owner, life } = world
  const updates = Array.from({ length: BACKLOG_ENTRIES }, () => share.update(new Uint8Array(ENTRY_BYTES)))
  for (const update of updates) owner.append(share.log, life, update)
  const { seq } = decodeHead(await owner.appended(share.log, life, share.invite().entry))
  return { ...world, seq }
}

/** A device of the owner's that follows, and takes only what is in the buffers between it and the relay. */
async function pausedReader(relay: Relay, { device }: RawAccount, log: LogId): Promise<RawClient> {
  const reader = await connectRaw(relay.url, device, relay.key)
  await reader.followed(log)
  reader.webSocket.pause()
  return reader
}

/** The reader's socket takes so many bytes more. */
async function taken(reader: RawClient, bytes: number): Promise<void> {
  if (bytes === 0) return
  const socket = socketOf(reader)
  let left = bytes
  await new Promise<void>(done => {
    const count = (chunk: Uint8Array) => {
      left -= chunk.length
      if (left > 0) return
      socket.off('data', count)
      reader.webSocket.pause()
      done()
    }
    socket.on('data', count)
    reader.webSocket.resume()
  })
}

/**
 * Lets the relay read what was sent before.
 * @returns waits, when its time has come, until the relay has looked at its clock and judged those who came before
 */
async function nextTick({ url }: Relay): Promise<() => Promise<void>> {
  const stranger = new WebSocket(url)
  const closed = once(stranger, 'close')
  await once(stranger, 'open')
  // Its handshake is late at the first tick of a later time.
  return async () => void (await closed)
}

/** The beginning of a binary frame that a client may send, under the mask zero. */
function frameHeader(payloadBytes: number): Uint8Array {
  const header = Buffer.alloc(14)
  header[0] = 0x82
  header[1] = 0x80 | 127
  header.writeBigUInt64BE(BigInt(payloadBytes), 2)
  return header
}

function upgradeRequest(): string {
  const key = Buffer.from(dice(16)).toString('base64')
  const headers = ['Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
  return ['GET / HTTP/1.1', ...headers, `Sec-WebSocket-Key: ${key}`, '', ''].join('\r\n')
}

/** What ws writes to. */
function socketOf({ webSocket }: RawClient): Socket {
  const socket: unknown = Reflect.get(webSocket, '_socket')
  if (!(socket instanceof Socket)) throw new Error('this version of ws keeps its socket elsewhere')
  return socket
}
