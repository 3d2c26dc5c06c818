/** The command `lend-relay`: its ready line, its exit codes, and what it says when it can't. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { connectRaw, makeAccount, makeShare, UNSEEN } from './raw-client.ts'
import { closeWorlds, newData } from './world.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const CLI = join(ROOT, 'packages/server/src/cli.ts')
const cliTest = describe('lend-relay')
const children = new Set<ChildProcess>()

cliTest.after.each(async () => {
  for (const child of children) child.kill('SIGKILL')
  children.clear()
  await closeWorlds()
})

interface Run {
  readonly child: ChildProcess
  readonly ended: Promise<{ code: number | null; out: string; err: string }>
  /** Resolves with the ready line. */
  readonly ready: Promise<string>
}

function run(...args: readonly string[]): Run {
  const command = ['--import', 'tsx', '--conditions', '@lend/source', CLI, ...args]
  const child = spawn(process.execPath, command, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  let out = ''
  let err = ''
  const ready = new Promise<string>((done, failed) => {
    child.stdout.on('data', chunk => {
      out += chunk
      if (out.includes('\n')) done(out.trim())
    })
    child.once('close', () => failed(new Error(`it ended: ${err}`)))
  })
  ready.catch(() => {})
  child.stderr.on('data', chunk => {
    err += chunk
  })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, out, err }))
  return { child, ended, ready }
}

cliTest('it says where it is, and stops cleanly on SIGTERM with everything durable', async () => {
  const data = await newData()
  const first = run('start', '--port', '0', '--data', data)
  const [, url, key] = /^relay ready at (ws:\S+) key ([0-9a-f]{64})$/.exec(await first.ready) ?? []
  assert.ok(url && key)
  const ann = makeAccount('Ann')
  const client = await connectRaw(url, ann.device, new Uint8Array(Buffer.from(key, 'hex')))
  const share = makeShare(ann, new Uint8Array(Buffer.from(key, 'hex')))
  await client.appended(share.log, UNSEEN, share.create)
  first.child.kill('SIGTERM')
  const { refusal } = await client.closed
  assert.is(refusal?.code, 'RELAY_CLOSING')
  assert.is((await first.ended).code, 0)

  const second = run('start', '--port', '0', '--data', data)
  const line = await second.ready
  assert.ok(line.endsWith(key), 'the key stays')
  const again = await connectRaw(line.split(' ')[3] ?? '', ann.device)
  assert.is((await again.followed(share.log)).entriesTotal, 1)
  second.child.kill('SIGINT')
  assert.is((await second.ended).code, 0)
})

cliTest('wrong usage is one line and exit code 2', async () => {
  const data = await newData()
  const file = join(data, 'a-file')
  await writeFile(file, '')
  const wrong: [RegExp, string[]][] = [
    [/^lend-relay: usage: /, []],
    [/--port is missing/, ['start', '--data', data]],
    [/--port wants a number/, ['start', '--port', 'x', '--data', data]],
    [/'--no-such'/, ['start', '--no-such']],
    [/--limit wants NAME=NUMBER/, ['start', '--port', '0', '--data', data, '--limit', 'connections']],
    [/"no_such"; there are connections, /, ['start', '--port', '0', '--data', data, '--limit', 'no_such=1']],
    [/--limit connections: .*>=1/, ['start', '--port', '0', '--data', data, '--limit', 'connections=0']],
    [/choose another --data/, ['start', '--port', '0', '--data', join(file, 'below')]]
  ]
  const ended = await Promise.all(wrong.map(([, args]) => run(...args).ended))
  for (const [i, { code, out, err }] of ended.entries()) {
    assert.is(code, 2, err)
    assert.is(out, '')
    assert.match(err, wrong[i]?.[0] ?? /^$/)
    assert.is(err.trim().split('\n').length, 1, err)
  }
})

cliTest('a limit that is named is kept', async () => {
  const relay = run('start', '--port', '0', '--data', await newData(), '--limit', 'connections=1')
  const url = (await relay.ready).split(' ')[3] ?? ''
  await connectRaw(url, makeAccount().device)
  await connectRaw(url, makeAccount().device).then(
    () => assert.unreachable(),
    () => {}
  )
  relay.child.kill('SIGTERM')
  assert.is((await relay.ended).code, 0)
})

cliTest('a directory that is open in another process is refused by name', async () => {
  const data = await newData()
  const first = run('start', '--port', '0', '--data', data)
  await first.ready
  const { code, err } = await run('start', '--port', '0', '--data', data).ended
  assert.is(code, 2)
  assert.match(err, /already open/)
  first.child.kill('SIGTERM')
  assert.is((await first.ended).code, 0)
})

cliTest.run()
