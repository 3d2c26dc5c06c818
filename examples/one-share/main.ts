/**
 * `npm start`: one share from end to end, in one terminal. Ends with 0 when every text is what it must be and the one who
 * was taken out kept nothing, 1 when not, 2 when the flags or the file are wrong.
 */
import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { BadInput } from './file.ts'
import { openScreen } from './screen.ts'
import { show } from './show.ts'
import { sourceOf } from './source.ts'

const HELP = `One share, end to end: a relay and three accounts in one terminal.

  npm start -- [flags]

  --text FILE     what Maya types; else the project's own documents
  --trace FILE    an editing trace instead: JSON, or JSON in gzip, of [position, deleted, "inserted"]
  --seed N        whose fingers she has: the same seed slips at the same letters (1)
  --seconds N     how long she types, 1 to 3600 (40); she never types slower than a person
  --fast          no pauses: as fast as client and relay take it
  --data DIR      keep everything in this empty folder; else it goes to a temporary one, and away
  --help
`

const flagsShape = z
  .strictObject({
    text: z.string().min(1, 'want a file').optional(),
    trace: z.string().min(1, 'want a file').optional(),
    data: z.string().min(1, 'want a folder').optional(),
    seed: z
      .string()
      .regex(/^\d{1,9}$/, 'want a whole number of at most 9 digits')
      .default('1')
      .transform(Number),
    seconds: z
      .string()
      .regex(/^\d+(\.\d+)?$/, 'want a number')
      .default('40')
      .transform(Number)
      .pipe(z.number().min(1, 'want at least 1').max(3600, 'want at most 3600')),
    fast: z.boolean().default(false),
    help: z.boolean().default(false)
  })
  .refine(({ text, trace }) => text === undefined || trace === undefined, {
    message: 'it is either --text or --trace',
    path: ['text']
  })

const FLAGS = {
  text: { type: 'string' },
  trace: { type: 'string' },
  data: { type: 'string' },
  seed: { type: 'string' },
  seconds: { type: 'string' },
  fast: { type: 'boolean' },
  help: { type: 'boolean' }
} as const

try {
  const flags = readFlags(process.argv.slice(2))
  if (flags.help) process.stdout.write(HELP)
  else process.exitCode = await run(flags)
} catch (error) {
  if (!(error instanceof BadInput)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 2
}

async function run(flags: z.infer<typeof flagsShape>): Promise<0 | 1> {
  const { text, trace, seed } = flags
  const source = await sourceOf({
    seed,
    ...(text === undefined ? {} : { text: fromHere(text) }),
    ...(trace === undefined ? {} : { trace: fromHere(trace) })
  })
  const kept = flags.data === undefined ? null : await emptyFolder(fromHere(flags.data))
  const folder = kept ?? (await mkdtemp(join(tmpdir(), 'lend-one-share-')))
  const clean = () => {
    if (kept === null) rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
  for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
    process.once(signal, () => {
      clean()
      process.exit(code)
    })
  }
  try {
    const good = await show(
      { source, folder, kept: kept !== null, ms: flags.fast ? 0 : flags.seconds * 1000 },
      openScreen(process.stdout)
    )
    return good ? 0 : 1
  } finally {
    clean()
  }
}

/** @throws BadInput, one line */
function readFlags(args: string[]): z.infer<typeof flagsShape> {
  const flags = flagsShape.safeParse(parse(args))
  if (flags.success) return flags.data
  const [first] = flags.error.issues
  throw new BadInput(`--${first?.path.join('.')}: ${first?.message} (--help says more)`)
}

function parse(args: string[]): object {
  try {
    return parseArgs({ args, options: FLAGS }).values
  } catch (error) {
    // Node's own sentence; what follows it is about arguments that begin with a dash.
    const sentence = error instanceof Error ? error.message.split(/\.\s|\n/)[0] : String(error)
    throw new BadInput(`${sentence} (--help says more)`)
  }
}

/** npm runs us in the project; a file is meant from where the visitor stands. */
function fromHere(path: string): string {
  return resolve(process.env.INIT_CWD ?? process.cwd(), path)
}

/** A folder of an earlier run has accounts of another relay. */
async function emptyFolder(path: string): Promise<string> {
  try {
    await mkdir(path, { recursive: true })
    if ((await readdir(path)).length === 0) return path
  } catch {
    throw new BadInput(`--data: ${path} can't be used as a folder`)
  }
  throw new BadInput(`--data: ${path} is not empty; name a new folder`)
}
