// limit: 240 s
/**
 * A whole paper's editing history through a share: 259,778 edits of a real trace where it lies beside the project, as
 * many of the seeded typist where it does not. Four replicas must end with the same text.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { LentShare, Share } from '@lend/client'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { weigh } from '../../examples/one-share/disk.ts'
import { applyEdit, type Edit } from '../../examples/one-share/edit.ts'
import { readTrace } from '../../examples/one-share/trace.ts'
import { typistEdits } from '../../examples/one-share/typist.ts'
import { follow, lend, openHousehold, textOf, until } from './household.ts'

const TRACE = join(import.meta.dirname, '../../../shared/data/b4-trace.json.gz')
const EDITS = 260_000
/** Edits between two turns of the event loop: what an editor does in one call stays in one. */
const EDITS_PER_TURN = 100

test('260,000 edits reach the owner, a live reader, one who was away for a third, and one who comes last', async () => {
  const { edits, finalText } = existsSync(TRACE)
    ? await readTrace(TRACE)
    : { edits: typistEdits(EDITS, 1), finalText: null }
  const wanted = finalText ?? textAfter(edits)
  const household = await openHousehold()
  try {
    const [maya, ana, ben, zoe] = [
      await household.person('Maya'),
      await household.person('Ana'),
      await household.person('Ben'),
      await household.person('Zoe')
    ]
    const share = await lend(maya, 'The paper')
    const live = await follow(share, ana)
    await follow(share, ben)
    const started = performance.now()

    const third = Math.ceil(edits.length / 3)
    await write(share, edits.slice(0, third))
    await ben.close()
    await write(share, edits.slice(third, 2 * third))
    const benAgain = await household.person('Ben')
    const [away] = benAgain.sharedWithMe
    assert.ok(away)
    await write(share, edits.slice(2 * third))
    const written = performance.now()
    await share.synced()
    const acknowledged = performance.now()
    await Promise.all([live, away].map(lent => has(lent, wanted)))
    const followed = performance.now()
    const late = await follow(share, zoe)
    const joined = performance.now()

    assert.ok(textOf(share).toString() === wanted, 'the owner has another text')
    for (const [who, lent] of Object.entries({ live, away, late })) {
      assert.ok(textOf(lent).toString() === wanted, `the ${who} reader has another text`)
    }
    const seconds = (from: number, to: number) => ((to - from) / 1000).toFixed(1)
    const { entriesTaken } = household.relay.metrics()
    const { bytes } = await weigh(household.relayFolder)
    console.log(
      `${edits.length} edits in ${seconds(started, written)} s, ${entriesTaken} entries, ${bytes} bytes at the relay`
    )
    console.log(
      `acknowledged after ${seconds(started, acknowledged)} s, with both readers after`,
      seconds(started, followed)
    )
    console.log(`who joined at the end had it in ${seconds(followed, joined)} s`)
  } finally {
    await household.close()
  }
})

test.run()

/** As fast as the client takes them. */
async function write(share: Share, edits: readonly Edit[]): Promise<void> {
  const text = textOf(share)
  for (const [i, edit] of edits.entries()) {
    applyEdit(text, edit)
    if (i % EDITS_PER_TURN === 0) await turn()
  }
}

async function has(lent: LentShare, wanted: string): Promise<void> {
  const text = textOf(lent)
  await until(lent.doc, () => text.length === wanted.length && text.toString() === wanted)
}

function textAfter(edits: readonly Edit[]): string {
  const letters: string[] = []
  for (const [position, deleted, inserted] of edits) letters.splice(position, deleted, ...inserted)
  return letters.join('')
}
