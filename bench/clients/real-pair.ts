/**
 * The real client on both ends: one types, the other reads, as people's apps do, among light readers. The time is from
 * the edit to the letter in the reader's document.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Account, type LentShare, openAccount, type Share } from '@lend/client'
import { decodeLink, inviteKeys } from '@lend/engine'
import { suite } from '../../tests/server/raw-client.ts'
import { Histogram } from '../figures.ts'
import { cpuSecondsSince, serve } from '../part.ts'
import { linkOf } from './accounts.ts'
import type { Delivered } from './fan-out.ts'
import { Joiners } from './lend.ts'

interface Pair {
  readonly accounts: readonly Account[]
  readonly share: Share
  readonly lent: LentShare
}

let pair: Pair | null = null

const functions = {
  async open({ url, path, readers }: { url: string; path: string; readers: number }): Promise<void> {
    const maya = await openAccount({ path: join(path, 'maya'), relay: url, name: 'Maya' })
    const ana = await openAccount({ path: join(path, 'ana'), relay: url, name: 'Ana' })
    const share = await maya.share({ title: 'Paper' })
    await share.synced()
    const link = await linkOf(share, readers)
    const { log, secret } = decodeLink(link)
    const joiners = new Joiners({ url, log, invite: inviteKeys(suite, secret) })
    for (let reader = 1; reader < readers; reader++) await joiners.join()
    const lent = await ana.accept(link)
    await lent.synced()
    pair = { accounts: [maya, ana], share, lent }
  },

  async paced({ seconds, rate }: { seconds: number; rate: number }): Promise<Delivered> {
    if (!pair) throw new Error('open first')
    const { share, lent } = pair
    const text = share.doc.getText('text')
    const read = lent.doc.getText('text')
    const latencies = new Histogram()
    const first = text.length
    const editedMs: number[] = []
    let arrived = 0
    let all = () => {}
    const hear = () => {
      const nowMs = performance.now()
      for (; arrived < read.length - first; arrived++) latencies.add(nowMs - (editedMs[arrived] ?? nowMs))
      if (arrived === Math.floor(seconds * rate)) all()
    }
    const done = new Promise<void>(resolve => {
      all = resolve
    })
    lent.doc.on('update', hear)
    const cpu = process.cpuUsage()
    const startMs = performance.now()
    for (let edit = 0; edit < Math.floor(seconds * rate); edit++) {
      const waitMs = startMs + (edit * 1000) / rate - performance.now()
      if (waitMs > 0) await sleep(waitMs)
      editedMs.push(performance.now())
      text.insert(text.length, 'x')
    }
    await done
    lent.doc.off('update', hear)
    const took = (performance.now() - startMs) / 1000
    return {
      updates: arrived,
      seconds: took,
      clientsBusy: cpuSecondsSince(cpu) / took,
      p50Ms: latencies.percentile(0.5),
      p99Ms: latencies.percentile(0.99)
    }
  }
}

export type RealPair = typeof functions

serve(functions, async () => {
  await Promise.all(pair?.accounts.map(account => account.close()) ?? [])
})
