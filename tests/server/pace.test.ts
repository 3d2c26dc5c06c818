/** When something that is on its way counts as slow. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Pace } from '../../packages/server/src/pace.ts'

const paceTest = suite('pace')

const WINDOW_MS = 20_000
const BYTES = 1000 * 20
const newPace = () => new Pace({ windowMs: WINDOW_MS, bytesPerSecondMin: 1000 })

paceTest('what does not move is slow when its window is over, and not a millisecond before', () => {
  const pace = newPace()
  assert.is(pace.isSlow(7, 5000), false)
  assert.is(pace.isSlow(7, 5000 + WINDOW_MS - 1), false)
  assert.is(pace.isSlow(7, 5000 + WINDOW_MS), true)
})

paceTest('a trickle is slow; at the least pace it never is', () => {
  for (const [bytes, slow] of [
    [BYTES - 1, true],
    [BYTES, false]
  ] as const) {
    const pace = newPace()
    pace.isSlow(0, 0)
    assert.is(pace.isSlow(bytes, WINDOW_MS), slow, `${bytes} bytes`)
  }
  const pace = newPace()
  for (let i = 0; i < 100; i++) assert.is(pace.isSlow(i * BYTES, i * WINDOW_MS), false)
  assert.is(pace.isSlow(100 * BYTES - 1, 100 * WINDOW_MS), true)
})

paceTest('a burst earns one window, however large it is', () => {
  const pace = newPace()
  pace.isSlow(0, 0)
  assert.is(pace.isSlow(1000 * BYTES, 1), false)
  assert.is(pace.isSlow(1000 * BYTES, WINDOW_MS), false)
  assert.is(pace.isSlow(1000 * BYTES, WINDOW_MS + 1), true)
})

paceTest('while nothing is on its way no window runs', () => {
  const pace = newPace()
  pace.isSlow(7, 0)
  pace.rest()
  assert.is(pace.isSlow(3, WINDOW_MS), false)
  assert.is(pace.isSlow(3, 2 * WINDOW_MS - 1), false)
  assert.is(pace.isSlow(3, 2 * WINDOW_MS), true)
})

paceTest.run()
