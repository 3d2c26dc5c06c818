// limit: 240 s
/** What `npm start` runs, as a program: what it prints, what it leaves behind, and how it ends. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const PROGRAM = join(import.meta.dirname, '../../examples/one-share/main.ts')
const TEXT = 'Maya writes one line after the other, and none of them is like another: '

const oneShare = suite<{ dir: string; text: string; temporary: string }>('one-share')

oneShare.before.each(async context => {
  context.dir = await mkdtemp(join(tmpdir(), 'lend-show-'))
  context.text = join(context.dir, 'text.md')
  context.temporary = join(context.dir, 'tmp')
  await mkdir(context.temporary)
  // What the loader has compiled already it need not compile for each program again.
  const cache = `tsx-${process.geteuid?.()}`
  if (existsSync(join(tmpdir(), cache))) await symlink(join(tmpdir(), cache), join(context.temporary, cache))
  await writeFile(context.text, Array.from({ length: 60 }, (_, i) => `${TEXT}${i}.\n`).join(''))
})
oneShare.after.each(({ dir }) => rm(dir, { recursive: true, force: true, maxRetries: 3 }))

oneShare('lends, takes back, and ends with 0 when every text is what it must be', async ({ dir, text }) => {
  const { exit, out, err } = await run(dir, ['--fast', '--text', text])
  assert.is(exit, 0, out + err)
  assert.is(err, '')
  assert.match(out, /✓ Ben reads what Maya has written/)
  assert.match(out, /Ben’s disk before: his replica \d+ files, .*; its key 32 bytes/)
  assert.match(out, /Ben’s disk after: his replica not there; its key not there/)
  assert.match(out, /✓ nothing of it is left on Ben’s disk/)
  assert.match(out, /Ben opens his old link once more: REMOVED/)
  assert.match(out, /✓ Maya’s text is the one she meant to type/)
  assert.match(out, /✓ Ana’s text is Maya’s/)
  assert.match(out, /edit → Ana +p50 .* p99 .*/)
  assert.match(out, /removal → wiped +\d.* after the relay’s acknowledgement/)
  assert.not.match(out, /✗/)
})

oneShare(
  'prints no control character where nobody looks, and leaves nothing behind',
  async ({ dir, text, temporary }) => {
    const { out } = await run(dir, ['--fast', '--text', text], { FORCE_COLOR: '1', CI: '1' })
    assert.not.match(out.replaceAll('\n', ''), /\p{Cc}/u)
    assert.equal(await ours(temporary), [])
  }
)

oneShare('plays a trace, and keeps all of it where it is told to', async ({ dir }) => {
  const trace = join(dir, 'trace.json')
  const edits = [...TEXT.repeat(5)].map((letter, i) => [i, 0, letter])
  await writeFile(
    trace,
    JSON.stringify({ edits: [...edits, [0, 4, 'Ana']], finalText: `Ana${TEXT.repeat(5).slice(4)}` })
  )
  const { exit, out } = await run(dir, ['--fast', '--trace', trace, '--data', join(dir, 'kept')])
  assert.is(exit, 0, out)
  assert.equal((await readdir(join(dir, 'kept'))).sort(), ['ana', 'ben', 'maya', 'relay'])
})

oneShare('ends with 1 when the text is not what the trace says', async ({ dir }) => {
  const trace = join(dir, 'trace.json')
  await writeFile(trace, JSON.stringify({ edits: [[0, 0, 'abc']], finalText: 'abd' }))
  const { exit, out } = await run(dir, ['--fast', '--trace', trace])
  assert.is(exit, 1)
  assert.match(out, /✗ not so: Maya’s text is the one she meant to type/)
})

oneShare('goes away cleanly when it is interrupted', async ({ dir, text, temporary }) => {
  const { exit } = await run(dir, ['--text', text], {}, child => {
    child.stdout.once('data', () => child.kill('SIGINT'))
  })
  assert.is(exit, 130)
  assert.equal(await ours(temporary), [])
})

oneShare('says what its flags are', async ({ dir }) => {
  const { exit, out } = await run(dir, ['--help'])
  assert.is(exit, 0)
  for (const flag of ['--text FILE', '--trace FILE', '--seed N', '--fast', '--data DIR'])
    assert.ok(out.includes(flag), flag)
})

const wrong: Record<string, { args: string[]; says: RegExp }> = {
  'a flag that it does not know': { args: ['--sped', '1'], says: /Unknown option '--sped'/ },
  'an argument without a flag': { args: ['text.md'], says: /Unexpected argument 'text\.md'/ },
  'a seed that is no number': { args: ['--seed', 'x'], says: /--seed: want a whole number/ },
  'no time at all': { args: ['--seconds', '0'], says: /--seconds: want at least 1/ },
  'a text and a trace together': { args: ['--text', 'a', '--trace', 'b'], says: /either --text or --trace/ },
  'a text that is not there': { args: ['--text', '/nowhere/at-all'], says: /\/nowhere\/at-all: there is no such file/ },
  'a trace that is none': { args: ['--trace', PROGRAM], says: /this is no JSON/ },
  'a data folder that is in use': { args: ['--text', PROGRAM, '--data', '/'], says: /--data: .* is not empty/ }
}
for (const [what, { args, says }] of Object.entries(wrong)) {
  oneShare(`refuses ${what} in one line, and ends with 2`, async ({ dir }) => {
    const { exit, out, err } = await run(dir, args)
    assert.is(exit, 2)
    assert.is(out, '')
    assert.match(err, says)
    assert.is(err.trimEnd().split('\n').length, 1)
  })
}

oneShare.run()

/** The loader keeps a cache of its own there. */
async function ours(temporary: string): Promise<string[]> {
  return (await readdir(temporary)).filter(name => name.startsWith('lend-'))
}

async function run(
  dir: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  meanwhile: (child: ReturnType<typeof start>) => void = () => {}
): Promise<{ exit: number | null; out: string; err: string }> {
  const child = start(dir, args, env)
  const read = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', text => {
    read.out += text
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    read.err += text
  })
  meanwhile(child)
  const exit = await new Promise<number | null>((done, failed) => {
    child.once('error', failed)
    child.once('close', done)
  })
  return { exit, ...read }
}

function start(dir: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  return spawn(process.execPath, ['--import', 'tsx', '--conditions', '@lend/source', PROGRAM, ...args], {
    env: { ...process.env, TMPDIR: join(dir, 'tmp'), ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
}
