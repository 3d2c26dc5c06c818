/** The code in the documents runs, as it stands there. */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const root = new URL('../..', import.meta.url).pathname
const readme = suite('README')

readme('its code runs as it stands there, and says what it promises', async () => {
  const text = await readFile(join(root, 'README.md'), 'utf8')
  const blocks = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(match => match[1] ?? '')
  assert.is(blocks.length, 1)
  // Below tests/, so that the workspace's packages are found from there.
  const folder = await mkdtemp(join(root, 'tests', '.readme-'))
  try {
    const program = [
      `const folder = ${JSON.stringify(folder)}`,
      'const raise = (why: string): never => { throw new Error(why) }',
      ...blocks,
      'await maya.close(); await ben.close(); await relay.close()'
    ].join('\n')
    await writeFile(join(folder, 'readme.ts'), program)
    const { output, code } = await run(join(folder, 'readme.ts'))
    assert.is(code, 0, output)
    for (const line of ['Garden notes', 'The tomatoes are ripe.', 'gone from his disk']) assert.match(output, line)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

readme('its twenty lines are twenty lines', async () => {
  const text = await readFile(join(root, 'README.md'), 'utf8')
  const code = /```ts\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
  const lines = code.split('\n').filter(line => line.trim() !== '')
  assert.ok(lines.length <= 20, `${lines.length} lines`)
})

readme.run()

function run(file: string): Promise<{ output: string; code: number | null }> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, ['--import', 'tsx', '--conditions', '@lend/source', file], { cwd: root })
    let output = ''
    child.stdout.on('data', data => {
      output += data
    })
    child.stderr.on('data', data => {
      output += data
    })
    child.on('close', code => resolve({ output, code }))
  })
}
