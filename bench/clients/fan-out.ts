/** The clients of the question fan-out: one writer and its readers, sending as fast as all take it, or at a steady rate. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Histogram } from '../figures.ts'
import { cpuSecondsSince, serve } from '../part.ts'
import { type Crowd, openBroadcastCrowd, openLendCrowd } from './crowd.ts'

export type Open = { readonly readers: number; readonly url: string } & (
  | { readonly at: 'broadcast' }
  | { readonly at: 'lend'; readonly key: Uint8Array; readonly updates: number }
)

export interface Delivered {
  /** Updates that all readers have. */
  readonly updates: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of one core, for all clients together: near 1, the clients are what was measured. */
  readonly clientsBusy: number
}

let stage: Stage | null = null

const functions = {
  async open(o: Open): Promise<void> {
    stage = new Stage(o.at === 'lend' ? await openLendCrowd(o) : await openBroadcastCrowd(o))
  },
  /** @param window updates that are on their way at most, counted from the slowest reader */
  full: ({ seconds, window }: { seconds: number; window: number }) => open().full(seconds, window),
  paced: ({ seconds, rate }: { seconds: number; rate: number }) => open().paced(seconds, rate)
}

export type FanOutClients = typeof functions

function open(): Stage {
  if (!stage) throw new Error('open first')
  return stage
}

class Stage {
  readonly crowd: Crowd
  /** The last update that each reader has. */
  readonly #reached: Uint32Array
  #sentMs = new Float64Array(1024)
  #sent = 0
  #latencies = new Histogram()
  #checking = false
  #progress = () => {}

  constructor(crowd: Crowd) {
    this.crowd = crowd
    this.#reached = new Uint32Array(crowd.readers)
    crowd.arrived = (reader, update) => this.#arrived(reader, update)
  }

  async full(seconds: number, window: number): Promise<Delivered> {
    return this.#measured(async () => {
      const endMs = performance.now() + seconds * 1000
      while (performance.now() < endMs && this.#sent < this.crowd.updates) {
        const room = Math.min(window - (this.#sent - this.#slowest()), this.crowd.updates - this.#sent)
        if (room > 0) this.#send(room)
        await this.#next()
      }
    })
  }

  async paced(seconds: number, rate: number): Promise<Delivered> {
    return this.#measured(async () => {
      const startMs = performance.now()
      for (let update = 0; update < seconds * rate && this.#sent < this.crowd.updates; update++) {
        const waitMs = startMs + (update * 1000) / rate - performance.now()
        if (waitMs > 0) await sleep(waitMs)
        this.#send(1)
      }
    })
  }

  async #measured(send: () => Promise<void>): Promise<Delivered> {
    this.#latencies = new Histogram()
    const first = this.#sent
    const cpu = process.cpuUsage()
    const startMs = performance.now()
    await send()
    while (this.#slowest() < this.#sent) await this.#next()
    const seconds = (performance.now() - startMs) / 1000
    return {
      updates: this.#sent - first,
      seconds,
      clientsBusy: cpuSecondsSince(cpu) / seconds,
      p50Ms: this.#latencies.percentile(0.5),
      p99Ms: this.#latencies.percentile(0.99)
    }
  }

  #send(count: number): void {
    const from = this.#sent + 1
    this.#sent += count
    if (this.#sent >= this.#sentMs.length) {
      const more = new Float64Array(this.#sent * 2)
      more.set(this.#sentMs)
      this.#sentMs = more
    }
    this.#sentMs.fill(performance.now(), from, this.#sent + 1)
    this.crowd.send(from, this.#sent)
  }

  /** Each reader gets each update once and in order, or the figures are worth nothing. */
  #arrived(reader: number, update: number): void {
    const want = (this.#reached[reader] ?? 0) + 1
    if (update !== want) throw new Error(`reader ${reader} got update ${update}, want ${want}`)
    this.#reached[reader] = update
    this.#latencies.add(performance.now() - (this.#sentMs[update] ?? 0))
    if (this.#checking) return
    this.#checking = true
    setImmediate(() => {
      this.#checking = false
      this.#progress()
    })
  }

  #slowest(): number {
    let slowest = Number.POSITIVE_INFINITY
    for (const reached of this.#reached) if (reached < slowest) slowest = reached
    return slowest
  }

  #next(): Promise<void> {
    return new Promise(done => {
      this.#progress = done
    })
  }
}

serve(functions, () => stage?.crowd.close())
