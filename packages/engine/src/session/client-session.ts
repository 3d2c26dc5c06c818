/**
 * The client's side of one connection, without a socket: bytes in, effects out.
 *
 *   waiting → proving → open → closed      (any → closed)
 */

import type { DeviceKeys } from '../access/keys.ts'
import { same } from '../bytes/ids.ts'
import type { Dice, Suite } from '../crypto/suite.ts'
import { RETRY_AFTER_MS_MAX } from '../limits.ts'
import {
  type Ack,
  decodeFrame,
  type Entries,
  encodeFrame,
  type Following,
  type Frame,
  type Greeting,
  type Pong,
  type Receipts,
  type ReceiptsStored,
  type Refused
} from '../protocol/frames.ts'
import { type Nonces, signSession, verifyGreeting } from '../protocol/handshake.ts'
import { Refusal, refuse } from '../refusal.ts'

/** What a relay sends in an open session. */
export type Delivery = Following | Entries | Ack | Refused | Receipts | ReceiptsStored | Pong

export type ClientEffect =
  | { readonly do: 'send'; readonly frame: Uint8Array }
  /** The handshake is done. */
  | { readonly do: 'open'; readonly nonces: Nonces; readonly timeMs: number }
  | { readonly do: 'deliver'; readonly frame: Delivery }
  /** `keyChanged`: the relay at this address has another key than the pinned one. */
  | { readonly do: 'close'; readonly refusal: Refusal; readonly keyChanged: boolean }

type State =
  | { readonly state: 'waiting'; readonly nonce: Uint8Array }
  | { readonly state: 'proving'; readonly nonces: Nonces }
  | { readonly state: 'open' }
  | { readonly state: 'closed' }

export class ClientSession {
  readonly #suite: Suite
  readonly #device: DeviceKeys
  readonly #pinned: Uint8Array | null
  #state: State

  /** @param o.relayKey the key pinned for this relay; null to take what it shows */
  constructor(o: { suite: Suite; device: DeviceKeys; relayKey: Uint8Array | null; dice: Dice }) {
    this.#suite = o.suite
    this.#device = o.device
    this.#pinned = o.relayKey
    this.#state = { state: 'waiting', nonce: o.dice(32) }
  }

  get state(): State['state'] {
    return this.#state.state
  }

  /** What to send as soon as the socket is open. */
  start(): ClientEffect[] {
    if (this.#state.state !== 'waiting') return []
    return [{ do: 'send', frame: encodeFrame({ type: 'hello', nonce: this.#state.nonce }) }]
  }

  receive(bytes: Uint8Array): ClientEffect[] {
    if (this.#state.state === 'closed') return []
    try {
      return this.#take(this.#bounded(decodeFrame(bytes)))
    } catch (error) {
      if (error instanceof Refusal) return this.#close(error)
      throw error
    }
  }

  #take(frame: Frame): ClientEffect[] {
    const state = this.#state
    if (frame.type === 'refused' && frame.log === null) {
      return this.#close(new Refusal(frame.code, frame.sentence, frame.retryAfterMs))
    }
    if (state.state === 'waiting' && frame.type === 'greeting') return this.#greet(frame, state.nonce)
    if (state.state === 'proving' && frame.type === 'welcome') {
      this.#state = { state: 'open' }
      return [{ do: 'open', nonces: state.nonces, timeMs: frame.timeMs }]
    }
    if (state.state === 'open' && isDelivery(frame)) return [{ do: 'deliver', frame }]
    throw refuse('UNEXPECTED_FRAME', `frame: ${frame.type} has no place in a session that is ${state.state}`)
  }

  /** How long a relay may ask for: nothing before it has proved its key, and never long enough to silence this side. */
  #bounded(frame: Frame): Frame {
    if (frame.type !== 'refused' || frame.retryAfterMs === null) return frame
    const isStranger = this.#state.state === 'waiting'
    return { ...frame, retryAfterMs: isStranger ? null : Math.min(frame.retryAfterMs, RETRY_AFTER_MS_MAX) }
  }

  #greet(greeting: Greeting, nonce: Uint8Array): ClientEffect[] {
    if (!verifyGreeting(this.#suite, greeting, nonce)) {
      throw refuse('BAD_AUTH', 'handshake: the relay has not proved its key')
    }
    if (this.#pinned && !same(this.#pinned, greeting.relayKey)) {
      return this.#close(refuse('BAD_AUTH', 'handshake: the relay has another key than before'), true)
    }
    const nonces: Nonces = { client: nonce, relay: greeting.nonce.slice(), relayKey: greeting.relayKey.slice() }
    this.#state = { state: 'proving', nonces }
    const signature = signSession(this.#suite, this.#device, nonces)
    return [{ do: 'send', frame: encodeFrame({ type: 'prove', device: this.#device.id, signature }) }]
  }

  #close(refusal: Refusal, keyChanged = false): ClientEffect[] {
    this.#state = { state: 'closed' }
    return [{ do: 'close', refusal, keyChanged }]
  }
}

function isDelivery(frame: Frame): frame is Delivery {
  switch (frame.type) {
    case 'following':
    case 'entries':
    case 'ack':
    case 'refused':
    case 'receipts':
    case 'receipts-stored':
    case 'pong':
      return true
    default:
      return false
  }
}
