/**
 * What does it cost to bring one writer's updates to many readers, and how long do they take?
 *
 * Deliveries are updates that have reached all readers, times readers. The floor broadcasts entries of the same length
 * and keeps nothing; Lend verifies each one and has it on disk before anyone gets it. Light clients on both sides; the
 * line "real client" has @lend/client as the writer and as one reader, from the edit to the reader's document.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Delivered, FanOutClients } from '../clients/fan-out.ts'
import type { RealPair } from '../clients/real-pair.ts'
import { groupBy, spreadOf } from '../figures.ts'
import { startPart, type Usage } from '../part.ts'
import { drawBars } from '../picture.ts'
import type { Measure, Question, Setup } from '../question.ts'
import type { BroadcastServer } from '../servers/broadcast.ts'
import type { LendServer } from '../servers/lend.ts'

const EDITS_PER_SECOND = 50
const WARM_SECONDS = 1
/** More than a relay takes in a second. */
const UPDATES_PER_SECOND_MAX = 12_000

const FLOOR_SEND = 'floor: ws.send for each client'
const FLOOR_TURN = 'floor: one write for each turn'
const LEND = 'Lend'
const LEND_REAL = 'Lend, real client'
const SUBJECTS = [FLOOR_SEND, FLOOR_TURN, LEND, LEND_REAL]

type Measured = (measured: Delivered, before: Usage, after: Usage) => Record<string, number>

export const fanOut: Question = {
  name: 'fan-out',
  title: 'One writer, many readers: updates that reach all of them',
  floor: FLOOR_SEND,
  columns: [
    { figure: 'updates', title: 'updates/s' },
    { figure: 'deliveries', title: 'deliveries/s', ratio: true },
    { figure: 'cpu', title: 'server CPU s/M deliveries', ratio: true },
    { figure: 'p50', title: 'p50 ms' },
    { figure: 'p99', title: 'p99 ms', ratio: true },
    { figure: 'server', title: 'server busy' },
    { figure: 'clients', title: 'clients busy' }
  ],

  async *measure(run, setup) {
    for (const readers of setup.readers) {
      // In turns, and each time another one first.
      const subjects = SUBJECTS.map((_, i) => SUBJECTS[(i + run) % SUBJECTS.length] ?? LEND)
      for (const subject of subjects.filter(name => name.includes(setup.only))) {
        setup.log(`${readers} readers, ${subject}`)
        const folder = await mkdtemp(join(tmpdir(), 'lend-bench-'))
        const measured = subject === LEND_REAL ? measureReal : subject === LEND ? measureLend : measureFloor(subject)
        try {
          yield* measured(run, subject, readers, folder, setup)
        } finally {
          await rm(folder, { recursive: true, force: true })
        }
      }
    }
  },

  draw(measures) {
    const full = measures.filter(({ figures, case: title }) => title.includes('full speed') && 'deliveries' in figures)
    const bars = [...groupBy(full, one => `${one.case}|${one.subject}`).values()].map(runs => ({
      group: runs[0]?.case ?? '',
      subject: runs[0]?.subject ?? '',
      isLend: runs[0]?.subject.startsWith(LEND) ?? false,
      ...spreadOf(runs.flatMap(({ figures }) => figures.deliveries ?? []))
    }))
    return drawBars({ title: 'Deliveries a second, server on one core', unit: 'deliveries/s', bars })
  }
}

const fullCase = (readers: number) => `${readers} readers at full speed`
const pacedCase = (readers: number) => `${readers} readers at ${EDITS_PER_SECOND} edits/s`

function figuresOf(readers: number): Measured {
  return ({ updates, seconds, p50Ms, p99Ms, clientsBusy }, before, after) => ({
    updates: updates / seconds,
    deliveries: (updates * readers) / seconds,
    cpu: ((after.cpuSeconds - before.cpuSeconds) / (updates * readers)) * 1e6,
    p50: p50Ms,
    p99: p99Ms,
    // Of one core. Where neither is near 1, the disk or the machine's other work is what was waited for.
    server: (after.cpuSeconds - before.cpuSeconds) / seconds,
    clients: clientsBusy
  })
}

async function* measureLend(run: number, subject: string, readers: number, folder: string, setup: Setup) {
  const { seconds, profile } = setup
  const server = await startPart<LendServer>(new URL('../servers/lend.ts', import.meta.url), { profile })
  const clients = await startPart<FanOutClients>(new URL('../clients/fan-out.ts', import.meta.url), { profile })
  const { url, key } = await server.call('start', { data: join(folder, 'relay') })
  const paced = (seconds + WARM_SECONDS) * EDITS_PER_SECOND
  const updates = Math.ceil((seconds + WARM_SECONDS) * UPDATES_PER_SECOND_MAX + paced)
  await clients.call('open', { at: 'lend', url, key, readers, updates })
  yield* bothSpeeds(run, subject, readers, setup, server, clients)
  await clients.end()
  await server.end()
}

function measureFloor(name: string) {
  return async function* (run: number, subject: string, readers: number, _folder: string, setup: Setup) {
    const server = await startPart<BroadcastServer>(new URL('../servers/broadcast.ts', import.meta.url))
    const clients = await startPart<FanOutClients>(new URL('../clients/fan-out.ts', import.meta.url))
    const { url } = await server.call('start', { mode: name === FLOOR_TURN ? 'turn' : 'send' })
    await clients.call('open', { at: 'broadcast', url, readers })
    yield* bothSpeeds(run, subject, readers, setup, server, clients)
    await clients.end()
    await server.end()
  }
}

async function* bothSpeeds(
  run: number,
  subject: string,
  readers: number,
  { seconds }: Setup,
  server: { call(name: 'usage', argument: { clean: boolean }): Promise<Usage> },
  clients: Pick<Awaited<ReturnType<typeof startPart<FanOutClients>>>, 'call'>
): AsyncIterable<Measure> {
  const figures = figuresOf(readers)
  // First the steady rate, since at full speed the entries that are ready may be used up.
  for (const [title, warm, measure] of [
    [
      pacedCase(readers),
      () => clients.call('paced', { seconds: WARM_SECONDS, rate: EDITS_PER_SECOND }),
      () => clients.call('paced', { seconds, rate: EDITS_PER_SECOND })
    ],
    [
      fullCase(readers),
      () => clients.call('full', { seconds: WARM_SECONDS, window: windowOf(readers) }),
      () => clients.call('full', { seconds, window: windowOf(readers) })
    ]
  ] as const) {
    await warm()
    const before = await server.call('usage', { clean: false })
    const measured = await measure()
    const after = await server.call('usage', { clean: false })
    yield { run, case: title, subject, figures: figures(measured, before, after) }
  }
}

async function* measureReal(run: number, subject: string, readers: number, folder: string, setup: Setup) {
  const server = await startPart<LendServer>(new URL('../servers/lend.ts', import.meta.url))
  const clients = await startPart<RealPair>(new URL('../clients/real-pair.ts', import.meta.url))
  const { url } = await server.call('start', { data: join(folder, 'relay') })
  await clients.call('open', { url, path: folder, readers })
  await clients.call('paced', { seconds: WARM_SECONDS, rate: EDITS_PER_SECOND })
  const before = await server.call('usage', { clean: false })
  const measured = await clients.call('paced', { seconds: setup.seconds, rate: EDITS_PER_SECOND })
  const after = await server.call('usage', { clean: false })
  yield { run, case: pacedCase(readers), subject, figures: figuresOf(readers)(measured, before, after) }
  await clients.end()
  await server.end()
}

/** Fewer for a thousand readers: at the slowest floor they take seconds to arrive. */
function windowOf(readers: number): number {
  return Math.min(512, Math.max(256, Math.floor(51_200 / readers)))
}
