/** The clients of the question memory: they fill a relay with logs, follow some, and let one reader stop reading. */
import type { Incarnation, LogId } from '@lend/engine'
import { connectRaw, makeAccount, makeShare, UNSEEN } from '../../tests/server/raw-client.ts'
import { serve } from '../part.ts'
import { ctrOf, inParallel, openShare, sealed } from './crowd.ts'
import { connectLight, Joiners, type LightClient } from './lend.ts'

const owner = makeAccount('an owner of many')
const logs: LogId[] = []
let followers: LightClient[] = []

interface Backlog {
  readonly log: LogId
  readonly life: Incarnation
  readonly writer: LightClient
  readonly live: Counted
  readonly paused: Counted
  readonly entries: readonly Uint8Array[]
}

interface Counted {
  readonly client: LightClient
  entries: number
  tell: () => void
}

let backlog: Backlog | null = null

/** Entries in one frame: some 256 KiB, as the client sends them. */
const FRAME_ENTRIES = 4

const functions = {
  /** Many shares of one owner, each with its create and some updates. */
  async fill({ url, key, count, updates }: { url: string; key: Uint8Array; count: number; updates: number }) {
    const client = await connectRaw(url, owner.device, key)
    await inParallel(count, async () => {
      const share = makeShare(owner, key)
      logs.push(share.log)
      await client.appended(share.log, UNSEEN, share.create, ...Array.from({ length: updates }, () => share.update()))
    })
    await client.close()
  },

  /** Follows so many of them, all over the list, on so many connections. */
  async follow({ url, count, connections }: { url: string; count: number; connections: number }): Promise<void> {
    followers = await inParallel(connections, () => connectLight(url, owner.device))
    const step = Math.floor(logs.length / count)
    await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const log = logs[i * step]
        if (log) await followers[i % connections]?.follow(log)
      })
    )
  },

  async unfollow(_: object): Promise<void> {
    await Promise.all(followers.map(({ socket }) => socket.close()))
    followers = []
  },

  /** A share with two readers, and so much for them. */
  async openBacklog(o: {
    url: string
    key: Uint8Array
    bytes: number
    entryBytes: number
  }): Promise<{ bytes: number }> {
    const { share, life, invite } = await openShare(o)
    const joiners = new Joiners({ url: o.url, log: share.log, invite })
    const [live, paused] = [counted(await joiners.join()), counted(await joiners.join())]
    const entries = sealed(share, Math.ceil(o.bytes / o.entryBytes), o.entryBytes)
    backlog = { log: share.log, life, writer: await connectLight(o.url, share.owner.device), live, paused, entries }
    return { bytes: entries.reduce((sum, { length }) => sum + length, 0) }
  },

  /** Pauses one reader and writes it all. Resolves when the other has it. */
  async write(_: object): Promise<{ seconds: number; pausedEntries: number }> {
    const { log, life, writer, live, paused, entries } = opened()
    paused.client.socket.pause()
    const startMs = performance.now()
    const WINDOW = 64
    let sent = 0
    let acked = 0
    await new Promise<void>(done => {
      const go = () => {
        if (acked === entries.length && live.entries === entries.length) done()
        const room = Math.min(WINDOW - (sent - acked), entries.length - sent)
        for (const end = sent + room; sent < end; sent = Math.min(end, sent + FRAME_ENTRIES)) {
          writer.append(log, life, entries.slice(sent, Math.min(end, sent + FRAME_ENTRIES)))
        }
      }
      writer.listener = {
        ack(count) {
          acked += count
          go()
        }
      }
      live.tell = go
      go()
    })
    return { seconds: (performance.now() - startMs) / 1000, pausedEntries: paused.entries }
  },

  /** Resolves when the reader that was paused has all of it. */
  async resume(_: object): Promise<{ seconds: number }> {
    const { paused, entries } = opened()
    const startMs = performance.now()
    await new Promise<void>(done => {
      paused.tell = () => {
        if (paused.entries === entries.length) done()
      }
      paused.client.socket.resume()
    })
    return { seconds: (performance.now() - startMs) / 1000 }
  }
}

function opened(): Backlog {
  if (!backlog) throw new Error('open the backlog first')
  return backlog
}

/** Counts data entries, which come once and in order. */
function counted(client: LightClient): Counted {
  const reader: Counted = { client, entries: 0, tell: () => {} }
  client.listener = {
    entries(placed) {
      for (const { bytes } of placed) {
        const ctr = ctrOf(bytes)
        // Access entries have none.
        if (ctr === 0) continue
        if (ctr !== reader.entries + 1) throw new Error(`a reader got entry ${ctr}, want ${reader.entries + 1}`)
        reader.entries = ctr
      }
      reader.tell()
    }
  }
  return reader
}

export type MemoryClients = typeof functions

serve(functions, async () => {
  const clients = backlog ? [...followers, backlog.writer, backlog.live.client, backlog.paused.client] : followers
  await Promise.all(clients.map(({ socket }) => socket.close()))
})
