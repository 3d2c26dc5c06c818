/**
 * A WebSocket message that has begun and not ended: how far it is, and what it makes this process hold. ws keeps the
 * chunks in which it came until it is whole. Its receiver knows the state of that and bounds the message, but is not in
 * the interface of ws: this is the one place that looks into it.
 */

import type { WebSocket } from 'ws'
import * as ws from 'ws'

/** What a chunk costs besides its bytes, however few: 1,007 were measured (Node 20). */
export const CHUNK_BYTES = 1024

interface Receiver {
  /** The largest message; more than this is cut by its header. */
  _maxPayload: number
  /** Bytes of a frame that is not whole. */
  readonly _bufferedBytes: number
  /** Payload bytes that the headers of a message's frames have announced so far. */
  readonly _totalPayloadLength: number
}

export class Unfinished {
  readonly #receiver: Receiver
  #bytes = 0
  #chunks = 0
  #ended = false

  /** @throws Error when this version of ws keeps its state elsewhere */
  constructor(webSocket: WebSocket) {
    this.#receiver = asReceiver('_receiver' in webSocket ? webSocket._receiver : null)
  }

  /** Bytes of the message so far; the chunk in which it began counts whole. 0 when none has begun. */
  get bytes(): number {
    return this.#bytes
  }

  /** Bytes of memory that it holds at most. */
  get heldBytes(): number {
    return this.#bytes + this.#chunks * CHUNK_BYTES
  }

  limit(messageBytesMax: number): void {
    this.#receiver._maxPayload = messageBytesMax
  }

  /** A message is whole, or a control frame, which may stand inside a message. Another may begin in the same chunk. */
  end(): void {
    if (this.#receiver._totalPayloadLength === 0) this.#ended = true
  }

  /** A chunk has come, and ws has taken what it could. */
  grow(chunkBytes: number): void {
    const { _bufferedBytes, _totalPayloadLength } = this.#receiver
    const isWhole = _bufferedBytes === 0 && _totalPayloadLength === 0
    if (isWhole || this.#ended) {
      this.#bytes = 0
      this.#chunks = 0
      this.#ended = false
    }
    if (isWhole) return
    this.#bytes += chunkBytes
    this.#chunks++
  }
}

/** @throws Error at the start, not at the first connection, when this version of ws keeps its state elsewhere */
export function checkReceiver(): void {
  const Receiver: unknown = 'Receiver' in ws ? ws.Receiver : null
  asReceiver(typeof Receiver === 'function' ? Reflect.construct(Receiver, [{}]) : null)
}

function asReceiver(receiver: unknown): Receiver {
  if (isReceiver(receiver)) return receiver
  throw new Error('this version of ws keeps the state of its messages elsewhere: use the pinned one')
}

function isReceiver(receiver: unknown): receiver is Receiver {
  if (typeof receiver !== 'object' || receiver === null) return false
  const fields = ['_maxPayload', '_bufferedBytes', '_totalPayloadLength']
  return fields.every(field => typeof Reflect.get(receiver, field) === 'number')
}
