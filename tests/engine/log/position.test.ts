/** Positions: how far a reader is, by entries and covers in any order that a log can serve. */
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type EntryId, entryId } from '../../../packages/engine/src/bytes/ids.ts'
import { contradicts, coverUpTo, hasGap, holds, reach, START } from '../../../packages/engine/src/log/position.ts'
import { equalBytes } from '../world.ts'

const test = suite('log/position')

const id = (ctr: number, clone = 0): EntryId =>
  entryId(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? ctr : i === 1 ? clone : 0)))

test('a reader that meets entries in order is always at the last', () => {
  let position = START
  for (let ctr = 1; ctr <= 5; ctr++) {
    assert.not(holds(position, ctr))
    position = reach(position, ctr, id(ctr))
    assert.is(position.reached, ctr)
    assert.ok(holds(position, ctr))
    equalBytes(position.id, id(ctr))
  }
  assert.not(hasGap(position))
})

test('an entry beyond a gap waits until an entry or a cover closes it', () => {
  const ahead = reach(reach(START, 3, id(3)), 4, id(4))
  assert.is(ahead.reached, 0)
  assert.ok(hasGap(ahead) && holds(ahead, 3) && holds(ahead, 4) && !holds(ahead, 2))
  const covered = coverUpTo(ahead, 2, id(2))
  assert.is(covered.reached, 4)
  equalBytes(covered.id, id(4))
  assert.not(hasGap(covered))
  const half = coverUpTo(ahead, 1, id(1))
  assert.is(half.reached, 1)
  assert.ok(hasGap(half))
  assert.is(reach(half, 2, id(2)).reached, 4)
})

test('a cover beyond what waits forgets what waited, and one behind changes nothing', () => {
  const ahead = reach(START, 3, id(3))
  const far = coverUpTo(ahead, 9, id(9))
  assert.is(far.reached, 9)
  assert.not(hasGap(far))
  assert.is(coverUpTo(far, 5, id(5)), far)
  assert.is(reach(far, 5, id(5)), far)
})

test('another entry under a ctr that is known contradicts, the same one does not', () => {
  const position = reach(reach(START, 1, id(1)), 4, id(4))
  assert.ok(contradicts(position, 1, id(1, 7)))
  assert.not(contradicts(position, 1, id(1)))
  assert.ok(contradicts(position, 4, id(4, 7)))
  assert.not(contradicts(position, 4, id(4)))
  assert.not(contradicts(position, 2, id(2)))
  assert.not(contradicts(START, 0, id(0)))
})

test('in any order of entries and covers the position is the longest run from the start', () => {
  const acts = fc.array(fc.record({ cover: fc.boolean(), ctr: fc.integer({ min: 1, max: 12 }) }), { maxLength: 30 })
  fc.assert(
    fc.property(acts, list => {
      let position = START
      const held = new Set<number>()
      for (const { cover, ctr } of list) {
        position = cover ? coverUpTo(position, ctr, id(ctr)) : reach(position, ctr, id(ctr))
        for (let n = cover ? 1 : ctr; n <= ctr; n++) held.add(n)
        let run = 0
        while (held.has(run + 1)) run++
        assert.is(position.reached, run)
        if (run > 0) equalBytes(position.id, id(run))
        for (let n = 1; n <= 13; n++) assert.is(holds(position, n), held.has(n))
        assert.is(
          hasGap(position),
          [...held].some(n => n > run)
        )
      }
    }),
    { numRuns: 2000 }
  )
})

test.run()
