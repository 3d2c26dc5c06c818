/** What a session keeps of what it has shown: little, however much that was. */
import { setImmediate } from 'node:timers/promises'
import type { Follow } from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { claimOf } from '../../../packages/server/src/hosting/claim.ts'
import { standingBy } from '../../../packages/server/src/hosting/seat.ts'
import { Turns } from '../../../packages/server/src/hosting/turns.ts'
import { addDevice, dice, makeAccount, makeShare, suite } from '../raw-client.ts'

const claimTest = describe('claim')

const host = { suite, turns: new Turns(() => setImmediate()) }
const nonces = { relayKey: dice(32), relay: dice(32), client: dice(32) }

claimTest('of a proof a session keeps the ids that the log does not have yet, and the one before them', async () => {
  const ann = makeAccount('Ann')
  const { account, entries } = addDevice(ann)
  const share = makeShare(ann, dice(32))
  const proof = entries.map(({ bytes }) => bytes)
  const follow: Follow = { type: 'follow', log: share.log, cursor: null, head: null, invite: null, accountProof: proof }
  const session = { device: account.device.id, nonces }
  const { proven } = await claimOf(host, share.list, session, follow, null)
  assert.equal(proven?.ids.length, 3 * 32, 'the list has the create')
  assert.is(standingBy(share.list, session.device, proven).is, 'owner')
  const nearer = { type: 'account', account: ann.account, entries: proof.slice(1, 2) } as const
  share.write(nearer, ann.device)
  assert.is(standingBy(share.list, session.device, proven).is, 'owner', 'the list has come nearer')
  const later = await claimOf(host, share.list, session, follow, null)
  assert.equal(later.proven?.ids.length, 2 * 32)
})

claimTest.run()
