/**
 * Two floors of durable appends, without a network: LevelDB synced for each record, and synced for all records that came
 * while the last sync ran; and how many entries one core can verify at all.
 */
import { decodeEntry, verifyEntry } from '@lend/engine'
import { Level } from 'level'
import { makeAccount, makeShare, suite } from '../../tests/server/raw-client.ts'
import { sealed } from '../clients/crowd.ts'
import { serve } from '../part.ts'

export interface Appended {
  readonly appends: number
  readonly seconds: number
}

const functions = {
  /** @param window records that wait at most; 1 to sync each alone */
  async write(o: { path: string; seconds: number; recordBytes: number; window: number }): Promise<Appended> {
    const db = new Level<Uint8Array, Uint8Array>(o.path, {
      keyEncoding: 'view',
      valueEncoding: 'view',
      compression: false
    })
    await db.open()
    const value = new Uint8Array(o.recordBytes).fill(7)
    const startMs = performance.now()
    let appends = 0
    while (performance.now() - startMs < o.seconds * 1000) {
      const batch = Array.from({ length: o.window }, (_, i) => {
        const key = Buffer.alloc(40)
        key.writeUInt32BE(appends + i, 32)
        return { type: 'put', key, value } as const
      })
      await db.batch(batch, { sync: true })
      appends += batch.length
    }
    const seconds = (performance.now() - startMs) / 1000
    await db.close()
    return { appends, seconds }
  },

  verify({ seconds }: { seconds: number }): Appended {
    const [bytes] = sealed(makeShare(makeAccount(), new Uint8Array(32)), 1)
    if (!bytes) throw new Error('nothing was sealed')
    const startMs = performance.now()
    let appends = 0
    while (performance.now() - startMs < seconds * 1000) {
      if (!verifyEntry(suite, decodeEntry(suite, bytes))) throw new Error('it does not verify')
      appends++
    }
    return { appends, seconds: (performance.now() - startMs) / 1000 }
  }
}

export type DatabaseFloor = typeof functions

serve(functions)
