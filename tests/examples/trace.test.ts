/** What is read as a trace, and what is said of a file that is none. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BadInput } from '../../examples/one-share/file.ts'
import { readTrace } from '../../examples/one-share/trace.ts'

const EDITS = [
  [0, 0, 'ab'],
  [1, 1, '']
] as const

const trace = suite<{ dir: string; file: (content: string | Uint8Array) => Promise<string> }>('trace')

trace.before(async context => {
  context.dir = await mkdtemp(join(tmpdir(), 'lend-trace-'))
  context.file = async content => {
    const path = join(context.dir, 'trace')
    await writeFile(path, content)
    return path
  }
})
trace.after(({ dir }) => rm(dir, { recursive: true }))

trace('is a list of edits, or an object with edits and the text that comes out', async ({ file }) => {
  assert.equal(await readTrace(await file(JSON.stringify(EDITS))), { edits: EDITS, finalText: null })
  const whole = { edits: EDITS, finalText: 'a' }
  assert.equal(await readTrace(await file(JSON.stringify(whole))), whole)
})

trace('may be packed with gzip', async ({ file }) => {
  assert.equal((await readTrace(await file(gzipSync(JSON.stringify(EDITS))))).edits, EDITS)
})

const bad: Record<string, { content: string | Uint8Array; says: RegExp }> = {
  'is no JSON': { content: 'hello', says: /this is no JSON/ },
  'is no text': { content: new Uint8Array([0xff, 0xfe]), says: /no text in UTF-8/ },
  'is cut off within its gzip': { content: gzipSync('[[0,0,"a"]]').subarray(0, 15), says: /gzip can't unpack it/ },
  'has no edits': { content: '[]', says: /its list of edits/ },
  'is something else': { content: '{"cameras":[]}', says: /its list of edits/ },
  'has an edit without its three parts': { content: '[[0,0,"a"],[0,1]]', says: /edit 2:/ },
  'has a negative position': { content: '[[-1,0,"a"]]', says: /edit 1, position/ },
  'has half of a surrogate pair': { content: '[[0,0,"\\ud800"]]', says: /edit 1, inserted: half of a surrogate pair/ },
  'has an edit outside the text': {
    content: '[[0,0,"ab"],[1,2,""]]',
    says: /edit 2 reaches to 3, and the text ends at 2/
  }
}
for (const [what, { content, says }] of Object.entries(bad)) {
  trace(`is refused in one sentence when the file ${what}`, async ({ file }) => {
    const error = await readTrace(await file(content)).then(
      () => null,
      error => error
    )
    assert.instance(error, BadInput)
    assert.match(error.message, says)
    assert.not.match(error.message, /\n/)
  })
}

trace('is refused when there is no such file, or it is a folder', async ({ dir }) => {
  for (const [path, says] of [
    [join(dir, 'nowhere'), /there is no such file/],
    [dir, /this is a folder/]
  ] as const) {
    const error = await readTrace(path).catch(error => error)
    assert.instance(error, BadInput)
    assert.match(error.message, says)
  }
})

trace.run()
