/** Both sides of a connection: who gets in, what has a place when, and how each ends. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { deviceKeys } from '../../../packages/engine/src/access/keys.ts'
import { entryId, hex, incarnation, type LogId, logId } from '../../../packages/engine/src/bytes/ids.ts'
import { FRAME_BYTES_MAX, HANDSHAKE_MS_MAX, STRANGER_FRAME_BYTES_MAX } from '../../../packages/engine/src/limits.ts'
import { HEAD_BYTES } from '../../../packages/engine/src/log/head.ts'
import { decodeFrame, encodeFrame, type Frame } from '../../../packages/engine/src/protocol/frames.ts'
import { signGreeting } from '../../../packages/engine/src/protocol/handshake.ts'
import { type RefusalCode, refuse } from '../../../packages/engine/src/refusal.ts'
import { type ClientEffect, ClientSession } from '../../../packages/engine/src/session/client-session.ts'
import { type RelayEffect, RelaySession } from '../../../packages/engine/src/session/relay-session.ts'
import { crypto, known, mutate, seededDice, seededInts } from '../world.ts'

const test = suite('session/sessions')

const NOW = 1_700_000_000_000

function pair(seed: number, o: { pinned?: 'right' | 'wrong' | null } = {}) {
  const dice = seededDice(seed)
  const keys = crypto.signingKeys(dice(32))
  const device = deviceKeys(crypto, dice(32))
  const relay = new RelaySession({ suite: crypto, keys, dice, nowMs: NOW })
  const pinned = o.pinned === 'wrong' ? dice(32) : o.pinned === 'right' ? keys.publicKey : null
  const client = new ClientSession({ suite: crypto, device, relayKey: pinned, dice })
  return { dice, keys, device, relay, client }
}

/** The frames among some effects. */
const sent = (effects: readonly (ClientEffect | RelayEffect)[]) =>
  effects.flatMap(effect => (effect.do === 'send' ? [effect.frame] : []))
const first = (effects: readonly (ClientEffect | RelayEffect)[]) => known(sent(effects)[0])
const does = (effects: readonly (ClientEffect | RelayEffect)[]) => effects.map(effect => effect.do)

function closedWith(effects: readonly (ClientEffect | RelayEffect)[], code: RefusalCode): void {
  const close = effects.find(effect => effect.do === 'close')
  assert.is(close?.do === 'close' && close.refusal.code, code)
}

function open(p: ReturnType<typeof pair>): RelayEffect[] {
  const greeting = first(p.relay.receive(first(p.client.start()), NOW))
  const admitted = p.relay.receive(first(p.client.receive(greeting)), NOW + 5)
  p.client.receive(known(sent(admitted).at(-1)))
  return admitted
}

const log = logId(new Uint8Array(32).fill(3))
const head = new Uint8Array(HEAD_BYTES)
const life = incarnation(new Uint8Array(16))
const requests: Frame[] = [
  { type: 'follow', log, cursor: null, head: null, invite: null, accountProof: [] },
  { type: 'unfollow', log },
  { type: 'append', log, incarnation: life, entries: [] },
  { type: 'offer', log, incarnation: life, entries: [] },
  { type: 'ready', log, incarnation: life }
]
const deliveries: Frame[] = [
  { type: 'following', log, standing: 'owner', incarnation: life, from: 0, entriesTotal: 0, bytesTotal: 0, head },
  { type: 'entries', log, incarnation: life, upTo: 0, head, entries: [] },
  { type: 'ack', log, head, ids: [] },
  { type: 'pong', timeMs: 1 },
  {
    type: 'refused',
    log,
    entry: entryId(new Uint8Array(32)),
    code: 'CTR_GAP',
    retryAfterMs: null,
    sentence: '',
    top: null
  }
]
/** What either side may send. */
const shared: Frame[] = [
  { type: 'receipts', log, receipts: [] },
  { type: 'receipts-stored', log, devices: [] }
]
const handshake: Frame[] = [
  { type: 'hello', nonce: new Uint8Array(32) },
  {
    type: 'greeting',
    relayKey: new Uint8Array(32),
    nonce: new Uint8Array(32),
    timeMs: 0,
    signature: new Uint8Array(64)
  },
  { type: 'prove', device: deviceKeys(crypto, new Uint8Array(32)).id, signature: new Uint8Array(64) },
  { type: 'welcome', timeMs: 0 }
]

test('two honest sides open in four frames, bound to the same nonces', () => {
  const p = pair(1, { pinned: 'right' })
  assert.equal([p.client.state, p.relay.state], ['waiting', 'greeting'])
  const hello = first(p.client.start())
  const greeted = p.relay.receive(hello, NOW)
  assert.is(p.relay.state, 'proving')
  const proved = p.client.receive(first(greeted))
  assert.is(p.client.state, 'proving')
  assert.is(p.relay.device, null)
  const admitted = p.relay.receive(first(proved), NOW + 5)
  assert.equal(does(admitted), ['admit', 'send'])
  assert.is(hex(known(p.relay.device)), hex(p.device.id))
  const opened = p.client.receive(first(admitted))
  assert.equal(does(opened), ['open'])
  const [effect] = opened
  assert.equal(effect?.do === 'open' && effect.nonces, p.relay.nonces)
  assert.is(effect?.do === 'open' && effect.timeMs, NOW + 5)
  assert.equal([p.client.state, p.relay.state], ['open', 'open'])
})

test('a refusal may ask for an hour at most, and before the relay has proved its key for nothing', () => {
  const asked = (p: ReturnType<typeof pair>, log: LogId | null, retryAfterMs: number) => {
    const frame = {
      type: 'refused',
      log,
      entry: null,
      code: 'RATE_LIMITED',
      retryAfterMs,
      sentence: '',
      top: null
    } as const
    const [effect] = p.client.receive(encodeFrame(frame))
    if (effect?.do === 'close') return effect.refusal.retryAfterMs
    return effect?.do === 'deliver' && effect.frame.type === 'refused' && effect.frame.retryAfterMs
  }
  const hourMs = 60 * 60 * 1000
  const stranger = pair(1)
  stranger.client.start()
  assert.is(asked(stranger, null, 1), null)
  const proving = pair(2)
  proving.client.receive(first(proving.relay.receive(first(proving.client.start()), NOW)))
  assert.is(asked(proving, null, 2 ** 53 - 1), hourMs)
  const p = pair(3)
  open(p)
  assert.is(asked(p, log, hourMs), hourMs)
  assert.is(asked(p, log, hourMs + 1), hourMs)
  assert.is(asked(p, null, hourMs - 1), hourMs - 1)
})

test('an open relay serves each request, answers a ping and refuses what only relays send', () => {
  for (const frame of [...requests, ...shared]) {
    const p = pair(2)
    open(p)
    assert.equal(p.relay.receive(encodeFrame(frame), NOW), [{ do: 'serve', request: frame }])
  }
  const p = pair(2)
  open(p)
  const pong = decodeFrame(first(p.relay.receive(encodeFrame({ type: 'ping' }), NOW + 9)))
  assert.equal(pong, { type: 'pong', timeMs: NOW + 9 })
  for (const frame of [...handshake, ...deliveries]) {
    const other = pair(2)
    open(other)
    closedWith(other.relay.receive(encodeFrame(frame), NOW), 'UNEXPECTED_FRAME')
  }
})

test('an open client delivers what relays send and refuses what only clients send', () => {
  for (const frame of [...deliveries, ...shared]) {
    const p = pair(3)
    open(p)
    assert.equal(p.client.receive(encodeFrame(frame)), [{ do: 'deliver', frame }])
  }
  for (const frame of [...handshake, ...requests, { type: 'ping' } as const]) {
    const p = pair(3)
    open(p)
    closedWith(p.client.receive(encodeFrame(frame)), 'UNEXPECTED_FRAME')
  }
})

test('nothing but the next frame of the handshake has a place before it is done', () => {
  for (const frame of [...requests, ...deliveries, ...shared, { type: 'ping' } as const, known(handshake[2])]) {
    closedWith(pair(4).relay.receive(encodeFrame(frame), NOW), 'UNEXPECTED_FRAME')
  }
  for (const frame of [...requests, ...deliveries, ...shared, known(handshake[3])]) {
    closedWith(pair(4).client.receive(encodeFrame(frame)), 'UNEXPECTED_FRAME')
  }
  const p = pair(4)
  p.relay.receive(first(p.client.start()), NOW)
  closedWith(p.relay.receive(first(p.client.start()), NOW), 'UNEXPECTED_FRAME')
})

test('a client refuses a relay that does not prove its key, and says so when the key is another than before', () => {
  const p = pair(5)
  const nonces = { client: new Uint8Array(32), relay: p.dice(32) }
  closedWith(p.client.receive(encodeFrame(signGreeting(crypto, p.keys, nonces, NOW))), 'BAD_AUTH')
  const wrong = pair(5, { pinned: 'wrong' })
  const effects = wrong.client.receive(first(wrong.relay.receive(first(wrong.client.start()), NOW)))
  closedWith(effects, 'BAD_AUTH')
  assert.is(effects[0]?.do === 'close' && effects[0].keyChanged, true)
  assert.is(wrong.client.state, 'closed')
})

test('a relay refuses a device that signed another connection', () => {
  const one = pair(6)
  const other = pair(7)
  const proof = first(one.client.receive(first(one.relay.receive(first(one.client.start()), NOW))))
  other.relay.receive(first(other.client.start()), NOW)
  const effects = other.relay.receive(proof, NOW)
  closedWith(effects, 'BAD_AUTH')
  assert.is(other.relay.device, null)
  const told = decodeFrame(first(effects))
  assert.is(told.type === 'refused' && told.code, 'BAD_AUTH')
})

test('a stranger’s frames are bounded, an admitted device’s much later', () => {
  const p = pair(8)
  assert.is(p.relay.frameBytesMax, STRANGER_FRAME_BYTES_MAX)
  closedWith(p.relay.receive(new Uint8Array(STRANGER_FRAME_BYTES_MAX + 1), NOW), 'FRAME_TOO_BIG')
  closedWith(pair(8).relay.receive(new Uint8Array(STRANGER_FRAME_BYTES_MAX), NOW), 'UNKNOWN_FRAME')
  const q = pair(8)
  open(q)
  assert.is(q.relay.frameBytesMax, FRAME_BYTES_MAX)
  const big: Frame = { type: 'append', log, incarnation: life, entries: [new Uint8Array(STRANGER_FRAME_BYTES_MAX)] }
  assert.equal(does(q.relay.receive(encodeFrame(big), NOW)), ['serve'])
})

test('a stranger has its time and not a millisecond more; an open session has no such end', () => {
  for (const greeted of [false, true]) {
    const p = pair(9)
    if (greeted) p.relay.receive(first(p.client.start()), NOW + 9000)
    assert.equal(p.relay.tick(NOW + HANDSHAKE_MS_MAX - 1), [])
    closedWith(p.relay.tick(NOW + HANDSHAKE_MS_MAX), 'HANDSHAKE_SLOW')
    assert.equal(p.relay.tick(NOW + HANDSHAKE_MS_MAX), [])
  }
  const p = pair(9)
  open(p)
  assert.equal(p.relay.tick(NOW + 10 * HANDSHAKE_MS_MAX), [])
})

test('a closed side does nothing more', () => {
  const p = pair(10)
  open(p)
  assert.equal(does(p.relay.close(refuse('RELAY_CLOSING', 'closing'))), ['send', 'close'])
  assert.equal(p.relay.close(refuse('RELAY_CLOSING', 'closing')), [])
  assert.equal(p.relay.receive(encodeFrame({ type: 'ping' }), NOW), [])
  assert.is(p.relay.device, null)
  p.client.receive(new Uint8Array(0))
  assert.is(p.client.state, 'closed')
  assert.equal(p.client.receive(encodeFrame({ type: 'pong', timeMs: 1 })), [])
  assert.equal(p.client.start(), [])
})

test('a refusal of the session closes the client with its code, and its delay once it is open, one of a log does not', () => {
  const refused = {
    type: 'refused',
    log: null,
    entry: null,
    code: 'RATE_LIMITED',
    retryAfterMs: 700,
    sentence: 'slow down',
    top: null
  } as const
  for (const opened of [false, true]) {
    const p = pair(11)
    if (opened) open(p)
    const effects = p.client.receive(encodeFrame(refused))
    closedWith(effects, 'RATE_LIMITED')
    assert.is(effects[0]?.do === 'close' && effects[0].refusal.retryAfterMs, opened ? 700 : null)
  }
  const p = pair(11)
  open(p)
  assert.equal(does(p.client.receive(encodeFrame({ ...refused, log }))), ['deliver'])
})

test('hostile bytes at any point close the session with a code and throw nothing', () => {
  const int = seededInts(12)
  const changed = (frame: Uint8Array): Uint8Array => {
    const mutant = mutate(frame, int)
    return hex(mutant) === hex(frame) ? changed(frame) : mutant
  }
  const p = pair(12)
  const script: Uint8Array[] = [first(p.client.start())]
  script.push(first(p.relay.receive(known(script[0]), NOW)))
  script.push(first(p.client.receive(known(script[1]))))
  for (let i = 0; i < 3000; i++) {
    const q = pair(12)
    const hello = first(q.client.start())
    if (int(2) === 0) q.relay.receive(hello, NOW)
    q.relay.receive(changed(known(script[int(3)])), NOW)
    q.client.receive(changed(known(script[int(3)])))
    assert.is.not(q.relay.state, 'open')
    assert.is.not(q.client.state, 'open')
  }
})

test.run()
