#!/usr/bin/env node
/**
 * The command `lend-relay`. Exit codes: 0 after a signal, 1 when the store failed, 2 for wrong usage; every error is one
 * line on stderr.
 */
import { parseArgs } from 'node:util'
import { hex } from '@lend/engine'
import { pino } from 'pino'
import { z } from 'zod'
import { checkLimits, type RelayLimits } from './config.ts'
import { type Relay, startRelay } from './relay.ts'
import { StoreError } from './store/log-store.ts'

const USAGE =
  'usage: lend-relay start --port N --data DIR [--host H] [--origin O ...] [--proxy ADDRESS ...] [--limit NAME=NUMBER ...]'

const flags = z.object({
  port: z
    .string('--port is missing')
    .regex(/^\d{1,5}$/, '--port wants a number from 0 to 65535')
    .transform(Number)
    .refine(port => port <= 65535, '--port wants a number from 0 to 65535'),
  data: z.string('--data is missing').min(1, '--data wants a directory'),
  host: z.string().min(1, '--host wants an address').default('127.0.0.1'),
  origin: z.array(z.url('--origin wants an origin like https://app.example')).optional(),
  proxy: z.array(z.union([z.ipv4(), z.ipv6()], '--proxy wants the IP address of a proxy in front')).default([]),
  limit: z.array(z.string().regex(/^\w+=\d+(\.\d+)?$/, '--limit wants NAME=NUMBER')).default([])
})

class UsageError extends Error {}

await main(process.argv.slice(2)).catch(error => {
  console.error(`lend-relay: ${sentenceOf(error)}`)
  process.exitCode = 2
})

async function main(args: readonly string[]): Promise<void> {
  const { port, data, host, origin, proxy, limit } = readFlags(args)
  const logger = pino(pino.destination({ fd: 2, sync: true }))
  const relay = await startRelay({
    port,
    data,
    host,
    logger,
    proxies: proxy,
    limits: readLimits(limit),
    ...(origin ? { origins: origin } : {}),
    onFatal(error) {
      console.error(`lend-relay: ${sentenceOf(error)}`)
      process.exit(1)
    }
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop(relay))
  console.log(`relay ready at ${relay.url} key ${hex(relay.key)}`)
}

async function stop(relay: Relay): Promise<void> {
  try {
    await relay.close()
    process.exit(0)
  } catch (error) {
    console.error(`lend-relay: ${sentenceOf(error)}`)
    process.exit(1)
  }
}

function readFlags(args: readonly string[]): z.infer<typeof flags> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        port: { type: 'string' },
        data: { type: 'string' },
        host: { type: 'string' },
        origin: { type: 'string', multiple: true },
        proxy: { type: 'string', multiple: true },
        limit: { type: 'string', multiple: true }
      }
    })
    if (positionals.length !== 1 || positionals[0] !== 'start') throw new UsageError(USAGE)
    return flags.parse(values)
  } catch (error) {
    if (error instanceof z.ZodError) throw new UsageError(`${error.issues[0]?.message ?? 'wrong flags'}; ${USAGE}`)
    if (error instanceof TypeError) throw new UsageError(`${error.message.split('. ')[0]}; ${USAGE}`)
    throw error
  }
}

/** @param given each NAME=NUMBER, of the names in config.ts */
function readLimits(given: readonly string[]): RelayLimits {
  const limits = given.map(limit => limit.split('=')).map(([name = '', number]) => [name, Number(number)] as const)
  try {
    return checkLimits(Object.fromEntries(limits))
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error
    const [issue] = error.issues
    const names = Object.keys(checkLimits()).join(', ')
    throw new UsageError(`${['--limit', ...(issue?.path ?? [])].join(' ')}: ${issue?.message}; there are ${names}`)
  }
}

/** What a person can act on, on one line. */
function sentenceOf(error: unknown): string {
  if (!(error instanceof Error)) return 'failed'
  const code = 'code' in error ? error.code : undefined
  if (code === 'EADDRINUSE') return `${error.message}: another program listens there; choose another --port`
  if (code === 'EACCES' || code === 'EROFS' || code === 'ENOTDIR') return `${error.message}: choose another --data`
  const cause = error instanceof StoreError && error.cause instanceof Error ? ` (${error.cause.message})` : ''
  return `${error.message}${cause}`.replaceAll('\n', ' ')
}
