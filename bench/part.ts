/**
 * A part of a measurement in a process of its own: the server under test, or the clients that load it. The parent starts
 * it and calls its functions by name; what they take and give back is copied.
 *
 * Parts run the built packages (dist), as people install them: tsx wraps each named closure in a call that keeps its name,
 * and that would be measured too.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'

/** The functions of a part. */
export type Functions = Record<string, (argument: never) => unknown>

export interface Part<F extends Functions> {
  call<Name extends keyof F & string>(
    name: Name,
    argument: Parameters<F[Name]>[0]
  ): Promise<Awaited<ReturnType<F[Name]>>>
  /** Resolves when the process is gone. */
  end(): Promise<void>
}

export interface PartOptions {
  /** Where to write a CPU profile when the part ends. */
  readonly profile?: string | undefined
}

interface Call {
  readonly id: number
  readonly name: string
  readonly argument: unknown
}

type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly trouble: string }

/** @param module the file that calls `serve` */
export async function startPart<F extends Functions>(module: URL, { profile }: PartOptions = {}): Promise<Part<F>> {
  const child = fork(module, {
    serialization: 'advanced',
    execArgv: ['--import', 'tsx', '--expose-gc', ...(profile ? ['--cpu-prof', '--cpu-prof-dir', profile] : [])]
  })
  const waiting = new Map<number, { done: (value: never) => void; failed: (error: Error) => void }>()
  const ended = new Promise<void>(done => {
    child.once('exit', code => {
      for (const { failed } of waiting.values()) failed(new Error(`${module.pathname} ended with ${code}`))
      done()
    })
  })
  child.on('message', (answer: Answer) => {
    const call = waiting.get(answer.id)
    waiting.delete(answer.id)
    if ('trouble' in answer) call?.failed(new Error(answer.trouble))
    else call?.done(answer.value as never)
  })
  await once(child, 'message')
  let calls = 0
  return {
    call(name, argument) {
      const id = ++calls
      return new Promise((done, failed) => {
        waiting.set(id, { done, failed })
        child.send({ id, name, argument } satisfies Call)
      })
    },
    async end() {
      if (child.connected) child.disconnect()
      await ended
    }
  }
}

/**
 * Makes this process a part; it ends when its parent lets go of it.
 * @param stop called before it ends
 */
export function serve(functions: Functions, stop: () => Promise<void> | void = () => {}): void {
  const answer = (answer: Answer) => process.connected && process.send?.(answer)
  process.on('message', async ({ id, name, argument }: Call) => {
    try {
      answer({ id, value: await functions[name]?.(argument as never) })
    } catch (error) {
      answer({ id, trouble: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
  })
  process.once('disconnect', async () => {
    await stop()
    process.exit(0)
  })
  process.send?.({ id: 0, value: null } satisfies Answer)
}

/** What a server has used, for `usage` of every server part. */
export interface Usage {
  readonly cpuSeconds: number
  readonly rssBytes: number
  /** Of these, what no file stands behind: LevelDB maps its tables, and the system takes those pages back at will. */
  readonly anonymousBytes: number
  readonly heapBytes: number
  readonly outsideBytes: number
}

/** @param clean after a garbage collection */
export async function usageOf(clean: boolean): Promise<Usage> {
  for (let i = 0; clean && i < 3; i++) {
    globalThis.gc?.()
    await new Promise(done => setTimeout(done, 50))
  }
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
  return {
    cpuSeconds: cpuSecondsSince({ user: 0, system: 0 }),
    rssBytes: rss,
    anonymousBytes: (await anonymousBytes()) ?? rss,
    heapBytes: heapUsed,
    outsideBytes: external + arrayBuffers
  }
}

/** One line on what it runs on. */
export function machine(): string {
  const [cpu] = cpus()
  return `${cpus().length} × ${cpu?.model.trim() ?? 'unknown CPU'}, Node ${process.version}`
}

/** Null where the system does not say. */
async function anonymousBytes(): Promise<number | null> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]
  return kilobytes === undefined ? null : Number(kilobytes) * 1024
}

/** @param since what process.cpuUsage() said */
export function cpuSecondsSince(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since)
  return (user + system) / 1e6
}

/** Milliseconds on a clock that all processes of this machine share. */
export function sharedMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
