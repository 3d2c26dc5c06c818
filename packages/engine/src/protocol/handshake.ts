/**
 * The proofs of the handshake. The relay proves its key over the client's nonce; the device proves itself over both
 * nonces and the relay's key, so a proof is good for one connection to one relay. Source: docs/PROTOCOL.md, Handshake.
 */

import type { InviteKeys } from '../access/invite.ts'
import type { DeviceId, LogId } from '../bytes/ids.ts'
import { Writer } from '../bytes/writer.ts'
import type { KeyPair, Suite } from '../crypto/suite.ts'
import type { Greeting } from './frames.ts'

/** What both sides know once the relay has greeted. */
export interface Nonces {
  readonly client: Uint8Array
  readonly relay: Uint8Array
  readonly relayKey: Uint8Array
}

export function signGreeting(suite: Suite, keys: KeyPair, nonces: Omit<Nonces, 'relayKey'>, timeMs: number): Greeting {
  const signature = suite.sign(keys.secretKey, 'relay greeting', nonces.client, nonces.relay, timeBytes(timeMs))
  return { type: 'greeting', relayKey: keys.publicKey, nonce: nonces.relay, timeMs, signature }
}

export function verifyGreeting(suite: Suite, greeting: Greeting, clientNonce: Uint8Array): boolean {
  const { relayKey, signature, nonce, timeMs } = greeting
  return suite.verify(relayKey, signature, 'relay greeting', clientNonce, nonce, timeBytes(timeMs))
}

export function signSession(suite: Suite, device: { id: DeviceId; signing: KeyPair }, nonces: Nonces): Uint8Array {
  return suite.sign(device.signing.secretKey, 'session', nonces.relayKey, nonces.relay, nonces.client, device.id)
}

export function verifySession(suite: Suite, device: DeviceId, signature: Uint8Array, nonces: Nonces): boolean {
  return suite.verify(device, signature, 'session', nonces.relayKey, nonces.relay, nonces.client, device)
}

/** An invite's holder shows that it has the link: good for one connection and one log. */
export function signPeek(suite: Suite, keys: InviteKeys, log: LogId, nonces: Nonces): Uint8Array {
  return suite.sign(keys.signing.secretKey, 'invite peek', nonces.relayKey, nonces.relay, nonces.client, log)
}

export function verifyPeek(
  suite: Suite,
  invite: Uint8Array,
  signature: Uint8Array,
  log: LogId,
  nonces: Nonces
): boolean {
  return suite.verify(invite, signature, 'invite peek', nonces.relayKey, nonces.relay, nonces.client, log)
}

function timeBytes(timeMs: number): Uint8Array {
  return new Writer().u53(timeMs).finish()
}
