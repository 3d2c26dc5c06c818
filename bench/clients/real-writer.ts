/** The real client as a writer that types as fast as its relay acknowledges; edits merge on their way, as people's do. */
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { type Account, openAccount, type Share } from '@lend/client'
import { serve } from '../part.ts'
import type { Acknowledged } from './ingest.ts'

/** Edits that are not at the relay yet, at most. */
const UNSYNCED_MAX = 2048
/** Edits in one turn of the event loop. */
const BURST = 16

let writer: { account: Account; share: Share } | null = null

const functions = {
  async open({ url, path }: { url: string; path: string }): Promise<void> {
    const account = await openAccount({ path: join(path, 'maya'), relay: url, name: 'Maya' })
    const share = await account.share({ title: 'Paper' })
    await share.synced()
    writer = { account, share }
  },

  async append({ seconds }: { seconds: number }): Promise<Acknowledged> {
    if (!writer) throw new Error('open first')
    const { share } = writer
    const text = share.doc.getText('text')
    const startMs = performance.now()
    let appends = 0
    while (performance.now() - startMs < seconds * 1000) {
      for (let edit = 0; edit < BURST; edit++) text.insert(text.length, 'x')
      appends += BURST
      // Not more edits than the relay takes, or the end would wait for a backlog.
      if (appends % UNSYNCED_MAX === 0) await share.synced()
      else await turn()
    }
    await share.synced()
    const took = (performance.now() - startMs) / 1000
    return { appends, seconds: took, p50Ms: Number.NaN, p99Ms: Number.NaN }
  }
}

export type RealWriter = typeof functions

serve(functions, () => writer?.account.close())
