/**
 * Writes the fixed, big-endian layouts of docs/PROTOCOL.md; the mirror of reader.ts, over lib0's growing buffer.
 * Values out of range are our own bug and throw RangeError.
 */
import * as encoding from 'lib0/encoding'

const utf8 = new TextEncoder()

export class Writer {
  readonly #encoder = encoding.createEncoder()

  get length(): number {
    return encoding.length(this.#encoder)
  }

  u8(value: number): this {
    return this.#integer(value, 1)
  }

  u16(value: number): this {
    return this.#integer(value, 2)
  }

  u32(value: number): this {
    return this.#integer(value, 4)
  }

  u53(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not an integer under 2^53`)
    return this.#integer(Math.floor(value / 0x1_0000_0000), 4).#integer(value % 0x1_0000_0000, 4)
  }

  bytes(bytes: Uint8Array): this {
    encoding.writeUint8Array(this.#encoder, bytes)
    return this
  }

  sized(bytes: Uint8Array): this {
    return this.u32(bytes.length).bytes(bytes)
  }

  text(text: string): this {
    return this.sized(utf8.encode(text))
  }

  flag(value: boolean): this {
    return this.u8(value ? 1 : 0)
  }

  optional<T>(value: T | null, write: (value: T) => void): this {
    this.flag(value !== null)
    if (value !== null) write(value)
    return this
  }

  list<T>(values: readonly T[], write: (value: T) => void): this {
    this.u32(values.length)
    for (const value of values) write(value)
    return this
  }

  finish(): Uint8Array {
    return encoding.toUint8Array(this.#encoder)
  }

  #integer(value: number, bytes: number): this {
    if (!Number.isInteger(value) || value < 0 || value >= 256 ** bytes) {
      throw new RangeError(`${value} does not fit ${bytes} bytes`)
    }
    for (let shift = bytes - 1; shift >= 0; shift--) {
      encoding.write(this.#encoder, Math.floor(value / 256 ** shift) & 0xff)
    }
    return this
  }
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
