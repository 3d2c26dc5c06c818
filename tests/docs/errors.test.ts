/** docs/ERRORS.md has each code that an app can catch, once, and says all of each. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const errors = suite('docs/ERRORS.md')

const root = join(import.meta.dirname, '..', '..')
const source = await readFile(join(root, 'packages/engine/src/errors.ts'), 'utf8')
const page = await readFile(join(root, 'docs/ERRORS.md'), 'utf8')

const [union = ''] = /export type ErrorCode =[^=]*?\n\n/.exec(source) ?? []
const codes = [...union.matchAll(/'([A-Z_]+)'/g)].map(([, code]) => code)
const rows = page
  .split('\n')
  .filter(line => line.startsWith('| `'))
  .map(line => line.split('|').map(cell => cell.trim()))

errors('each code of the union has its row, in its order, and no row is of another', () => {
  assert.ok(codes.length > 30)
  assert.equal(
    rows.map(([, code = '']) => code.slice(1, -1)),
    codes
  )
})

errors('each row says when, what to do, and what trying again is good for', () => {
  for (const [, code, when = '', what = '', retry = ''] of rows) {
    assert.ok(when.length > 10 && what.length > 8, code)
    for (const word of retry.split(', ')) assert.ok(['no', 'later', 'after-change'].includes(word), `${code}: ${word}`)
  }
})

errors.run()
