/** The clients of the question ingest: writers that append what is sealed already, as fast as it is acknowledged. */
import { hex, type Incarnation, type LogId } from '@lend/engine'
import { makeAccount } from '../../tests/server/raw-client.ts'
import { Histogram } from '../figures.ts'
import { serve } from '../part.ts'
import { inParallel, openShare, sealed } from './crowd.ts'
import { connectLight, type LightClient } from './lend.ts'

export interface Acknowledged {
  readonly appends: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** One log with its one writer. */
interface Line {
  readonly log: LogId
  readonly life: Incarnation
  readonly writer: LightClient
  readonly entries: readonly Uint8Array[]
  readonly sentMs: Float64Array
  sent: number
  acked: number
  tell: () => void
}

const lines = new Map<string, Line>()

const functions = {
  /** Logs are dealt to the writers in turn; each writer is one account with one connection. */
  async open(o: { url: string; key: Uint8Array; writers: number; logs: number; updates: number }): Promise<void> {
    const updates = Math.ceil(o.updates / o.logs)
    for (let lane = 0; lane < o.writers; lane++) {
      const owner = makeAccount('a writer')
      const writer = await connectLight(o.url, owner.device)
      writer.listener = { ack: (count, log) => acknowledge(log, count) }
      const shares = await inParallel(Math.ceil((o.logs - lane) / o.writers), () => openShare({ ...o, owner }))
      for (const { share, life } of shares) {
        const entries = sealed(share, updates)
        const sentMs = new Float64Array(updates)
        lines.set(hex(share.log), { log: share.log, life, writer, entries, sentMs, sent: 0, acked: 0, tell: () => {} })
      }
    }
  },

  /** @param window appends on their way at most, over all logs */
  async append({ seconds, window }: { seconds: number; window: number }): Promise<Acknowledged> {
    const each = Math.max(1, Math.floor(window / lines.size))
    latencies = new Histogram()
    const startMs = performance.now()
    const endMs = startMs + seconds * 1000
    const before = ackedSoFar()
    await Promise.all([...lines.values()].map(line => fill(line, each, endMs)))
    const appends = ackedSoFar() - before
    return {
      appends,
      seconds: (performance.now() - startMs) / 1000,
      p50Ms: latencies.percentile(0.5),
      p99Ms: latencies.percentile(0.99)
    }
  }
}

let latencies = new Histogram()

function fill(line: Line, window: number, endMs: number): Promise<void> {
  return new Promise(done => {
    line.tell = () => {
      const isOver = performance.now() >= endMs || line.sent === line.entries.length
      if (isOver && line.acked === line.sent) return done()
      const room = isOver ? 0 : Math.min(window - (line.sent - line.acked), line.entries.length - line.sent)
      if (room <= 0) return
      line.sentMs.fill(performance.now(), line.sent, line.sent + room)
      line.writer.append(line.log, line.life, line.entries.slice(line.sent, line.sent + room))
      line.sent += room
    }
    line.tell()
  })
}

function acknowledge(log: LogId, count: number): void {
  const line = lines.get(hex(log))
  if (!line) throw new Error('an acknowledgement for a log that nobody writes')
  const nowMs = performance.now()
  for (let i = 0; i < count; i++) latencies.add(nowMs - (line.sentMs[line.acked++] ?? nowMs))
  line.tell()
}

function ackedSoFar(): number {
  return [...lines.values()].reduce((sum, { acked }) => sum + acked, 0)
}

export type IngestClients = typeof functions

serve(functions, async () => {
  for (const { writer } of lines.values()) await writer.socket.close()
})
