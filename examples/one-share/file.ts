/** A file that the visitor named. What is wrong with it is said in one sentence, for whoever typed the name. */
import { readFile, stat } from 'node:fs/promises'

/** The visitor's mistake, to be shown without a stack. */
export class BadInput extends Error {}

const SENTENCES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this file may not be read',
  EISDIR: 'this is a folder, not a file'
}

/** @throws BadInput */
export async function readInput(path: string, bytesMax: number): Promise<Uint8Array> {
  try {
    const { size } = await stat(path)
    if (size > bytesMax) throw new BadInput(`${path}: ${size} bytes, at most ${bytesMax} make a good show`)
    return await readFile(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const sentence = SENTENCES[code]
    throw sentence === undefined ? error : new BadInput(`${path}: ${sentence}`)
  }
}

/** @throws BadInput when it is not UTF-8 */
export function decodeText(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new BadInput(`${path}: this is no text in UTF-8`)
  }
}
