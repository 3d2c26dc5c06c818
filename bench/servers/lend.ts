/** Lend's relay as the server under test. */
import { type Relay, type RelayLimits, startRelay } from '@lend/server'
import { serve, usageOf } from '../part.ts'

/** A bench has all its clients behind one address, and its members come and go faster than people do. */
const LIMITS: Partial<RelayLimits> = {
  connectionsPerAddress: 20_000,
  handshakesPerMinute: 1_000_000,
  memberAccessPerMinute: 100_000,
  memberAccessBurst: 10_000,
  createBurst: 1_000_000,
  networkCreateBurst: 1_000_000,
  stalledMs: 600_000
}

let relay: Relay | null = null

const functions = {
  async start({ data }: { data: string }): Promise<{ url: string; key: Uint8Array }> {
    relay = await startRelay({ port: 0, data, limits: LIMITS })
    return { url: relay.url, key: new Uint8Array(relay.key) }
  },
  usage: ({ clean }: { clean: boolean }) => usageOf(clean)
}

export type LendServer = typeof functions

serve(functions, async () => relay?.close())
