/** Two owner devices write, a member reads and tries to write, all at random under a seed: it stays a mirror of them. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { applyEntry } from '../../../packages/engine/src/documents/apply.ts'
import { guardDocument } from '../../../packages/engine/src/documents/guard.ts'
import { ReadOnlyError } from '../../../packages/engine/src/errors.ts'
import { type Dice, dice, edit } from './random-edits.ts'

const SEEDS = 40
const STEPS = 150

function read(doc: Y.Doc, roll: Dice): void {
  const verb = roll(5)
  if (verb === 0) doc.toJSON()
  else if (verb === 1) doc.getText('text').toDelta()
  else if (verb === 2) doc.get(`new ${roll(50)}`, Y.Array)
  else if (verb === 3) doc.getArray('array').get(roll(20))
  else doc.getText('text').toDelta(Y.snapshot(doc))
}

const bytes = (doc: Y.Doc): string => Buffer.from(Y.encodeStateAsUpdate(doc)).toString('base64')

const text = (doc: Y.Doc): string =>
  JSON.stringify(
    [doc.getMap('map'), doc.getArray('array'), doc.getText('text').toDelta(), doc.getXmlFragment('xml')],
    plain
  )
const plain = (_: string, value: unknown): unknown => (value instanceof Y.Doc ? value.guid : value)

/** Refused exactly when it would have changed something; the same bytes afterwards in any case. */
function attempt(member: Y.Doc, seed: number): boolean {
  const before = bytes(member)
  const twin = new Y.Doc()
  Y.applyUpdate(twin, Y.encodeStateAsUpdate(member))
  let changes = false
  twin.on('update', () => {
    changes = true
  })
  edit(twin, dice(seed))
  let error: unknown
  try {
    if (seed % 5 === 0) member.transact(() => edit(member, dice(seed)))
    else edit(member, dice(seed))
  } catch (thrown) {
    error = thrown
    if (!(error instanceof ReadOnlyError)) throw error
  }
  assert.is(bytes(member), before)
  if (error !== undefined || changes) assert.instance(error, ReadOnlyError)
  return error !== undefined
}

const fuzz = suite('documents/guard: fuzz')

fuzz(
  `in ${SEEDS} runs of ${STEPS} steps each refusal leaves the same bytes, and the end is the owner's document`,
  () => {
    let refusals = 0
    for (let seed = 1; seed <= SEEDS; seed++) {
      const roll = dice(seed)
      const devices = [new Y.Doc(), new Y.Doc()] as const
      const member = new Y.Doc()
      const errors: unknown[] = []
      const guard = guardDocument(member, { onHandlerError: error => errors.push(error) })
      const deltas: unknown[] = []
      member.getText('text').observe(event => deltas.push(event.delta))
      for (const root of [member.getMap('map'), member.getArray('array'), member.getXmlFragment('xml')]) {
        root.observeDeep((events: Y.YEvent<Y.AbstractType<unknown>>[]) => {
          for (const event of events) deltas.push(event.delta, event.keys, event.path)
        })
      }
      // The log: each device publishes in order, and every reader takes entries in the log's order.
      const log: Uint8Array[] = []
      const applied = [0, 0]
      let reached = 0
      for (const device of devices) {
        device.on('update', (update, origin) => {
          if (origin !== 'log') log.push(update)
        })
      }
      for (let step = 0; step < STEPS; step++) {
        const verb = roll(10)
        const at = roll(2)
        const device = devices[at === 0 ? 0 : 1]
        if (verb < 3) {
          edit(device, roll)
        } else if (verb === 3) {
          for (let i = applied[at] ?? 0; i < log.length; i++) applyEntry(device, log[i] ?? new Uint8Array(), 'log')
          applied[at] = log.length
        } else if (verb < 6) {
          const end = Math.min(log.length, reached + 1 + roll(5))
          for (; reached < end; reached++) guard.apply(log[reached] ?? new Uint8Array(), 'log')
        } else if (verb === 6) {
          read(member, roll)
        } else if (attempt(member, roll(2 ** 31))) {
          refusals++
        }
      }
      for (; reached < log.length; reached++) guard.apply(log[reached] ?? new Uint8Array(), 'log')
      const owner = new Y.Doc()
      for (const update of log) applyEntry(owner, update, 'log')
      for (const root of ['map', 'array', 'text', 'xml'])
        owner.get(root, member.share.get(root)?.constructor as typeof Y.Map)
      assert.is(bytes(member), bytes(owner), `seed ${seed}`)
      assert.is(text(member), text(owner), `seed ${seed}`)
      assert.equal(errors, [], `seed ${seed}`)
    }
    assert.ok(refusals > SEEDS * STEPS * 0.2, `${refusals} refusals`)
  }
)

fuzz.run()
