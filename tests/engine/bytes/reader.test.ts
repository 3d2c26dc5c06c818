/** Reader and writer: fixed layouts, one encoding for each value, and nothing but a Refusal for all else. */
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Reader } from '../../../packages/engine/src/bytes/reader.ts'
import { concat, Writer } from '../../../packages/engine/src/bytes/writer.ts'
import { decodedOrRefused, equalBytes, throwsRefusal } from '../world.ts'

const test = suite('bytes/reader')

const read = (bytes: Uint8Array | readonly number[]) => new Reader(Uint8Array.from(bytes), 'BAD_ENTRY', 'thing')
const bytes = fc.uint8Array({ maxLength: 40 })

test('integers come back as they were written', () => {
  const values = fc.tuple(
    fc.integer({ min: 0, max: 0xff }),
    fc.integer({ min: 0, max: 0xffff }),
    fc.integer({ min: 0, max: 0xffff_ffff }),
    fc.maxSafeNat()
  )
  fc.assert(
    fc.property(values, ([a, b, c, d]) => {
      const r = read(new Writer().u8(a).u16(b).u32(c).u53(d).finish())
      assert.equal([r.u8(), r.u16(), r.u32(), r.u53()], [a, b, c, d])
      r.end()
    })
  )
})

test('integers are big-endian and have a fixed length', () => {
  equalBytes(
    new Writer()
      .u8(1)
      .u16(2)
      .u32(3)
      .u53(2 ** 53 - 1)
      .finish(),
    Uint8Array.of(1, 0, 2, 0, 0, 0, 3, 0, 0x1f, 255, 255, 255, 255, 255, 255)
  )
})

test('2^53 − 1 is read and 2^53 is refused', () => {
  assert.is(read([0, 0x1f, 255, 255, 255, 255, 255, 255]).u53(), Number.MAX_SAFE_INTEGER)
  throwsRefusal(() => read([0, 0x20, 0, 0, 0, 0, 0, 0]).u53(), 'BAD_ENTRY')
  throwsRefusal(() => read([255, 255, 255, 255, 255, 255, 255, 255]).u53(), 'BAD_ENTRY')
})

test('a value that does not fit is our own bug', () => {
  for (const write of [
    (w: Writer) => w.u8(256),
    (w: Writer) => w.u8(-1),
    (w: Writer) => w.u16(65536),
    (w: Writer) => w.u32(2 ** 32),
    (w: Writer) => w.u32(0.5),
    (w: Writer) => w.u53(2 ** 53),
    (w: Writer) => w.u53(-1),
    (w: Writer) => w.u53(Number.NaN)
  ]) {
    assert.throws(
      () => write(new Writer()),
      (error: unknown) => error instanceof RangeError
    )
  }
  equalBytes(
    new Writer()
      .u8(255)
      .u16(65535)
      .u32(2 ** 32 - 1)
      .finish(),
    new Uint8Array(7).fill(255)
  )
})

test('flags are 0 or 1', () => {
  assert.is(read([0]).flag(), false)
  assert.is(read([1]).flag(), true)
  for (let byte = 2; byte < 256; byte++) throwsRefusal(() => read([byte]).flag(), 'BAD_ENTRY')
})

test('sized parts, lists and texts take their bound and refuse one more', () => {
  const three = new Writer().sized(Uint8Array.of(1, 2, 3)).finish()
  equalBytes(read(three).sized(3), Uint8Array.of(1, 2, 3))
  throwsRefusal(() => read(three).sized(2), 'BAD_ENTRY')
  const list = new Writer().list([7, 8, 9], n => new Writer().u8(n)).finish()
  equalBytes(list, Uint8Array.of(0, 0, 0, 3))
  const r = read([0, 0, 0, 3, 7, 8, 9])
  assert.equal(
    r.list(3, () => r.u8()),
    [7, 8, 9]
  )
  throwsRefusal(() => read([0, 0, 0, 3, 7, 8, 9]).list(2, () => 0), 'BAD_ENTRY')
  const text = new Writer().text('é').finish()
  assert.is(read(text).text(2), 'é')
  throwsRefusal(() => read(text).text(1), 'BAD_ENTRY')
})

test('a length over what is there is refused before anything is allocated for it', () => {
  throwsRefusal(() => read([255, 255, 255, 255]).sized(2 ** 32), 'BAD_ENTRY')
  throwsRefusal(() => read([255, 255, 255, 255]).list(1000, () => 0), 'BAD_ENTRY')
})

test('text that is not UTF-8 is refused, a byte order mark is kept', () => {
  throwsRefusal(() => read([0, 0, 0, 1, 0xff]).text(9), 'BAD_ENTRY')
  throwsRefusal(() => read([0, 0, 0, 2, 0xc0, 0x80]).text(9), 'BAD_ENTRY')
  throwsRefusal(() => read([0, 0, 0, 3, 0xed, 0xa0, 0x80]).text(9), 'BAD_ENTRY')
  const marked = new Writer().text('\ufeffa').finish()
  equalBytes(new Writer().text(read(marked).text(9)).finish(), marked)
})

test('bytes after the end are refused', () => {
  const r = read([1, 2])
  r.u8()
  throwsRefusal(() => r.end(), 'BAD_ENTRY')
  r.u8()
  r.end()
})

test('optional parts, rest and views work inside a larger buffer', () => {
  const whole = Uint8Array.of(9, 9, 1, 5, 0, 6, 7, 9)
  const r = new Reader(whole.subarray(2, 7), 'BAD_FRAME', 'part')
  assert.is(
    r.optional(() => r.u8()),
    5
  )
  assert.is(
    r.optional(() => r.u8()),
    null
  )
  assert.is(r.left, 2)
  equalBytes(r.rest(), Uint8Array.of(6, 7))
  assert.is(r.at, 5)
  throwsRefusal(() => r.u8(), 'BAD_FRAME')
})

test('no sequence of reads on any bytes throws anything but a Refusal', () => {
  const reads = fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 12 })
  fc.assert(
    fc.property(bytes, reads, (input, ops) => {
      const r = read(input)
      decodedOrRefused(() => {
        for (const op of ops) {
          if (op === 0) r.u8()
          else if (op === 1) r.u16()
          else if (op === 2) r.u32()
          else if (op === 3) r.u53()
          else if (op === 4) r.bytes(3)
          else if (op === 5) r.sized(1000)
          else if (op === 6) r.text(1000)
          else if (op === 7) r.list(1000, () => r.u8())
          else r.optional(() => r.u16())
        }
        r.end()
      })
      assert.ok(r.left >= 0)
    }),
    { numRuns: 10_000 }
  )
})

test('concat joins parts in order', () => {
  fc.assert(
    fc.property(fc.array(bytes), parts => {
      equalBytes(concat(...parts), Uint8Array.from(parts.flatMap(part => [...part])))
    })
  )
})

test.run()
