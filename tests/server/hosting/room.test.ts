/** The bounds of a log that are too large to fill on a disk. */
import { emptyLog } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { judgeRoom, SNAPSHOT_RESERVE_BYTES } from '../../../packages/server/src/hosting/room.ts'
import { suite as crypto, dice, makeAccount, makeShare } from '../raw-client.ts'

const roomTest = suite('room')

roomTest('snapshots may go so far over the bytes of a log, to the byte, and then they wait for a drop', () => {
  const limits = { logBytes: 10_000, logKeptBytes: 1_000_000, logDocuments: 1 }
  const share = makeShare(makeAccount(), dice(32))
  const [update, snapshot] = [share.update(), share.snapshot([])]
  const state = emptyLog(crypto)
  const judge = (bytes: number, entry = snapshot) => {
    state.bytes = bytes
    return judgeRoom({ state, keptBytes: 0 }, entry, null, limits)?.code ?? null
  }
  const most = limits.logBytes + SNAPSHOT_RESERVE_BYTES - snapshot.bytes.length
  assert.is(judge(most), null)
  assert.is(judge(most + 1), 'LIMIT_STORAGE')
  assert.is(judge(limits.logBytes - update.bytes.length, update), null)
  assert.is(judge(limits.logBytes - update.bytes.length + 1, update), 'LIMIT_STORAGE')
})

roomTest.run()
