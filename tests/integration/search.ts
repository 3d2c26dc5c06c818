/** Looks for words on a disk: in every byte of every file below a folder, whatever the file is. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Found {
  readonly file: string
  readonly word: string
  readonly as: string
}

/** Text or bytes; text is looked for as UTF-8 and as UTF-16 of both byte orders. */
export type Word = string | Uint8Array

/** @returns where the words are, file names included */
export async function searchFolder(folder: string, words: readonly Word[]): Promise<Found[]> {
  const found: Found[] = []
  const needles = words.flatMap(needlesOf)
  for (const { file, bytes } of await filesOf(folder)) {
    const haystack = Buffer.concat([Buffer.from(file), Buffer.of(0), bytes])
    for (const { needle, ...what } of needles) if (haystack.includes(needle)) found.push({ file, ...what })
  }
  return found
}

/** How much there is to search, to show that a search was not one of nothing. */
export async function folderBytes(folder: string): Promise<number> {
  return (await filesOf(folder)).reduce((sum, { bytes }) => sum + bytes.length, 0)
}

async function filesOf(folder: string): Promise<{ file: string; bytes: Buffer }[]> {
  const files: { file: string; bytes: Buffer }[] = []
  for (const name of await readdir(folder, { recursive: true })) {
    try {
      files.push({ file: name, bytes: await readFile(join(folder, name)) })
    } catch (error) {
      // A folder, or a file that a database which is open has thrown away meanwhile.
      if (!(error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EISDIR')))
        throw error
    }
  }
  return files
}

function needlesOf(word: Word): { word: string; as: string; needle: Buffer }[] {
  if (typeof word !== 'string')
    return [{ word: Buffer.from(word).toString('hex'), as: 'bytes', needle: Buffer.from(word) }]
  const utf16 = Buffer.from(word, 'utf16le')
  return [
    { word, as: 'utf-8', needle: Buffer.from(word) },
    { word, as: 'utf-16le', needle: utf16 },
    { word, as: 'utf-16be', needle: Buffer.from(utf16).swap16() }
  ]
}
