/** A relay in a process of its own, so that its memory can be told from that of its clients. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { startRelay } from '@lend/server'

export interface RelayProcess {
  readonly url: string
  readonly key: Uint8Array
  /** Bytes that it holds after a garbage collection: in the heap of JavaScript and outside. */
  held(): Promise<number>
  close(): Promise<void>
}

type Started = { readonly url: string; readonly key: Uint8Array }

export async function startRelayProcess(data: string): Promise<RelayProcess> {
  const child = fork(import.meta.filename, [data], {
    serialization: 'advanced',
    execArgv: [...process.execArgv, '--expose-gc']
  })
  const [started] = (await once(child, 'message')) as [Started]
  return {
    ...started,
    async held() {
      child.send('held')
      const [bytes] = (await once(child, 'message')) as [number]
      return bytes
    },
    async close() {
      const gone = once(child, 'exit')
      child.disconnect()
      await gone
    }
  }
}

async function runRelay(data: string): Promise<void> {
  const relay = await startRelay({ port: 0, data })
  process.on('message', async () => {
    // Freed outside the heap only after the collection, in a turn of its own.
    for (let i = 0; i < 3; i++) {
      globalThis.gc?.()
      await sleep(20)
    }
    const { heapUsed, external } = process.memoryUsage()
    process.send?.(heapUsed + external)
  })
  process.once('disconnect', () => void relay.close().then(() => process.exit(0)))
  process.send?.({ url: relay.url, key: new Uint8Array(relay.key) } satisfies Started)
}

if (process.argv[1] === import.meta.filename) await runRelay(process.argv[2] ?? '')
