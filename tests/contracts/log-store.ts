/** What a relay may expect of any log store. Each adapter runs this on itself. */

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type LogId, logId } from '../../packages/engine/src/bytes/ids.ts'
import {
  Conflict,
  type LogStore,
  type Seq,
  type Stored,
  StoreError
} from '../../packages/server/src/store/log-store.ts'

export interface Opened {
  readonly store: LogStore
  /** Closes the store that was opened last, and opens it again with what it kept. */
  reopen(): Promise<LogStore>
  /** Closes the store that was opened last, and removes what it kept. */
  close(): Promise<void>
}

const LOGS_MANY = 10_000
const RECORD_BYTES_LARGE = 8 * 1024 * 1024

export function logStoreContract(name: string, open: () => Promise<Opened>): void {
  const contract = suite<{ store: LogStore; opened: Opened }>(name)

  contract.before.each(async context => {
    context.opened = await open()
    context.store = context.opened.store
  })
  contract.after.each(({ opened }) => opened.close())

  contract('a log that never was has no incarnation, the head 0 and no records', async ({ store }) => {
    assert.equal(await store.head(log(1)), { incarnation: '', seq: 0 })
    assert.equal(await list(store.read(log(1), 0)), [])
  })

  contract('a record is read as it was appended', async ({ store }) => {
    const records = [
      { seq: 1, timeMs: 0, runningHash: new Uint8Array(32), bytes: new Uint8Array(0) },
      { seq: 2, timeMs: 1, runningHash: new Uint8Array(32).fill(255), bytes: Uint8Array.of(0) },
      {
        seq: 3,
        timeMs: Number.MAX_SAFE_INTEGER,
        runningHash: new Uint8Array(32).fill(7),
        bytes: Uint8Array.of(1, 2, 3)
      }
    ]
    assert.is(await store.append(log(1), records, 0), 3)
    assert.equal(await list(store.read(log(1), 0)), records)
  })

  contract('an append moves the head to its last seq and keeps the incarnation', async ({ store }) => {
    await store.append(log(1), records(1, 2), 0)
    const { incarnation, seq } = await store.head(log(1))
    assert.ok(incarnation.length > 0)
    assert.is(seq, 2)
    await store.append(log(1), records(3, 3), 2)
    assert.equal(await store.head(log(1)), { incarnation, seq: 3 })
  })

  contract('seqs rise and need not be dense', async ({ store }) => {
    const far = Number.MAX_SAFE_INTEGER - 1
    await store.append(log(1), [record(5), record(2 ** 32)], 0)
    await store.append(log(1), [record(far)], 2 ** 32)
    assert.equal(await seqs(store.read(log(1), 0)), [5, 2 ** 32, far])
    assert.equal(await seqs(store.read(log(1), 5)), [2 ** 32, far])
    assert.equal(await seqs(store.read(log(1), 2 ** 32 - 1)), [2 ** 32, far])
    assert.is((await store.head(log(1))).seq, far)
  })

  contract('seqs that do not rise are refused, and nothing is written', async ({ store }) => {
    for (const wrong of [[record(0)], [record(1), record(1)], [record(2), record(1)], [record(1.5)]]) {
      await rejects(store.append(log(1), wrong, 0), RangeError)
    }
    assert.equal(await store.head(log(1)), { incarnation: '', seq: 0 })
  })

  contract(
    'an append is refused with the head unless it expects the head, and nothing of it is written',
    async ({ store }) => {
      await store.append(log(1), records(1, 3), 0)
      for (const expected of [0, 2, 4]) {
        const conflict = await rejects(store.append(log(1), records(expected + 1, expected + 5), expected), Conflict)
        assert.is(conflict.head, 3)
      }
      assert.is((await rejects(store.append(log(2), [record(2)], 1), Conflict)).head, 0)
      assert.equal(await list(store.read(log(1), 0)), records(1, 3))
      assert.equal(await store.head(log(2)), { incarnation: '', seq: 0 })
    }
  )

  contract('an append of nothing only compares the head', async ({ store }) => {
    assert.is(await store.append(log(1), [], 0), 0)
    assert.equal(await store.head(log(1)), { incarnation: '', seq: 0 })
    await store.append(log(1), records(1, 2), 0)
    assert.is(await store.append(log(1), [], 2), 2)
    await rejects(store.append(log(1), [], 1), Conflict)
  })

  contract('of appends that race for one head one wins, and the others learn its head', async ({ store }) => {
    const rivals = [1, 2, 3, 4].map(size => records(1, size))
    const results = await Promise.allSettled(rivals.map(rival => store.append(log(1), rival, 0)))
    const { seq } = await store.head(log(1))
    for (const [i, result] of results.entries()) {
      if (result.status === 'fulfilled') assert.is(result.value, seq)
      else assert.ok(result.reason instanceof Conflict && result.reason.head === seq, `rival ${i}`)
    }
    assert.is(results.filter(result => result.status === 'fulfilled').length, 1)
    assert.equal(await list(store.read(log(1), 0)), records(1, seq))
  })

  contract('a refused append can be tried again behind the head that it was told', async ({ store }) => {
    const writer = async (): Promise<void> => {
      for (let done = 0, expected = 0; done < 20; ) {
        try {
          expected = await store.append(log(1), [record(expected + 1)], expected)
          done++
        } catch (thrown) {
          if (!(thrown instanceof Conflict)) throw thrown
          expected = thrown.head
        }
      }
    }
    await Promise.all([writer(), writer(), writer()])
    assert.equal(await list(store.read(log(1), 0)), records(1, 60))
  })

  contract('the caller may change its bytes once the append is settled', async ({ store }) => {
    const mine = { ...record(1), runningHash: new Uint8Array(32), bytes: Uint8Array.of(1, 2, 3) }
    await store.append(log(1), [mine], 0)
    mine.bytes.fill(9)
    mine.runningHash.fill(9)
    const [kept] = await list(store.read(log(1), 0))
    assert.equal(kept?.bytes, Uint8Array.of(1, 2, 3))
    assert.equal(kept?.runningHash, new Uint8Array(32))
  })

  contract('a read begins behind the given seq', async ({ store }) => {
    await store.append(log(1), records(1, 5), 0)
    await store.append(log(2), records(1, 9), 0)
    for (const after of [0, 1, 4, 5, 6, 100]) {
      assert.equal(await list(store.read(log(1), after)), records(after + 1, 5), `after ${after}`)
    }
  })

  contract('a read while others append sees all that was acknowledged before it, and no gap', async ({ store }) => {
    let acknowledged = 0
    const writer = async (): Promise<void> => {
      for (let seq = 0; seq < 300; seq += 3) acknowledged = await store.append(log(1), records(seq + 1, seq + 3), seq)
    }
    const reader = async (): Promise<void> => {
      while (acknowledged < 300) {
        const before = acknowledged
        const found = await list(store.read(log(1), 0))
        assert.ok(found.length >= before && found.length % 3 === 0, `${found.length} records, ${before} acknowledged`)
        assert.equal(found, records(1, found.length))
      }
    }
    await Promise.all([writer(), reader(), reader()])
  })

  contract('a read that is broken off hinders nobody', async ({ store, opened }) => {
    await store.append(log(1), records(1, 50), 0)
    for (let stop = 1; stop <= 50; stop++) {
      for await (const { seq } of store.read(log(1), 0)) if (seq === stop) break
    }
    assert.is(await store.append(log(1), records(51, 51), 50), 51)
    const again = await opened.reopen()
    assert.equal(await list(again.read(log(1), 49)), records(50, 51))
  })

  contract('a follower gets what is there and then what comes, in order', async ({ store }) => {
    await store.append(log(1), records(1, 2), 0)
    const { stop, next } = follow(store, log(1), 1)
    assert.is((await next()).value?.seq, 2)
    const third = next()
    await store.append(log(2), records(1, 9), 0)
    await store.append(log(1), records(3, 4), 2)
    assert.equal((await third).value, record(3))
    assert.is((await next()).value?.seq, 4)
    const fifth = next()
    await store.append(log(1), records(5, 5), 4)
    assert.is((await fifth).value?.seq, 5)
    stop()
    assert.is((await next()).done, true)
  })

  contract('a follower may come before the log does', async ({ store }) => {
    const { stop, next } = follow(store, log(1), 0)
    const first = next()
    await store.append(log(1), records(1, 1), 0)
    assert.equal((await first).value, record(1))
    stop()
  })

  contract('each of many followers gets everything, however fast records come', async ({ store }) => {
    const followers = [0, 0, 10, 150].map(async after => {
      const found: Seq[] = []
      const controller = new AbortController()
      for await (const { seq } of store.read(log(1), after, controller.signal)) {
        found.push(seq)
        if (seq === 200) controller.abort()
      }
      assert.equal(found, range(after + 1, 200))
    })
    for (let seq = 0; seq < 200; seq++) await store.append(log(1), [record(seq + 1)], seq)
    await Promise.all(followers)
  })

  contract(
    'a follow ends when its signal aborts: before it begins, between two records, while it waits',
    async ({ store }) => {
      await store.append(log(1), records(1, 3), 0)
      const before = follow(store, log(1), 0)
      before.stop()
      assert.is((await before.next()).done, true)

      const between = follow(store, log(1), 0)
      await between.next()
      between.stop()
      assert.is((await between.next()).done, true)

      const waits = follow(store, log(1), 3)
      const never = waits.next()
      waits.stop()
      assert.is((await never).done, true)
    }
  )

  contract('a follow ends when its log is dropped, even if the log begins anew at once', async ({ store }) => {
    await store.append(log(1), records(1, 3), 0)
    const { next } = follow(store, log(1), 2)
    assert.is((await next()).value?.seq, 3)
    const never = next()
    await Promise.all([store.drop(log(1)), store.append(log(1), records(1, 5), 0)])
    assert.is((await never).done, true)
  })

  contract('forgetting takes these records and leaves the others, also after reopening', async ({ store, opened }) => {
    await store.append(log(1), records(1, 1000), 0)
    await store.append(log(2), records(1, 10), 0)
    await store.forget(log(1), new Set(range(2, 999)))
    assert.equal(await seqs(store.read(log(1), 0)), [1, 1000])
    const again = await opened.reopen()
    assert.equal(await list(again.read(log(1), 0)), [record(1), record(1000)])
    assert.equal(await seqs(again.read(log(1), 1)), [1000])
    assert.equal(await list(again.read(log(2), 0)), records(1, 10))
  })

  contract('forgetting the last record, or all, keeps head and incarnation', async ({ store, opened }) => {
    await store.append(log(1), records(1, 3), 0)
    const head = await store.head(log(1))
    await store.forget(log(1), [3])
    assert.equal(await store.head(log(1)), head)
    await store.forget(log(1), [1, 2])
    const again = await opened.reopen()
    assert.equal(await again.head(log(1)), head)
    assert.equal(await list(again.read(log(1), 0)), [])
    await rejects(again.append(log(1), records(3, 3), 2), Conflict)
    await again.append(log(1), records(4, 4), 3)
    assert.equal(await seqs(again.read(log(1), 0)), [4])
  })

  contract('forgetting what is not there changes nothing', async ({ store }) => {
    await store.forget(log(1), [0, 1, 2])
    assert.equal(await store.head(log(1)), { incarnation: '', seq: 0 })
    await store.append(log(1), [record(2), record(4)], 0)
    await store.forget(log(1), [4, 4])
    await store.forget(log(1), [0, 1, 3, 4, 5, Number.MAX_SAFE_INTEGER])
    await store.forget(log(1), [])
    assert.equal(await seqs(store.read(log(1), 0)), [2])
    assert.is((await store.head(log(1))).seq, 4)
  })

  contract(
    'a dropped log is as if it never was, and begins anew with another incarnation',
    async ({ store, opened }) => {
      await store.append(log(1), records(1, 20), 0)
      await store.append(log(2), records(1, 2), 0)
      const { incarnation } = await store.head(log(1))
      await store.drop(log(1))
      await store.drop(log(3))
      assert.equal(await store.head(log(1)), { incarnation: '', seq: 0 })
      assert.equal(await list(store.read(log(1), 0)), [])
      const again = await opened.reopen()
      assert.equal(await again.head(log(1)), { incarnation: '', seq: 0 })
      await again.append(log(1), records(1, 2), 0)
      const head = await again.head(log(1))
      assert.is(head.seq, 2)
      assert.ok(head.incarnation !== '' && head.incarnation !== incarnation)
      assert.equal(await list(again.read(log(2), 0)), records(1, 2))
    }
  )

  contract('changes to one log that wait together happen in the order of the calls', async ({ store }) => {
    const answers = await Promise.allSettled([
      store.append(log(1), records(1, 4), 0),
      store.forget(log(1), [2, 9]),
      store.append(log(1), records(5, 6), 4),
      store.forget(log(1), [5]),
      store.append(log(2), records(1, 3), 0),
      store.drop(log(2)),
      store.append(log(2), records(1, 1), 3),
      store.append(log(2), records(7, 7), 0)
    ])
    assert.equal(answers.map(answer => answer.status === 'fulfilled').indexOf(false), 6)
    assert.equal(await seqs(store.read(log(1), 0)), [1, 3, 4, 6])
    assert.equal(await seqs(store.read(log(2), 0)), [7])
  })

  contract('heads and records survive reopening', async ({ store, opened }) => {
    await store.append(log(1), records(1, 7), 0)
    await store.append(log(2), [record(40)], 0)
    const heads = [await store.head(log(1)), await store.head(log(2))]
    const again = await opened.reopen()
    assert.equal([await again.head(log(1)), await again.head(log(2))], heads)
    assert.equal(await list(again.read(log(1), 0)), records(1, 7))
    assert.equal(await list(again.read(log(2), 0)), [record(40)])
  })

  contract('the largest records are kept beside the smallest', async ({ store, opened }) => {
    const large = (seq: Seq) => ({ ...record(seq), bytes: new Uint8Array(RECORD_BYTES_LARGE).fill(seq) })
    await store.append(log(1), [record(1), large(2), record(3)], 0)
    await store.append(log(1), [large(4), large(5)], 3)
    const again = await opened.reopen()
    const found = await list(again.read(log(1), 0))
    assert.equal(
      found.map(({ bytes }) => bytes.length),
      [record(1).bytes.length, RECORD_BYTES_LARGE, record(3).bytes.length, RECORD_BYTES_LARGE, RECORD_BYTES_LARGE]
    )
    assert.ok(found.every(({ seq, bytes }) => bytes.length < RECORD_BYTES_LARGE || bytes.every(byte => byte === seq)))
  })

  contract(`${LOGS_MANY} logs are held apart`, async ({ store, opened }) => {
    const all = range(1, LOGS_MANY)
    await Promise.all(all.map(n => store.append(log(n), [record(n)], 0)))
    const again = await opened.reopen()
    const heads = await Promise.all(all.map(n => again.head(log(n))))
    assert.equal(
      heads.map(({ seq }) => seq),
      all
    )
    assert.is(new Set(heads.map(({ incarnation }) => incarnation)).size, LOGS_MANY)
    for (const n of [1, LOGS_MANY / 2, LOGS_MANY]) assert.equal(await list(again.read(log(n), 0)), [record(n)])
  })

  contract('closing settles what was asked before, and refuses what comes after', async ({ store, opened }) => {
    const told = rejects(list(store.read(log(1), 0, new AbortController().signal)), StoreError)
    const asked = Promise.allSettled([
      ...range(1, 30).map(seq => store.append(log(1), [record(seq)], seq - 1)),
      store.append(log(1), [record(9)], 8)
    ])
    const closed = store.close()
    const refused = [
      store.append(log(1), records(31, 31), 30),
      store.forget(log(1), [1]),
      store.drop(log(1)),
      store.head(log(1)),
      list(store.read(log(1), 0))
    ]
    for (const promise of refused) assert.is((await rejects(promise, StoreError)).code, 'STORE_CLOSED')
    const answers = await asked
    assert.equal(answers.map(({ status }) => status).indexOf('rejected'), 30)
    assert.ok(answers[30]?.status === 'rejected' && answers[30].reason instanceof Conflict)
    await closed
    await store.close()
    assert.is((await told).code, 'STORE_CLOSED')
    const again = await opened.reopen()
    assert.equal(await list(again.read(log(1), 0)), records(1, 30))
  })

  contract(
    'whatever is done to several logs at once, each is what a list in memory would be',
    async ({ store, opened }) => {
      let current = store
      let run = 0
      const property = fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 4 }), async rounds => {
        run++
        const models = range(1, LOGS_AT_ONCE).map(n => new Model(log(run * LOGS_AT_ONCE + n)))
        for (const { steps, reopen } of rounds) {
          const one = current
          await Promise.all(models.map((model, i) => model.run(one, steps[i] ?? [])))
          if (reopen) current = await opened.reopen()
          for (const model of models) await model.check(current)
        }
      })
      await fc.assert(property, { numRuns: 25 })
    }
  )

  contract.run()
}

type Step =
  | { do: 'append'; seqGaps: readonly number[]; staleBy: number }
  | { do: 'forget'; seqs: readonly Seq[] }
  | { do: 'read'; after: Seq }
  | { do: 'drop' }

const LOGS_AT_ONCE = 3
const someSeq = fc.integer({ min: 0, max: 25 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      seqGaps: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 4 }),
      staleBy: fc.constantFrom(0, 0, 0, 0, 1, -1)
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('forget' as const), seqs: fc.array(someSeq, { maxLength: 6 }) })
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('read' as const), after: someSeq }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const) }) }
)
const round = fc.record({
  steps: fc.array(fc.array(step, { maxLength: 10 }), { minLength: LOGS_AT_ONCE, maxLength: LOGS_AT_ONCE }),
  reopen: fc.boolean()
})

/** One log as a plain list. */
class Model {
  readonly #log: LogId
  #head: Seq = 0
  #incarnation = ''
  #records: Stored[] = []
  readonly #former = new Set([''])

  constructor(log: LogId) {
    this.#log = log
  }

  async run(store: LogStore, steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.#step(store, step)
  }

  async check(store: LogStore): Promise<void> {
    assert.equal(await store.head(this.#log), { incarnation: this.#incarnation, seq: this.#head })
    assert.equal(await list(store.read(this.#log, 0)), this.#records)
  }

  async #step(store: LogStore, step: Step): Promise<void> {
    switch (step.do) {
      case 'append':
        return this.#append(store, step.seqGaps, Math.max(0, this.#head - step.staleBy))
      case 'forget':
        await store.forget(this.#log, step.seqs)
        this.#records = this.#records.filter(({ seq }) => !step.seqs.includes(seq))
        return
      case 'read': {
        const rest = this.#records.filter(({ seq }) => seq > step.after)
        return assert.equal(await list(store.read(this.#log, step.after)), rest)
      }
      case 'drop':
        await store.drop(this.#log)
        this.#former.add(this.#incarnation)
        this.#head = 0
        this.#incarnation = ''
        this.#records = []
        return
    }
  }

  async #append(store: LogStore, seqGaps: readonly number[], expected: Seq): Promise<void> {
    const entries = seqGaps.map((_, i) => record(seqGaps.slice(0, i + 1).reduce((seq, gap) => seq + gap, expected)))
    const seq = entries.at(-1)?.seq ?? expected
    if (expected !== this.#head) {
      assert.is((await rejects(store.append(this.#log, entries, expected), Conflict)).head, this.#head)
      return
    }
    assert.is(await store.append(this.#log, entries, expected), seq)
    this.#head = seq
    this.#records.push(...entries)
    if (this.#incarnation !== '' || entries.length === 0) return
    this.#incarnation = (await store.head(this.#log)).incarnation
    assert.not(this.#former.has(this.#incarnation))
  }
}

/** The log of that number. */
export function log(n: number): LogId {
  const id = new Uint8Array(32).fill(0xa5)
  new DataView(id.buffer).setUint32(28, n)
  return logId(id)
}

/** The record that any log of these tests has at that seq: of changing length, with bytes that only it has. */
export function record(seq: Seq, bytesLength = 20 + (seq % 100)): Stored {
  const bytes = new Uint8Array(bytesLength)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at + 8 <= bytesLength; at += 8) view.setFloat64(at, seq + at / 1024)
  return { seq, timeMs: 1_700_000_000_000 + (seq % 1000), runningHash: new Uint8Array(32).fill(seq % 256), bytes }
}

export function records(first: Seq, last: Seq): Stored[] {
  return range(first, last).map(seq => record(seq))
}

export function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i)
}

export async function list<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export async function seqs(found: AsyncIterable<Stored>): Promise<Seq[]> {
  return (await list(found)).map(({ seq }) => seq)
}

/** The error that the promise rejects with, which must be of this class. */
export async function rejects<E>(promise: Promise<unknown>, type: abstract new (...args: never) => E): Promise<E> {
  const thrown: unknown = await promise.then(
    () => assert.unreachable(`resolved instead of a ${type.name}`),
    (reason: unknown) => reason
  )
  if (thrown instanceof type) return thrown
  throw thrown
}

function follow(
  store: LogStore,
  log: LogId,
  after: Seq
): { stop: () => void; next: () => Promise<IteratorResult<Stored>> } {
  const controller = new AbortController()
  const reader = store.read(log, after, controller.signal)[Symbol.asyncIterator]()
  return { stop: () => controller.abort(), next: () => reader.next() }
}
