/** The runner is red for everything that uvu alone lets pass. */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

/** What must be red, and the reason that its line gives. They run together, once. */
const reds: Record<string, { source: string; why: RegExp }> = {
  'a before that throws': {
    source: "test.before(() => { throw new Error() })\ntest('x', () => {})\ntest.run()",
    why: /1 of 1 tests failed or never ran/
  },
  'an after.each that throws': {
    source: "test.after.each(() => { throw new Error() })\ntest('x', () => {})\ntest('y', () => {})\ntest.run()",
    why: /2 of 2 tests failed or never ran/
  },
  'a forgotten .run()': {
    source: "test('x', () => {})",
    why: /printed 0 summaries/
  },
  'a forgotten .run() beside a suite that runs': {
    source: "test('x', () => {})\ntest.run()\nconst other = suite('other')\nother('y', () => {})",
    why: /never calls other\.run\(\)/
  },
  'an .only left in': {
    source: "test('x', () => {})\ntest.only('y', () => {})\ntest.run()",
    why: /1 tests were skipped/
  },
  'a file without tests': {
    source: 'test.run()',
    why: /has no tests/
  },
  'a process that ends with another code': {
    source: "test('x', () => {})\ntest.run()\nprocess.on('exit', () => { process.exitCode = 3 })",
    why: /ended with 3/
  },
  'a file that ends itself early': {
    source: "test('x', () => { process.exit(0) })\ntest.run()",
    why: /printed 0 summaries/
  },
  'a file that hangs, together with what it started': {
    source: [
      '// limit: 1 s',
      "import { spawn } from 'node:child_process'",
      // The grandchild holds the output open: if it outlived the limit, the runner would never end.
      "spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' })",
      "test('x', () => new Promise(() => {}))",
      'test.run()'
    ].join('\n'),
    why: /still running after its limit of 1 s/
  }
}

const runner = suite<{ dir: string; redLines: string[]; redExit: number | null }>('runner')

runner.before(async context => {
  const dir = await mkdtemp(join(tmpdir(), 'lend-runner-'))
  const files = Object.entries(reds).map(([name, { source }]) => [fileName(name), source])
  const { exit, lines } = await run(dir, Object.fromEntries(files))
  await rm(dir, { recursive: true })
  context.redExit = exit
  context.redLines = lines
})
runner.before.each(async context => {
  context.dir = await mkdtemp(join(tmpdir(), 'lend-runner-'))
})
runner.after.each(({ dir }) => rm(dir, { recursive: true }))

runner('is green when every test passes, and ends with the counts', async ({ dir }) => {
  const { exit, lines } = await run(dir, { 'a.test.ts': "test('x', () => {})\ntest('y', () => {})\ntest.run()" })
  assert.is(exit, 0, lines.join('\n'))
  assert.match(lines[0] ?? '', /^ok .*a\.test\.ts {2}2 passed {2}\d+\.\d s$/)
  assert.equal(lines.slice(1), ['2 passed, 0 failed'])
})

runner('runs the files in folders too, and not those of other names', async ({ dir }) => {
  const pass = "test('x', () => {})\ntest.run()"
  const { lines } = await run(dir, { 'a.test.ts': pass, 'b/c/d.test.ts': pass, 'e.ts': pass, 'dist/f.test.ts': pass })
  assert.is(lines.at(-1), '2 passed, 0 failed')
})

runner('runs only the files whose path has one of the given parts', async ({ dir }) => {
  const pass = "test('x', () => {})\ntest.run()"
  const files = { 'apple.test.ts': pass, 'pear.test.ts': pass, 'plum.test.ts': pass }
  const { lines } = await run(dir, files, ['pear', 'plum'])
  assert.is(lines.at(-1), '2 passed, 0 failed')
})

runner('prints the whole output of a file that fails', async ({ dir }) => {
  const { exit, lines } = await run(dir, {
    'a.test.ts': "test('x', () => { console.log('first'); throw new Error('broken') })\ntest('y', () => {})\ntest.run()"
  })
  assert.is(exit, 1)
  assert.match(lines.join('\n'), /first[\s\S]*broken/)
  assert.is(lines.at(-1), '1 passed, 1 failed')
})

for (const [name, { why }] of Object.entries(reds)) {
  runner(`is red for ${name}`, ({ redLines }) => {
    const path = `/${fileName(name)}  `
    const line = redLines.find(line => line.includes(path)) ?? ''
    assert.match(line, /^RED /)
    assert.match(line, why)
  })
}

runner('counts each red file as a failed test at least, and ends with 1', ({ redLines, redExit }) => {
  assert.is(redExit, 1)
  const failed = /^\d+ passed, (\d+) failed$/.exec(redLines.at(-1) ?? '')?.[1]
  assert.ok(Number(failed) >= Object.keys(reds).length, redLines.at(-1))
})

runner('is red when there is nothing to run', async ({ dir }) => {
  const { exit, lines } = await run(dir, {})
  assert.is(exit, 1)
  assert.is(lines.at(-1), '0 passed, 1 failed')
})

runner('kills what hangs when it is told to stop itself', async ({ dir }) => {
  const { exit } = await run(
    dir,
    { 'a.test.ts': `process.kill(process.ppid, 'SIGTERM')\nsetInterval(() => {}, 1000)` },
    []
  )
  assert.is(exit, 1)
})

runner.run()

function fileName(name: string): string {
  return `${name.replace(/\W+/g, '-')}.test.ts`
}

/** Writes the files into the directory and runs the runner on them. */
async function run(
  dir: string,
  files: Record<string, string>,
  filters: readonly string[] = []
): Promise<{ exit: number | null; lines: string[] }> {
  // The files lie outside the workspace, where `uvu` has no meaning.
  const head = `import { suite, test } from '${import.meta.resolve('uvu')}'\n`
  for (const [name, source] of Object.entries(files)) {
    const path = join(dir, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, source.startsWith('//') ? source.replace('\n', `\n${head}`) : head + source)
  }
  const script = join(import.meta.dirname, 'run.ts')
  const flags = ['--import', 'tsx', '--conditions', '@lend/source']
  const child = spawn(process.execPath, [...flags, script, '--dir', dir, ...filters], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    output += text
  })
  const exit = await new Promise<number | null>(done => child.once('close', code => done(code)))
  return { exit, lines: output.trimEnd().split('\n') }
}
