/**
 * What the relay knows of a connection's other end: somewhere to put frames, and how full it is. Sockets are one kind
 * (socket.ts); a simulator brings its own. Not here: what the frames say (connection.ts).
 */
import type { Refusal } from '@lend/engine'

/** A frame for many readers: an edge prepares it for its wire once, whoever is first. */
export class SharedFrame {
  readonly bytes: Uint8Array
  #prepared: Uint8Array | null = null

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  prepare(make: (bytes: Uint8Array) => Uint8Array): Uint8Array {
    this.#prepared ??= make(this.bytes)
    return this.#prepared
  }
}

export interface Peer {
  /** Whose connections count together, see network.ts. */
  readonly network: string
  send(frame: Uint8Array): void
  sendShared(frame: SharedFrame): void
  /** Bytes that were sent and that the other end has not taken. */
  readonly bufferedBytes: number
  /** Bytes that the other end has taken since the start, also of a frame that is on its way. */
  readonly takenBytes: number
  /** Bytes that have come of a frame that is not whole; 0 when none has begun. */
  readonly unfinishedBytes: number
  /** The device has proved itself: from now on frames of FRAME_BYTES_MAX may come. */
  admit(): void
  /** Stops or goes on taking frames from the other end. */
  take(frames: boolean): void
  /** After what was sent; the refusal itself was sent as a frame. */
  close(refusal: Refusal): void
}

/** What an edge calls for one connection. */
export interface Session {
  /** @param frame kept, not copied */
  receive(frame: Uint8Array): void
  /** The other end has taken all that was buffered. */
  drained(): void
  /** The other end is gone. */
  closed(): void
  /** Refuses the whole session, for what only the edge can see. */
  close(refusal: Refusal): void
}
