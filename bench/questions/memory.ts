/**
 * Does a relay's memory grow with what lies on its disk, with what is followed, with what a slow reader has not taken?
 *
 * Memory is read after garbage collections, except while a backlog grows: there every 100 ms, as it is. There is no floor:
 * the relay before the first log is what the others are compared with.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { MemoryClients } from '../clients/memory.ts'
import { startPart, type Usage } from '../part.ts'
import { drawLines } from '../picture.ts'
import type { Measure, Question, Setup } from '../question.ts'
import type { LendServer } from '../servers/lend.ts'

const MB = 1024 * 1024
const SAMPLE_MS = 100
const EMPTY = 'before the first log'

export const memory: Question = {
  name: 'memory',
  title: 'Memory of a relay',
  floor: EMPTY,
  columns: [
    { figure: 'rss', title: 'RSS MB' },
    { figure: 'own', title: 'without mapped files MB' },
    { figure: 'heap', title: 'heap MB' },
    { figure: 'outside', title: 'outside the heap MB' },
    { figure: 'perLog', title: 'KB a subscription' },
    { figure: 'seconds', title: 's' },
    { figure: 'rate', title: 'MB/s' },
    { figure: 'taken', title: 'MB that the paused reader took' }
  ],

  async *measure(run, setup) {
    yield* measureLogs(run, setup)
    yield* measureBacklog(run, setup)
  },

  draw(measures) {
    const samples = measures.filter(({ run, subject }) => run === 1 && subject.startsWith('sample'))
    const line = (figure: string, series: string) =>
      samples.map(({ figures }) => ({ x: figures.at ?? 0, y: figures[figure] ?? 0, series }))
    const dots = [...line('own', 'the relay’s own'), ...line('rss', 'with mapped files')]
    const events = measures
      .filter(({ run, figures }) => run === 1 && 'event' in figures)
      .map(({ subject, figures }) => ({ x: figures.event ?? 0, text: subject }))
    return drawLines({
      title: 'Memory of a relay while one of its readers takes nothing',
      x: 'seconds',
      y: 'MB',
      dots,
      events
    })
  }
}

async function* measureLogs(run: number, { quick, log }: Setup): AsyncIterable<Measure> {
  const count = quick ? 1000 : 10_000
  const followed = count / 10
  const title = `${count} logs on disk, ${followed} followed over 10 connections`
  const folder = await mkdtemp(join(tmpdir(), 'lend-bench-'))
  const data = join(folder, 'relay')
  const start = () => startPart<LendServer>(new URL('../servers/lend.ts', import.meta.url))
  const clients = await startPart<MemoryClients>(new URL('../clients/memory.ts', import.meta.url))

  log(`memory: filling ${count} logs`)
  const first = await start()
  const { url, key } = await first.call('start', { data })
  yield { run, case: title, subject: EMPTY, figures: sizes(await first.call('usage', { clean: true })) }
  await clients.call('fill', { url, key, count, updates: 5 })
  yield {
    run,
    case: title,
    subject: 'after all were written',
    figures: sizes(await first.call('usage', { clean: true }))
  }
  await first.end()

  log(`memory: following ${followed}`)
  const server = await start()
  const again = await server.call('start', { data })
  const cold = await server.call('usage', { clean: true })
  yield { run, case: title, subject: 'started again, nothing followed', figures: sizes(cold) }
  await clients.call('follow', { url: again.url, count: followed, connections: 10 })
  const open = await server.call('usage', { clean: true })
  const grown = open.heapBytes + open.outsideBytes - cold.heapBytes - cold.outsideBytes
  const perLog = grown / followed / 1024
  yield { run, case: title, subject: `${followed} followed`, figures: { ...sizes(open), perLog } }
  await clients.call('unfollow', {})
  yield { run, case: title, subject: 'all left', figures: sizes(await server.call('usage', { clean: true })) }
  await clients.end()
  await server.end()
  await rm(folder, { recursive: true, force: true })
}

async function* measureBacklog(run: number, { quick, log }: Setup): AsyncIterable<Measure> {
  const bytes = (quick ? 20 : 200) * MB
  const title = `A paused reader behind ${bytes / MB} MB, while another reads on`
  log(`memory: a backlog of ${bytes / MB} MB`)
  const folder = await mkdtemp(join(tmpdir(), 'lend-bench-'))
  const server = await startPart<LendServer>(new URL('../servers/lend.ts', import.meta.url))
  const clients = await startPart<MemoryClients>(new URL('../clients/memory.ts', import.meta.url))
  const { url, key } = await server.call('start', { data: join(folder, 'relay') })
  const opened = await clients.call('openBacklog', { url, key, bytes, entryBytes: 60 * 1024 })
  yield { run, case: title, subject: 'before', figures: sizes(await server.call('usage', { clean: true })) }

  const samples: { readonly at: number; readonly rss: number; readonly own: number }[] = []
  const startMs = performance.now()
  const secondsSince = () => (performance.now() - startMs) / 1000
  const sampled = setInterval(async () => {
    const { rssBytes, anonymousBytes } = await server.call('usage', { clean: false })
    samples.push({ at: secondsSince(), rss: rssBytes / MB, own: anonymousBytes / MB })
  }, SAMPLE_MS)
  const written = await clients.call('write', {})
  const peak = highest(samples)
  const rate = opened.bytes / MB / written.seconds
  const taken = (written.pausedEntries * 60) / 1024
  yield {
    run,
    case: title,
    subject: 'highest while it is paused',
    figures: { ...peak, seconds: written.seconds, rate, taken }
  }
  const settled = await server.call('usage', { clean: true })
  yield { run, case: title, subject: 'paused still, collected', figures: sizes(settled) }
  const resumedAt = secondsSince()
  const resumed = await clients.call('resume', {})
  clearInterval(sampled)
  const later = highest(samples.filter(({ at }) => at >= resumedAt))
  const caughtUp = { ...later, seconds: resumed.seconds, rate: opened.bytes / MB / resumed.seconds }
  yield { run, case: title, subject: 'highest while it catches up', figures: caughtUp }
  yield { run, case: title, subject: 'after', figures: sizes(await server.call('usage', { clean: true })) }
  for (const [i, sample] of samples.entries()) yield { run, case: '', subject: `sample ${i}`, figures: sample }
  yield { run, case: '', subject: 'it takes again', figures: { event: resumedAt } }
  await clients.end()
  await server.end()
  await rm(folder, { recursive: true, force: true })
}

function highest(samples: readonly { readonly rss: number; readonly own: number }[]): { rss: number; own: number } {
  return { rss: Math.max(...samples.map(({ rss }) => rss)), own: Math.max(...samples.map(({ own }) => own)) }
}

function sizes({ rssBytes, anonymousBytes, heapBytes, outsideBytes }: Usage): Record<string, number> {
  return { rss: rssBytes / MB, own: anonymousBytes / MB, heap: heapBytes / MB, outside: outsideBytes / MB }
}
