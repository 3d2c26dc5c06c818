/**
 * How many appends a second does a relay take, each one durable before it is acknowledged?
 *
 * Floors of the same run: LevelDB on the same disk, records of the same size, synced one by one and in groups; and the
 * signatures that one core can check, which no relay with one process passes.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { IngestClients } from '../clients/ingest.ts'
import type { RealWriter } from '../clients/real-writer.ts'
import { groupBy, spreadOf } from '../figures.ts'
import { startPart } from '../part.ts'
import { drawBars } from '../picture.ts'
import type { Measure, Question, Setup } from '../question.ts'
import type { DatabaseFloor } from '../servers/database.ts'
import type { LendServer } from '../servers/lend.ts'

const CASE = 'Durable appends of one letter each; the real client merges letters on their way'
const FLOOR = 'floor: LevelDB, synced in groups'
const WARM_SECONDS = 1
/** Appends on their way at most: what a relay can group. */
const WINDOW = 512
/** An entry of one letter, with what the store puts around it. */
const RECORD_BYTES = 357
/** More than a relay takes in a second. */
const APPENDS_PER_SECOND_MAX = 12_000

const REAL = 'Lend, real client, 1 writer'

const LOADS = [
  { subject: 'Lend, 1 writer on 1 log', writers: 1, logs: 1 },
  { subject: 'Lend, 10 writers on 100 logs', writers: 10, logs: 100 },
  { subject: 'Lend, 100 writers on 100 logs', writers: 100, logs: 100 }
] as const

export const ingest: Question = {
  name: 'ingest',
  title: 'Appends that are durable when they are acknowledged',
  floor: FLOOR,
  columns: [
    { figure: 'appends', title: 'appends/s', ratio: true },
    { figure: 'cpu', title: 'server CPU µs/append' },
    { figure: 'p50', title: 'p50 ms' },
    { figure: 'p99', title: 'p99 ms' }
  ],

  async *measure(run, setup) {
    const measures = [
      () => measureFloors(run, setup),
      ...LOADS.map(load => () => measureLend(run, load, setup)),
      () => measureReal(run, setup)
    ]
    for (let i = 0; i < measures.length; i++) {
      const measure = measures[(i + run) % measures.length]
      if (measure) yield* measure()
    }
  },

  draw(measures) {
    const bars = [...groupBy(measures, one => one.subject)].map(([subject, runs]) => ({
      group: CASE,
      subject,
      isLend: subject.startsWith('Lend'),
      ...spreadOf(runs.flatMap(({ figures }) => figures.appends ?? []))
    }))
    return drawBars({ title: 'Durable acknowledged appends a second', unit: 'appends/s', bars })
  }
}

async function* measureFloors(run: number, { seconds, only, log }: Setup): AsyncIterable<Measure> {
  if (!FLOOR.includes(only)) return
  log('floors of ingest')
  const folder = await mkdtemp(join(tmpdir(), 'lend-bench-'))
  const database = await startPart<DatabaseFloor>(new URL('../servers/database.ts', import.meta.url))
  for (const [subject, window] of [
    ['floor: LevelDB, synced one by one', 1],
    [FLOOR, WINDOW]
  ] as const) {
    const o = { path: join(folder, `window-${window}`), seconds, recordBytes: RECORD_BYTES, window }
    const { appends, seconds: took } = await database.call('write', o)
    yield { run, case: CASE, subject, figures: { appends: appends / took } }
  }
  const verified = await database.call('verify', { seconds: Math.min(2, seconds) })
  const appends = verified.appends / verified.seconds
  yield { run, case: CASE, subject: 'floor: signatures checked, nothing else', figures: { appends } }
  await database.end()
  await rm(folder, { recursive: true, force: true })
}

async function* measureLend(
  run: number,
  { subject, writers, logs }: (typeof LOADS)[number],
  { seconds, profile, only, log }: Setup
): AsyncIterable<Measure> {
  if (!subject.includes(only)) return
  log(subject)
  const folder = await mkdtemp(join(tmpdir(), 'lend-bench-'))
  const server = await startPart<LendServer>(new URL('../servers/lend.ts', import.meta.url), { profile })
  const clients = await startPart<IngestClients>(new URL('../clients/ingest.ts', import.meta.url))
  const { url, key } = await server.call('start', { data: join(folder, 'relay') })
  await clients.call('open', { url, key, writers, logs, updates: (seconds + WARM_SECONDS) * APPENDS_PER_SECOND_MAX })
  await clients.call('append', { seconds: WARM_SECONDS, window: WINDOW })
  const before = await server.call('usage', { clean: false })
  const { appends, seconds: took, p50Ms, p99Ms } = await clients.call('append', { seconds, window: WINDOW })
  const after = await server.call('usage', { clean: false })
  const cpu = ((after.cpuSeconds - before.cpuSeconds) / appends) * 1e6
  yield { run, case: CASE, subject, figures: { appends: appends / took, cpu, p50: p50Ms, p99: p99Ms } }
  await clients.end()
  await server.end()
  await rm(folder, { recursive: true, force: true })
}

async function* measureReal(run: number, { seconds, only, log }: Setup): AsyncIterable<Measure> {
  if (!REAL.includes(only)) return
  log(REAL)
  const folder = await mkdtemp(join(tmpdir(), 'lend-bench-'))
  const server = await startPart<LendServer>(new URL('../servers/lend.ts', import.meta.url))
  const clients = await startPart<RealWriter>(new URL('../clients/real-writer.ts', import.meta.url))
  const { url } = await server.call('start', { data: join(folder, 'relay') })
  await clients.call('open', { url, path: folder })
  await clients.call('append', { seconds: WARM_SECONDS })
  const before = await server.call('usage', { clean: false })
  const { appends, seconds: took } = await clients.call('append', { seconds })
  const after = await server.call('usage', { clean: false })
  const cpu = ((after.cpuSeconds - before.cpuSeconds) / appends) * 1e6
  yield { run, case: CASE, subject: REAL, figures: { appends: appends / took, cpu } }
  await clients.end()
  await server.end()
  await rm(folder, { recursive: true, force: true })
}
