/** Updates of format V1 written by hand: a number is a varuint, a string is sized, bytes are bytes. */
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { checkUpdate } from '../../../packages/engine/src/documents/check.ts'
import { SNAPSHOT_BYTES_MAX } from '../../../packages/engine/src/limits.ts'

export type Part = number | string | Uint8Array | readonly Part[]

export function bytes(...parts: readonly Part[]): Uint8Array {
  const out: number[] = []
  const write = (part: Part): void => {
    if (typeof part === 'number') {
      let n = part
      for (; n > 127; n = Math.floor(n / 128)) out.push(128 + (n % 128))
      out.push(n)
    } else if (typeof part === 'string') {
      const utf8 = new TextEncoder().encode(part)
      write(utf8.length)
      for (const byte of utf8) out.push(byte)
    } else if (part instanceof Uint8Array) {
      for (const byte of part) out.push(byte)
    } else {
      for (const inner of part) write(inner)
    }
  }
  write(parts)
  return Uint8Array.from(out)
}

export const collected = (length: number): Part => [0, length]
export const inRoot = (content: number, root: string, ...rest: Part[]): Part => [content, 1, root, ...rest]
export const underKey = (content: number, root: string, key: string, ...rest: Part[]): Part => [
  content | 0x20,
  1,
  root,
  key,
  ...rest
]
export const inType = (content: number, client: number, clock: number, ...rest: Part[]): Part => [
  content,
  0,
  client,
  clock,
  ...rest
]
export const ofClient = (client: number, clock: number, ...structs: Part[]): Part => [
  structs.length,
  client,
  clock,
  ...structs
]
export const update = (...clients: Part[]): Uint8Array => bytes(clients.length, ...clients, 0)
export const deleting = (...clients: Part[]): Uint8Array => bytes(0, clients.length, ...clients)
export const MAP = 1

export const empty = new Y.Doc()

/** `sound`, `doubtful`, or the sentence of the refusal. */
export function verdict(of: Uint8Array, doc = empty, bytesMax = SNAPSHOT_BYTES_MAX): string {
  const judged = checkUpdate(of, doc, bytesMax)
  if (judged.verdict !== 'bad') return judged.verdict
  assert.is(judged.error.code, 'BAD_UPDATE')
  return judged.error.message
}
