/** In which order one log answers. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AskQueue } from '../../../packages/server/src/hosting/ask-queue.ts'
import type { Ask } from '../../../packages/server/src/hosting/asking.ts'
import type { Requester } from '../../../packages/server/src/hosting/host.ts'

const queueTest = suite('ask queue')

/** Only who asked and what matters here. */
function asker(name: string) {
  const requester = { name } as unknown as Requester
  return {
    unfollow: { ask: 'unfollow', requester, bytes: 1 } as Ask,
    append: (kind: 'access' | 'update', bytes = 200) =>
      ({ ask: 'append', requester, bytes, asked: { entry: { kind, bytes: new Uint8Array(bytes) } } }) as unknown as Ask
  }
}

function drain(queue: AskQueue): string[] {
  const batches: string[] = []
  while (!queue.isEmpty) {
    const batch = queue.next()
    batches.push(batch.map(({ requester, ask }) => `${Reflect.get(requester, 'name')} ${ask}`).join(', '))
  }
  return batches
}

queueTest('sessions are answered one after the other, each in its own order', () => {
  const queue = new AskQueue()
  const [eve, bob] = [asker('eve'), asker('bob')]
  for (let i = 0; i < 3; i++) queue.push(eve.unfollow)
  queue.push(bob.append('update'))
  queue.push(bob.unfollow)
  assert.equal(drain(queue), ['eve unfollow', 'bob append', 'eve unfollow', 'bob unfollow', 'eve unfollow'])
})

queueTest('appends of several sessions are judged together, up to the first access entry', () => {
  const queue = new AskQueue()
  const [ann, bob] = [asker('ann'), asker('bob')]
  queue.push(ann.append('update'))
  queue.push(ann.append('update'))
  queue.push(bob.append('update'))
  queue.push(bob.append('access'))
  queue.push(bob.append('update'))
  queue.push(ann.append('update'))
  assert.equal(drain(queue), ['ann append, ann append, ann append, bob append, bob append', 'bob append'])
})

queueTest('64 entries or 256 KiB make a batch, and a larger entry one of its own', () => {
  const queue = new AskQueue()
  const ann = asker('ann')
  for (let i = 0; i < 65; i++) queue.push(ann.append('update'))
  assert.equal([queue.next().length, queue.next().length], [64, 1])
  for (const bytes of [262_144, 262_143, 1, 1, 300_000]) queue.push(ann.append('update', bytes))
  assert.equal([queue.next().length, queue.next().length, queue.next().length, queue.next().length], [1, 2, 1, 1])
  assert.ok(queue.isEmpty)
})

queueTest.run()
