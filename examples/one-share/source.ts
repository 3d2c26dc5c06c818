/** What Maya types: the project's own documents, a file, or somebody's trace; as keystrokes, and the text they end in. */
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { BadInput, decodeText, readInput } from './file.ts'
import { readTrace } from './trace.ts'
import { type Keystroke, typeText } from './typist.ts'

export interface Source {
  readonly name: string
  /** What the share is called. */
  readonly title: string
  readonly keystrokes: readonly Keystroke[]
  /** What must stand there at the end; null when a trace doesn't say. */
  readonly text: string | null
}

const TEXT_BYTES_MAX = 4 * 1024 * 1024
/** A trace has no times: its keys come as those of a steady typist. */
const TRACE_PAUSE_MS = 120
const ROOT = join(import.meta.dirname, '../..')

/** @throws BadInput */
export async function sourceOf(o: { text?: string; trace?: string; seed: number }): Promise<Source> {
  if (o.trace !== undefined) return fromTrace(o.trace)
  return o.text === undefined ? typed(await documents(), o.seed) : typed([o.text], o.seed)
}

async function fromTrace(path: string): Promise<Source> {
  const { edits, finalText } = await readTrace(path)
  const keystrokes = edits.map(edit => ({ edit, pauseMs: TRACE_PAUSE_MS, what: 'letter' }) as const)
  return { name: basename(path), title: basename(path), keystrokes, text: finalText }
}

async function typed(paths: readonly string[], seed: number): Promise<Source> {
  const parts = await Promise.all(paths.map(async path => decodeText(await readInput(path, TEXT_BYTES_MAX), path)))
  const text = parts.join('\n')
  if (text === '') throw new BadInput(`${paths.join(', ')}: there is nothing to type in it`)
  const [first = '', ...more] = paths.map(path => basename(path))
  const name = more.length === 0 ? first : `${first} and ${more.length} more of this project’s documents`
  const title = more.length === 0 ? first : 'The documents of Lend'
  return { name, title, keystrokes: [...typeText(text, seed)], text }
}

async function documents(): Promise<string[]> {
  const names = await readdir(join(ROOT, 'docs'), { recursive: true }).catch(() => [])
  const pages = names.filter(name => name.endsWith('.md')).sort()
  const paths = [...pages.map(name => join(ROOT, 'docs', name))]
  if ((await readdir(ROOT)).includes('README.md')) paths.unshift(join(ROOT, 'README.md'))
  if (paths.length === 0) throw new BadInput('this project has no README.md and no docs/*.md; say --text FILE')
  return paths
}
