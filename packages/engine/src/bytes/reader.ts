/**
 * Reads the fixed, big-endian layouts of docs/PROTOCOL.md. Every read is bounded: what is short, long or not in its one
 * encoding throws a Refusal with the code that the reader was made with.
 */
import { Refusal, type RefusalCode } from '../refusal.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #code: RefusalCode
  readonly #what: string
  #at = 0

  /** @param what names the thing being read in the refusal's sentence. */
  constructor(bytes: Uint8Array, code: RefusalCode, what: string) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#code = code
    this.#what = what
  }

  get at(): number {
    return this.#at
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2))
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4))
  }

  /** Eight bytes that hold an integer of at most 2^53 − 1. */
  u53(): number {
    const at = this.#advance(8)
    const high = this.#view.getUint32(at)
    if (high > 0x1fffff) this.fail('an integer is over 2^53 − 1')
    return high * 0x1_0000_0000 + this.#view.getUint32(at + 4)
  }

  /** A view of the next bytes, not a copy. */
  bytes(length: number): Uint8Array {
    const at = this.#advance(length)
    return this.#bytes.subarray(at, at + length)
  }

  /** u32 length, then that many bytes, at most `max`. */
  sized(max: number): Uint8Array {
    const length = this.u32()
    if (length > max) this.fail(`a part of ${length} bytes is over ${max}`)
    return this.bytes(length)
  }

  /** Sized UTF-8. */
  text(max: number): string {
    const bytes = this.sized(max)
    try {
      return utf8.decode(bytes)
    } catch {
      return this.fail('a text is not UTF-8')
    }
  }

  /** One byte, 0 or 1. */
  flag(): boolean {
    const byte = this.u8()
    if (byte > 1) this.fail(`a flag is ${byte}, want 0 or 1`)
    return byte === 1
  }

  /** A flag, then what `read` reads if it is 1. */
  optional<T>(read: () => T): T | null {
    return this.flag() ? read() : null
  }

  /** u32 count of at most `max`, then that many. */
  list<T>(max: number, read: () => T): T[] {
    const count = this.u32()
    if (count > max) this.fail(`a list of ${count} is over ${max}`)
    return Array.from({ length: count }, read)
  }

  rest(): Uint8Array {
    return this.bytes(this.left)
  }

  end(): void {
    if (this.left > 0) this.fail(`${this.left} bytes after its end`)
  }

  fail(why: string): never {
    throw new Refusal(this.#code, `${this.#what}: ${why}`)
  }

  #advance(length: number): number {
    const at = this.#at
    if (length > this.left) this.fail(`it ends after ${this.#bytes.length} bytes, want ${length - this.left} more`)
    this.#at = at + length
    return at
  }
}
