/** Handshake proofs: each is good for one connection, one relay and one party. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { inviteKeys } from '../../../packages/engine/src/access/invite.ts'
import { deviceKeys } from '../../../packages/engine/src/access/keys.ts'
import { logId } from '../../../packages/engine/src/bytes/ids.ts'
import {
  signGreeting,
  signPeek,
  signSession,
  verifyGreeting,
  verifyPeek,
  verifySession
} from '../../../packages/engine/src/protocol/handshake.ts'
import { crypto, seededDice } from '../world.ts'

const test = suite('protocol/handshake')

const dice = seededDice(81)
const relay = crypto.signingKeys(dice(32))
const device = deviceKeys(crypto, dice(32))
const nonces = { client: dice(32), relay: dice(32), relayKey: relay.publicKey }
const others = [
  { ...nonces, client: dice(32) },
  { ...nonces, relay: dice(32) },
  { ...nonces, relayKey: dice(32) }
]

test('a greeting proves the relay’s key over the client’s nonce, its own and the time', () => {
  const greeting = signGreeting(crypto, relay, nonces, 1000)
  assert.ok(verifyGreeting(crypto, greeting, nonces.client))
  assert.not(verifyGreeting(crypto, greeting, dice(32)))
  for (const over of [{ nonce: dice(32) }, { timeMs: 1001 }, { relayKey: device.id }, { signature: dice(64) }]) {
    assert.not(verifyGreeting(crypto, { ...greeting, ...over }, nonces.client))
  }
})

test('a session proof is of one device, both nonces and one relay', () => {
  const signature = signSession(crypto, device, nonces)
  assert.ok(verifySession(crypto, device.id, signature, nonces))
  assert.not(verifySession(crypto, deviceKeys(crypto, dice(32)).id, signature, nonces))
  for (const other of others) assert.not(verifySession(crypto, device.id, signature, other))
  const swapped = { ...nonces, client: nonces.relay, relay: nonces.client }
  assert.not(verifySession(crypto, device.id, signature, swapped))
})

test('a peek proof is of one invite, one log and one connection', () => {
  const invite = inviteKeys(crypto, dice(32))
  const log = logId(dice(32))
  const signature = signPeek(crypto, invite, log, nonces)
  assert.ok(verifyPeek(crypto, invite.id, signature, log, nonces))
  assert.not(verifyPeek(crypto, inviteKeys(crypto, dice(32)).id, signature, log, nonces))
  assert.not(verifyPeek(crypto, invite.id, signature, logId(dice(32)), nonces))
  for (const other of others) assert.not(verifyPeek(crypto, invite.id, signature, log, other))
})

test('no proof passes as another', () => {
  const invite = inviteKeys(crypto, dice(32))
  const asDevice = { id: device.id, signing: invite.signing }
  const session = signSession(crypto, asDevice, nonces)
  assert.not(verifyPeek(crypto, invite.id, session, logId(device.id), nonces))
})

test.run()
