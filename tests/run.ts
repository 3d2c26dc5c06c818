/**
 * Runs the test files, each in a process of its own but for the engine's, and says how it went.
 *
 *   node --import tsx --conditions @lend/source tests/run.ts [part of a path ...]
 *
 * uvu alone exits with 0 when a `before` throws, when `.run()` was forgotten and when `.only` was left in, and knows no
 * time limit. So a file counts as passed only if it exits with 0, declares no suite that it doesn't run, and prints one
 * summary in which every test ran and passed. A skipped test is a failed file: a test runs, or it goes.
 *
 * A file that needs longer than the default says so in its first lines: `// limit: 240 s`.
 */
import { spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'

const FILES_AT_ONCE = 3
const LIMIT_S_DEFAULT = 120
const ROOT = resolve(import.meta.dirname, '..')
/** Neither sockets nor disks nor time: these run together. */
const PURE = join('tests', 'engine', '/')
const TOGETHER = join(import.meta.dirname, 'together.ts')

/** What runs in one process: a file, or several that need none of their own. */
type TestFile = {
  readonly name: string
  readonly paths: readonly string[]
  readonly limitS: number
  readonly idleSuites: readonly string[]
}
type Ended = { readonly output: string; readonly exit: number | string; readonly overran: boolean }
type Outcome = { readonly passed: number; readonly failed: number; readonly trouble: string | null }

/** The process groups that run now; a test file leads its own, so that what it started ends with it. */
const groups = new Set<number>()

const { values, positionals } = parseArgs({
  options: { dir: { type: 'string', default: import.meta.dirname } },
  allowPositionals: true
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const group of groups) kill(group)
    process.exit(1)
  })
}
process.exitCode = (await runAll(values.dir, positionals)) ? 0 : 1

async function runAll(dir: string, filters: readonly string[]): Promise<boolean> {
  const files = await find(dir, filters)
  let passed = 0
  let failed = 0
  if (files.length === 0) {
    failed++
    console.log(`no test file under ${dir} has ${filters.join(' or ') || '.test.ts'} in its path`)
  }
  const next = files.values()
  const lane = async () => {
    for (const file of next) {
      const started = performance.now()
      const ended = await run(file)
      const outcome = judge(file, ended)
      passed += outcome.passed
      failed += outcome.failed
      report(file, outcome, ended, (performance.now() - started) / 1000)
    }
  }
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, lane))
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0
}

/** Those with the longest limits first, so that they don't start last and run alone. */
async function find(dir: string, filters: readonly string[]): Promise<TestFile[]> {
  const names = await readdir(dir, { recursive: true })
  const paths = names
    .filter(name => name.endsWith('.test.ts') && !/(^|[\\/])(node_modules|dist)[\\/]/.test(name))
    .map(name => join(resolve(dir), name))
    .filter(path => filters.length === 0 || filters.some(filter => relative(ROOT, path).includes(filter)))
    .sort()
  const isPure = (path: string) => relative(ROOT, path).startsWith(PURE) && filters.length === 0
  const files = await Promise.all(paths.filter(path => !isPure(path)).map(describe))
  const pure = await Promise.all(paths.filter(isPure).map(describe))
  const together: TestFile = {
    name: `${PURE} (${pure.length} files)`,
    paths: pure.flatMap(file => file.paths),
    limitS: LIMIT_S_DEFAULT,
    idleSuites: pure.flatMap(file => file.idleSuites)
  }
  return [...files, ...(pure.length > 0 ? [together] : [])].sort((a, b) => b.limitS - a.limitS)
}

async function describe(path: string): Promise<TestFile> {
  const source = await readFile(path, 'utf8')
  const limit = /^\/\/ limit: (\d+) s$/m.exec(source.split('\n', 10).join('\n'))?.[1]
  const limitS = limit === undefined ? LIMIT_S_DEFAULT : Number(limit)
  return { name: relative(ROOT, path), paths: [path], limitS, idleSuites: idleSuites(source) }
}

/** The suites that a file declares and never runs: uvu leaves their tests out without a word. */
function idleSuites(source: string): string[] {
  const declared = [...source.matchAll(/^(?:export )?const (\w+) = suite\b/gm)].map(match => match[1] ?? '')
  if (/^test\(/m.test(source)) declared.push('test')
  return declared.filter(name => !source.includes(`${name}.run()`))
}

function run({ paths, limitS }: TestFile): Promise<Ended> {
  const { FORCE_COLOR: _, ...env } = process.env
  const isAlone = paths.length === 1
  const program = isAlone ? paths : [TOGETHER, ...paths]
  const child = spawn(process.execPath, ['--import', 'tsx', '--conditions', '@lend/source', ...program], {
    cwd: ROOT,
    env: { ...env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true
  })
  const group = child.pid
  if (group !== undefined) groups.add(group)
  const chunks: Buffer[] = []
  child.stdout.on('data', chunk => chunks.push(chunk))
  child.stderr.on('data', chunk => chunks.push(chunk))
  let overran = false
  const limit = setTimeout(() => {
    overran = true
    if (group !== undefined) kill(group)
  }, limitS * 1000)
  return new Promise((done, fail) => {
    child.once('error', fail)
    // What the file left running holds its output open; it goes first, then `close` comes.
    child.once('exit', () => {
      clearTimeout(limit)
      if (group !== undefined) kill(group)
    })
    child.once('close', (code, signal) => {
      if (group !== undefined) groups.delete(group)
      done({ output: Buffer.concat(chunks).toString(), exit: code ?? signal ?? 'unknown', overran })
    })
  })
}

function kill(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch (error) {
    // Nobody left in it.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

function judge({ limitS, idleSuites }: TestFile, { output, exit, overran }: Ended): Outcome {
  const summaries = [...output.matchAll(/^ {2}Total: {5}(\d+)\n {2}Passed: {4}(\d+)\n {2}Skipped: {3}(\d+)$/gm)]
  const [total = 0, passed = 0, skipped = 0] = summaries[0]?.slice(1).map(Number) ?? []
  const trouble = overran
    ? `still running after its limit of ${limitS} s`
    : summaries.length !== 1
      ? `printed ${summaries.length} summaries instead of one (exit ${exit})`
      : passed !== total
        ? `${total - passed} of ${total} tests failed or never ran`
        : skipped > 0
          ? `${skipped} tests were skipped (.skip, or an .only left in)`
          : idleSuites.length > 0
            ? `declares tests and never calls ${idleSuites.map(name => `${name}.run()`).join(', ')}`
            : total === 0
              ? 'has no tests'
              : exit !== 0
                ? `all tests passed, and the process ended with ${exit}`
                : null
  return { passed, failed: trouble === null ? 0 : Math.max(1, total - passed), trouble }
}

function report({ name }: TestFile, { passed, trouble }: Outcome, { output }: Ended, seconds: number): void {
  const duration = `${seconds.toFixed(1)} s`
  if (trouble === null) console.log(`ok  ${name}  ${passed} passed  ${duration}`)
  else console.log(`RED ${name}  ${trouble}  ${duration}\n${output.trimEnd()}\n`)
}
