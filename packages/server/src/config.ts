/**
 * What an operator can set, and its checks: the one place where options come in from outside.
 */
import { type Dice, limits } from '@lend/engine'
import type { Logger } from 'pino'
import { z } from 'zod'
import type { LogStore } from './store/log-store.ts'

const count = z.number().int().min(1)

const limitsShape = z.strictObject({
  /** Connections at a time: well under the files that the process may open, for the store needs some too. */
  connections: count.default(20_000),
  /** Connections of one network address at a time: a household or an office behind one address, or 64 bits of IPv6. */
  connectionsPerAddress: count.default(1000),
  /** Handshakes of one network address in a minute: each costs a signature. */
  handshakesPerMinute: count.default(6000),
  /** Access entries that one member may write into one log in a minute, and how many at once. */
  memberAccessPerMinute: z.number().positive().default(1),
  memberAccessBurst: count.default(4),
  /** Logs that one account may create in a minute, and how many at once. */
  createsPerMinute: z.number().positive().default(1),
  createBurst: count.default(500),
  /** Logs that may be created from one network address in a minute, and how many at once. */
  networkCreatesPerMinute: z.number().positive().default(10),
  networkCreateBurst: count.default(1000),
  /** Logs that all sessions of one account may follow: each is in memory, some 20 KB of it. */
  logsPerAccount: count.default(4000),
  /** The same for all sessions of one network address. */
  logsPerNetwork: count.default(20_000),
  /** Bytes of one log: over it, it takes only what makes it smaller. */
  logBytes: count.default(1024 * 1024 * 1024),
  /** Bytes of one log's access entries and drops: they stay for ever, and in memory while it is in use. */
  logKeptBytes: count.default(64 * 1024 * 1024),
  /** Documents of one log that are not dropped: some 2 KB of memory each while it is in use. */
  logDocuments: count.default(limits.DOCUMENTS_MAX),
  /** Logs that stay folded in memory while nobody uses them. */
  idleLogs: z.number().int().min(0).default(256),
  /** Readers that read the store at once, and likewise logs that are folded: each holds a page in memory. */
  readsAtOnce: count.default(64),
  /** Receipts of one log that wait for its owner. */
  receiptsPerLog: count.default(1024),
  handshakeMs: count.default(limits.HANDSHAKE_MS_MAX),
  /** Least pace of what is on its way: 32 kbit/s. Held over `stalledMs` by what is sent, over `pingMs` by what comes. */
  bytesPerSecondMin: count.default(4096),
  stalledMs: count.default(limits.STALLED_MS_MAX),
  pingMs: count.default(limits.PING_MS),
  /** Memory for frames that have begun and not ended, and for those made for one reader alone, of all connections. */
  heldBytes: count.default(256 * 1024 * 1024),
  /** Bytes of a socket's buffer over which nothing more is read for it, and nothing from it. */
  socketBufferBytes: count.default(limits.SOCKET_BUFFER_BYTES_MAX),
  /** Logs one connection may follow. */
  subscriptions: count.default(limits.SUBSCRIPTIONS_MAX)
})

export type RelayLimits = Readonly<z.infer<typeof limitsShape>>

const optionsShape = z.strictObject({
  port: z.number().int().min(0).max(65535),
  host: z.string().min(1).default('127.0.0.1'),
  data: z.string().min(1),
  origins: z.array(z.url()).optional(),
  proxies: z.array(z.union([z.ipv4(), z.ipv6()])).default([]),
  limits: limitsShape.prefault({}),
  clock: z.custom<() => number>(isFunction).default(() => Date.now),
  dice: z.custom<Dice>(isFunction).optional(),
  logger: z.custom<Logger>(isObject).optional(),
  store: z.custom<LogStore>(isObject).optional(),
  onFatal: z.custom<(error: Error) => void>(isFunction).optional()
})

export interface RelayOptions {
  /** 0 for any that is free. */
  readonly port: number
  readonly host?: string
  /** A directory for this relay alone; made when it is not there. */
  readonly data: string
  /** The web origins that may connect; all when not given. Programs that send no Origin always may. */
  readonly origins?: readonly string[]
  /**
   * Addresses of the proxies in front, which end TLS: whose connections they bring they say in X-Forwarded-For, last. From any other address
   * that header counts for nothing.
   */
  readonly proxies?: readonly string[]
  readonly limits?: Partial<RelayLimits>
  /** The time in ms since 1970. */
  readonly clock?: () => number
  /** That many random bytes. */
  readonly dice?: Dice
  readonly logger?: Logger
  /** Where logs are kept; a LevelDB directory in `data` when not given. The relay closes it. */
  readonly store?: LogStore
  /** The store has failed and the process must end. Throws out of the event loop when not given. */
  readonly onFatal?: (error: Error) => void
}

/** @throws z.ZodError, whose issues name each wrong option */
export function checkOptions(options: RelayOptions): z.infer<typeof optionsShape> {
  return optionsShape.parse(options)
}

/** @throws z.ZodError */
export function checkLimits(given: Partial<RelayLimits> = {}): RelayLimits {
  return limitsShape.parse(given)
}

function isFunction(value: unknown): boolean {
  return typeof value === 'function'
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}
