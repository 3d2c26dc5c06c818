/** docs/OPERATIONS.md says what `lend-relay` takes: each flag, each limit with its default. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkLimits } from '../../packages/server/src/config.ts'

const operations = suite('docs/OPERATIONS.md')

const root = join(import.meta.dirname, '..', '..')
const page = await readFile(join(root, 'docs/OPERATIONS.md'), 'utf8')
const usage = /'(usage: lend-relay start [^']*)'/.exec(
  await readFile(join(root, 'packages/server/src/cli.ts'), 'utf8')
)?.[1]
const rows = page
  .split('\n')
  .filter(line => line.startsWith('| `'))
  .map(line => line.split('|').map(cell => cell.trim()))

operations('each flag of the usage line has its row, and no row is of another', () => {
  const flags = rows.map(([, name = '']) => /^`(--\w+)/.exec(name)?.[1]).filter(flag => flag !== undefined)
  assert.equal(flags.toSorted(), [...(usage?.matchAll(/--\w+/g) ?? [])].map(([flag]) => flag).toSorted())
})

operations('each limit has its row, in its order, with its default', () => {
  const listed = rows.map(([, name = '', value]) => [/^`(\w+)`$/.exec(name)?.[1], Number(value)])
  assert.equal(
    listed.filter(([name]) => name !== undefined),
    Object.entries(checkLimits())
  )
})

operations.run()
