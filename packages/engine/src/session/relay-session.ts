/**
 * The relay's side of one connection, without a socket: bytes in, effects out.
 *
 *   greeting → proving → open → closed      (any → closed)
 *
 * What a request means for a log is the relay's business; here it is decided whether this peer may ask at all.
 */
import type { DeviceId } from '../bytes/ids.ts'
import type { Dice, KeyPair, Suite } from '../crypto/suite.ts'
import { FRAME_BYTES_MAX, HANDSHAKE_MS_MAX, STRANGER_FRAME_BYTES_MAX } from '../limits.ts'
import {
  type Append,
  decodeFrame,
  encodeFrame,
  type Follow,
  type Frame,
  type Offer,
  type Prove,
  type Ready,
  type Receipts,
  type ReceiptsStored,
  type Unfollow
} from '../protocol/frames.ts'
import { type Nonces, signGreeting, verifySession } from '../protocol/handshake.ts'
import { Refusal, refuse } from '../refusal.ts'

/** What an open session may ask of the relay. */
export type Request = Follow | Unfollow | Append | Offer | Ready | Receipts | ReceiptsStored

export type RelayEffect =
  | { readonly do: 'send'; readonly frame: Uint8Array }
  /** From now on frames of FRAME_BYTES_MAX are taken. */
  | { readonly do: 'admit'; readonly device: DeviceId }
  | { readonly do: 'serve'; readonly request: Request }
  /** After what was sent. */
  | { readonly do: 'close'; readonly refusal: Refusal }

type State =
  | { readonly state: 'greeting'; readonly sinceMs: number }
  | { readonly state: 'proving'; readonly sinceMs: number; readonly nonces: Nonces }
  | { readonly state: 'open'; readonly device: DeviceId; readonly nonces: Nonces }
  | { readonly state: 'closed' }

export class RelaySession {
  readonly #suite: Suite
  readonly #keys: KeyPair
  readonly #dice: Dice
  #state: State

  /** @param o.keys the relay's signing keys, which clients pin */
  constructor(o: { suite: Suite; keys: KeyPair; dice: Dice; nowMs: number }) {
    this.#suite = o.suite
    this.#keys = o.keys
    this.#dice = o.dice
    this.#state = { state: 'greeting', sinceMs: o.nowMs }
  }

  get state(): State['state'] {
    return this.#state.state
  }

  /** Null before the session is open. */
  get device(): DeviceId | null {
    return this.#state.state === 'open' ? this.#state.device : null
  }

  /** What proofs over this connection are bound to; null before the session is open. */
  get nonces(): Nonces | null {
    return this.#state.state === 'open' ? this.#state.nonces : null
  }

  get frameBytesMax(): number {
    return this.#state.state === 'open' ? FRAME_BYTES_MAX : STRANGER_FRAME_BYTES_MAX
  }

  receive(bytes: Uint8Array, nowMs: number): RelayEffect[] {
    if (this.#state.state === 'closed') return []
    try {
      return this.#take(decodeFrame(bytes, this.frameBytesMax), nowMs)
    } catch (error) {
      if (error instanceof Refusal) return this.close(error)
      throw error
    }
  }

  /**
   * To be called now and then: a stranger has its time to prove its device.
   * @param handshakeMs how long, HANDSHAKE_MS_MAX unless the operator says otherwise
   */
  tick(nowMs: number, handshakeMs = HANDSHAKE_MS_MAX): RelayEffect[] {
    const state = this.#state
    if (state.state !== 'greeting' && state.state !== 'proving') return []
    if (nowMs - state.sinceMs < handshakeMs) return []
    return this.close(refuse('HANDSHAKE_SLOW', `handshake: not done within ${handshakeMs} ms; connect again`))
  }

  close(refusal: Refusal): RelayEffect[] {
    if (this.#state.state === 'closed') return []
    this.#state = { state: 'closed' }
    return [
      { do: 'send', frame: encodeRefusal(refusal) },
      { do: 'close', refusal }
    ]
  }

  #take(frame: Frame, nowMs: number): RelayEffect[] {
    const state = this.#state
    if (state.state === 'greeting' && frame.type === 'hello') {
      const nonces: Nonces = { client: frame.nonce.slice(), relay: this.#dice(32), relayKey: this.#keys.publicKey }
      this.#state = { state: 'proving', sinceMs: state.sinceMs, nonces }
      return [{ do: 'send', frame: encodeFrame(signGreeting(this.#suite, this.#keys, nonces, nowMs)) }]
    }
    if (state.state === 'proving' && frame.type === 'prove') return this.#prove(frame, state.nonces, nowMs)
    if (state.state === 'open') {
      if (frame.type === 'ping') return [{ do: 'send', frame: encodeFrame({ type: 'pong', timeMs: nowMs }) }]
      if (isRequest(frame)) return [{ do: 'serve', request: frame }]
    }
    throw refuse('UNEXPECTED_FRAME', `frame: ${frame.type} has no place in a session that is ${state.state}`)
  }

  #prove(frame: Prove, nonces: Nonces, nowMs: number): RelayEffect[] {
    if (!verifySession(this.#suite, frame.device, frame.signature, nonces)) {
      throw refuse('BAD_AUTH', 'handshake: the device has not signed this connection')
    }
    this.#state = { state: 'open', device: frame.device.slice() as DeviceId, nonces }
    return [
      { do: 'admit', device: this.#state.device },
      { do: 'send', frame: encodeFrame({ type: 'welcome', timeMs: nowMs }) }
    ]
  }
}

/** A refusal of the whole session as a frame. */
function encodeRefusal(refusal: Refusal): Uint8Array {
  return encodeFrame({
    type: 'refused',
    log: null,
    entry: null,
    code: refusal.code,
    retryAfterMs: refusal.retryAfterMs,
    sentence: refusal.message,
    top: null
  })
}

function isRequest(frame: Frame): frame is Request {
  switch (frame.type) {
    case 'follow':
    case 'unfollow':
    case 'append':
    case 'offer':
    case 'ready':
    case 'receipts':
    case 'receipts-stored':
      return true
    default:
      return false
  }
}
