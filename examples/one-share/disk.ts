/** What lies on a disk: which files, how many bytes, and whether some bytes can be found in any of them. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'

export interface Found {
  readonly files: number
  readonly bytes: number
}

/** Bytes that tell one file from all others. */
const SAMPLE_BYTES = 32
const SAMPLES_PER_FILE = 32

/** All files below a folder, or the one file that it is; nothing is there when it is not there. */
async function filesIn(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path]
    const below = await readdir(path, { recursive: true, withFileTypes: true })
    return below.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

export async function weigh(path: string): Promise<Found> {
  const sizes = await Promise.all((await filesIn(path)).map(async file => (await read(file)).length))
  return { files: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
}

/** How many of these byte strings stand in some file below the folder. */
export async function search(folder: string, wanted: readonly Buffer[]): Promise<number> {
  const contents = await Promise.all((await filesIn(folder)).map(read))
  return wanted.filter(bytes => contents.some(content => content.includes(bytes))).length
}

/** Pieces of the sealed records of a LevelDB directory as they lie on disk, from all over its files. */
export async function sampleRecords(folder: string): Promise<Buffer[]> {
  const samples: Buffer[] = []
  for (const file of await filesIn(folder)) {
    // The other files of LevelDB hold no records, and say the same in any directory.
    if (!['.log', '.ldb'].includes(extname(file))) continue
    const content = await read(file)
    const step = Math.max(SAMPLE_BYTES, Math.floor(content.length / SAMPLES_PER_FILE))
    for (let at = 0; at + SAMPLE_BYTES <= content.length; at += step) {
      const sample = content.subarray(at, at + SAMPLE_BYTES)
      if (isSealed(sample)) samples.push(sample)
    }
  }
  return samples
}

/** Sealed bytes are all sorts; names of records are hexadecimal digits, and those of `share.doc` the same in any database. */
function isSealed(bytes: Buffer): boolean {
  return new Set(bytes).size > 20
}

/** Lines of a text, as they would stand in a file that is not sealed. */
export function sampleLines(text: string): Buffer[] {
  const lines = text.split('\n').map(line => Buffer.from(line.trim()))
  return lines.filter(line => line.length >= SAMPLE_BYTES).slice(0, 1000)
}

/** A database's files come and go while it is open. */
async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    if (isGone(error)) return Buffer.alloc(0)
    throw error
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
