/**
 * What came on one socket and is not handled yet: a relay can send faster than a device takes. Over a bound the socket is
 * paused until half of it is handled; one that can't pause, as a browser's, is given up over a larger one.
 */
import type { Socket } from '../world.ts'

const PAUSE_BYTES = 16 * 1024 * 1024
const CLOSE_BYTES = 64 * 1024 * 1024

export class Inbox {
  readonly #socket: Socket
  readonly #resumed: () => void
  readonly #overflowed: () => void
  #bytes = 0
  #isPaused = false

  constructor(socket: Socket, o: { resumed: () => void; overflowed: () => void }) {
    this.#socket = socket
    this.#resumed = o.resumed
    this.#overflowed = o.overflowed
  }

  /** Nothing comes because nothing is read. */
  get isPaused(): boolean {
    return this.#isPaused
  }

  /** @param handled resolves when the frame of so many bytes is done with; never rejects */
  hold(bytes: number, handled: Promise<void>): void {
    this.#bytes += bytes
    if (this.#bytes > CLOSE_BYTES) this.#overflowed()
    else if (this.#bytes > PAUSE_BYTES && !this.#isPaused && this.#socket.pause) {
      this.#isPaused = true
      this.#socket.pause()
    }
    void handled.then(() => {
      this.#bytes -= bytes
      if (!this.#isPaused || this.#bytes > PAUSE_BYTES / 2) return
      this.#isPaused = false
      this.#socket.resume?.()
      this.#resumed()
    })
  }
}
