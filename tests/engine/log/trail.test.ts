/** Trails: which ctr has which id and seq, what a cover releases, and the same state from what is left. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type EntryId, entryId } from '../../../packages/engine/src/bytes/ids.ts'
import { Trail } from '../../../packages/engine/src/log/trail.ts'
import { equalBytes, known, seededInts } from '../world.ts'

const test = suite('log/trail')

const id = (ctr: number): EntryId => entryId(Uint8Array.from({ length: 32 }, (_, i) => (ctr >> (8 * i)) & 255))
const bytes = (ctr: number) => 200 + (ctr % 7)

test('a trail knows id and seq of each entry and nothing else', () => {
  const trail = new Trail()
  assert.is(trail.top, 0)
  for (let ctr = 1; ctr <= 100; ctr++) trail.add(ctr, id(ctr), ctr * 3, bytes(ctr))
  assert.is(trail.top, 100)
  for (let ctr = 1; ctr <= 100; ctr++) {
    equalBytes(trail.idAt(ctr), id(ctr))
    assert.is(trail.seqAt(ctr), ctr * 3)
    assert.ok(trail.holds(ctr, id(ctr)))
    assert.not(trail.holds(ctr, id(ctr + 1)))
  }
  for (const ctr of [0, 101, -1, 2 ** 40]) {
    assert.is(trail.idAt(ctr), null)
    assert.is(trail.seqAt(ctr), null)
  }
})

test('a cover releases exactly the entries up to its ctr, once', () => {
  const trail = new Trail()
  for (let ctr = 1; ctr <= 5; ctr++) trail.add(ctr, id(ctr), ctr * 3, bytes(ctr))
  assert.equal(
    trail.cover(3, id(3)),
    [1, 2, 3].map(ctr => ({ seq: ctr * 3, bytes: bytes(ctr) }))
  )
  assert.equal(trail.cover(3, id(3)), [])
  assert.equal(trail.cover(2, id(2)), [])
  assert.is(trail.covered.ctr, 3)
  equalBytes(trail.idAt(3), id(3))
  assert.is(trail.seqAt(3), null)
  assert.is(trail.idAt(2), null)
  equalBytes(trail.idAt(4), id(4))
  assert.equal(
    trail.entries(),
    [4, 5].map(ctr => ({ seq: ctr * 3, bytes: bytes(ctr) }))
  )
})

test('a cover of what was never seen moves the top', () => {
  const trail = new Trail()
  assert.equal(trail.cover(9, id(9)), [])
  assert.is(trail.top, 9)
  trail.add(10, id(10), 77, 200)
  assert.equal([trail.top, trail.seqAt(10), trail.seqAt(9)], [10, 77, null])
})

test('in random histories a trail is what a plain map says, and so is one folded from what is left', () => {
  for (let seed = 0; seed < 300; seed++) {
    const int = seededInts(seed)
    const live = new Trail()
    const plain = new Map<number, number>()
    const acts: { ctr: number; seq: number; cover: boolean }[] = []
    let top = 0
    let covered = 0
    for (let seq = 1; seq <= 60; seq++) {
      if (top > 0 && int(6) === 0) {
        const ctr = Math.max(covered, 1) + int(top - Math.max(covered, 1) + 1)
        const released = live.cover(ctr, id(ctr)).map(one => one.seq)
        assert.equal(
          released,
          [...plain].filter(([at]) => at <= ctr).map(([, s]) => s)
        )
        for (const at of [...plain.keys()]) if (at <= ctr) plain.delete(at)
        covered = Math.max(covered, ctr)
        acts.push({ ctr, seq, cover: true })
      } else {
        top++
        live.add(top, id(top), seq, bytes(top))
        plain.set(top, seq)
        acts.push({ ctr: top, seq, cover: false })
      }
    }
    // Some of the released are still in the store after a crash.
    const left = new Trail()
    for (const { ctr, seq, cover } of acts) {
      if (cover) left.cover(ctr, id(ctr))
      else if (plain.has(ctr) || int(3) === 0) left.add(ctr, id(ctr), seq, bytes(ctr))
    }
    for (const trail of [live, left]) {
      assert.is(trail.top, top)
      assert.is(trail.covered.ctr, covered)
      assert.equal(
        trail.entries().map(one => one.seq),
        [...plain.values()]
      )
      for (let ctr = 1; ctr <= top; ctr++) {
        assert.is(trail.seqAt(ctr), plain.get(ctr) ?? null)
        equalBytes(trail.idAt(ctr), plain.has(ctr) || ctr === covered ? id(ctr) : null)
      }
    }
  }
})

test('a trail keeps its own copy of ids', () => {
  const trail = new Trail()
  const shared = id(1)
  trail.add(1, shared, 1, 200)
  trail.cover(1, shared)
  shared[0] = 99
  equalBytes(known(trail.idAt(1)), id(1))
})

test.run()
