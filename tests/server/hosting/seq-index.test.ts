/** What lies after a cursor, compared with looking at all of it. */
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SeqIndex } from '../../../packages/server/src/hosting/seq-index.ts'

const indexTest = suite('seq index')

indexTest('it says what looking at every entry says, after any additions and releases', () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ add: fc.integer({ min: 1, max: 400 }), gap: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ release: fc.integer({ min: 1, max: 3000 }), count: fc.integer({ min: 1, max: 500 }) })
    ),
    { maxLength: 20 }
  )
  fc.assert(
    fc.property(steps, fc.integer({ min: 0, max: 4000 }), fc.integer({ min: 1, max: 600 }), (all, from, max) => {
      const index = new SeqIndex()
      const model = new Map<number, number>()
      let seq = 0
      for (const step of all) {
        if ('add' in step) {
          for (let i = 0; i < step.add; i++) {
            seq += step.gap
            index.add(seq, seq * 7)
            model.set(seq, seq * 7)
          }
        } else {
          const released = Array.from({ length: step.count }, (_, i) => step.release + i)
          index.release(released)
          for (const one of released) model.delete(one)
        }
      }
      const left = [...model].filter(([one]) => one > from)
      assert.equal(index.after(from), { entries: left.length, bytes: left.reduce((sum, [, bytes]) => sum + bytes, 0) })
      assert.equal(
        index.next(from, max),
        left.slice(0, max).map(([one]) => one)
      )
    }),
    { numRuns: 300 }
  )
})

indexTest('what is released in any order, twice, or was never there, counts once', () => {
  const index = new SeqIndex()
  for (let seq = 1; seq <= 600; seq++) index.add(seq, 10)
  index.release([5, 3, 4, 3, 1000, 600])
  assert.equal(index.after(0), { entries: 596, bytes: 5960 })
  assert.equal(index.after(599), { entries: 0, bytes: 0 })
  index.add(601, 10)
  assert.equal(index.next(598, 9), [599, 601])
})

indexTest.run()
