/**
 * All that comes from outside: clock, timers, randomness, network, disk. Node's and the browser's are adapters of this;
 * a simulator brings its own and runs the same client.
 */
import type { AbstractLevel } from 'abstract-level'

export type Stop = () => void

export interface World {
  /** Milliseconds since 1970. May jump; nothing here trusts it alone. */
  now(): number
  /** Calls once, after so many milliseconds. */
  timer(ms: number, run: () => void): Stop
  /** Fresh random bytes. */
  dice(bytes: number): Uint8Array
  /** A number from 0 to 1 for jitter. */
  jitter(): number
  connect(url: string, events: SocketEvents): Socket
  /** @param path an account's folder (Node) or database prefix (browser) */
  disk(path: string): Disk
}

/** A connection that carries whole binary messages. */
export interface Socket {
  /** Bytes given to `send` that the network has not taken yet. */
  readonly bufferedBytes: number
  /** Bytes that have come, those of a message that is not whole yet included where that can be known. */
  readonly receivedBytes: number
  send(message: Uint8Array): void
  /** Reads nothing more until `resume`, so that the other side has to wait. Where a socket can't, as in a browser, there is none. */
  pause?(): void
  resume?(): void
  close(): void
}

export interface SocketEvents {
  open(): void
  message(bytes: Uint8Array): void
  /** Once, after which nothing comes any more; also when it never opened. */
  close(): void
}

/** Values are opaque bytes; what they hold is sealed before it gets here. */
// biome-ignore lint/suspicious/noExplicitAny: abstract-level's own "any backend format" parameter
export type Database = AbstractLevel<any, string, Uint8Array>

/** Small files and databases below one account's path. Names use `/` as separator. */
export interface Disk {
  /** Null when there is none. */
  readFile(name: string): Promise<Uint8Array | null>
  /** All or nothing, and durable when it resolves. Only its user may read it. */
  writeFile(name: string, bytes: Uint8Array): Promise<void>
  /** Overwritten, then removed, durably. Nothing happens when there is none. */
  destroyFile(name: string): Promise<void>
  /** The names below a folder, without the folder; empty when there is none. */
  list(folder: string): Promise<string[]>
  /** @throws LendError ALREADY_OPEN, NO_PERMISSION, DISK_FULL, STORE_CORRUPT */
  openDatabase(name: string): Promise<Database>
  /** Removes a closed database with every file of it. */
  destroyDatabase(name: string): Promise<void>
}
