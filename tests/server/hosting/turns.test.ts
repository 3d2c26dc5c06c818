/** How the event loop is shared: by work, in turns, one connection after the other. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Turns } from '../../../packages/server/src/hosting/turns.ts'

const turnsTest = suite('turns')

/** Work that begins is noted; a turn passes when the test says so. */
function newTurns() {
  let pass = () => {}
  const turns = new Turns(
    () =>
      new Promise<void>(next => {
        pass = next
      })
  )
  const begun: string[] = []
  return {
    begun,
    ask(lane: object, name: string, work: number) {
      void turns.take(work, lane).then(() => begun.push(name))
    },
    async settle() {
      await new Promise(setImmediate)
      return begun.splice(0)
    },
    async turn() {
      pass()
      return this.settle()
    }
  }
}

turnsTest('a turn holds its share of work and the portion that goes over it, and no more', async () => {
  const loop = newTurns()
  const lane = {}
  for (const name of ['a', 'b', 'c', 'd']) loop.ask(lane, name, 50)
  assert.equal(await loop.settle(), ['a', 'b'])
  assert.equal(await loop.turn(), ['c', 'd'])
  for (const [name, work] of [
    ['e', 99],
    ['f', 500],
    ['g', 1]
  ] as const) {
    loop.ask(lane, name, work)
  }
  assert.equal(await loop.settle(), [], 'the turn in which it asked had no room left')
  assert.equal(await loop.turn(), ['e', 'f'])
  assert.equal(await loop.turn(), ['g'])
})

turnsTest('who asks for much waits for itself: others have their turn in between', async () => {
  const loop = newTurns()
  const [greedy, other, third] = [{}, {}, {}]
  for (let i = 1; i <= 6; i++) loop.ask(greedy, `greedy ${i}`, 50)
  loop.ask(other, 'other 1', 50)
  loop.ask(other, 'other 2', 50)
  loop.ask(third, 'third', 50)
  assert.equal(await loop.settle(), ['greedy 1', 'greedy 2'])
  assert.equal(await loop.turn(), ['greedy 3', 'other 1'])
  assert.equal(await loop.turn(), ['third', 'greedy 4'])
  assert.equal(await loop.turn(), ['other 2', 'greedy 5'])
  assert.equal(await loop.turn(), ['greedy 6'])
})

turnsTest('nothing is held up while there is room, and no turn is asked for when nothing is done', async () => {
  let asked = 0
  const turns = new Turns(async () => {
    asked++
  })
  await new Promise(setImmediate)
  assert.is(asked, 0)
  for (let i = 0; i < 100; i++) await turns.take(1, turns)
  assert.ok(asked > 0)
})

turnsTest.run()
