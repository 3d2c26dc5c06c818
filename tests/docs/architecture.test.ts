/** docs/ARCHITECTURE.md names what is there: its tests, its pictures, its rooms. */
import { access, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const architecture = suite('docs/ARCHITECTURE.md')

const root = join(import.meta.dirname, '..', '..')
const page = await readFile(join(root, 'docs/ARCHITECTURE.md'), 'utf8')

architecture('each test that holds a promise is there', async () => {
  const files = await readdir(join(root, 'tests'), { recursive: true })
  const there = new Set(files.flatMap(file => /([\w-]+)\.test\.ts$/.exec(file)?.[1] ?? []))
  const [, table = ''] = /\| promise .*\n([\s\S]*?)\n\n/.exec(page) ?? []
  const named = [...table.matchAll(/`([\w-]+)`/g)].map(([, name = '']) => name)
  assert.ok(named.length > 20)
  for (const name of named) assert.ok(there.has(name), name)
})

architecture('each picture and each room is there', async () => {
  const pictures = [...page.matchAll(/\]\((pictures\/[\w.-]+)\)/g)].map(([, path = '']) => join('docs', path))
  const [, rooms = ''] = /## Rooms\n\n```\n([\s\S]*?)```/.exec(page) ?? []
  let base = ''
  const folders: string[] = []
  for (const line of rooms.split('\n')) {
    base = /^(packages\/\w+\/src)/.exec(line)?.[1] ?? base
    for (const [, folder = ''] of line.matchAll(/^ {2}(\w+)\//g)) folders.push(join(base, folder))
  }
  assert.ok(pictures.length > 3 && folders.length > 15)
  for (const path of [...pictures, ...folders]) await access(join(root, path))
})

architecture.run()
