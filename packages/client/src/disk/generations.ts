/**
 * The databases that follow each other under one name: each has a fresh key and a directory of its own, so that what was
 * deleted from the one before is on the disk no more. The key file says which one counts; the first is named by its key
 * alone. Not here: moving from one to the next (sealed-store.ts).
 */
import { Reader, Writer } from '@lend/engine'
import type { Disk } from '../world.ts'

const KEY_BYTES = 32

export interface Generation {
  /** From 0. */
  readonly number: number
  /** 32 bytes. */
  readonly key: Uint8Array
}

/** What the key file holds: key(32), and the number as u32 unless it is 0. */
export function encodeGeneration({ number, key }: Generation): Uint8Array {
  return number === 0 ? key : new Writer().bytes(key).u32(number).finish()
}

/** Null for what is no key file. */
export function decodeGeneration(file: Uint8Array | null): Generation | null {
  if (file?.length === KEY_BYTES) return { number: 0, key: file }
  if (file?.length !== KEY_BYTES + 4) return null
  const r = new Reader(file, 'BAD_FRAME', 'key file')
  return { key: r.bytes(KEY_BYTES), number: r.u32() }
}

export function databaseName(name: string, generation: number): string {
  return generation === 0 ? name : `${name}-${generation}`
}

/** All that are on the disk: the one that counts, and what a move that was cut off has left. */
export async function databasesOf(disk: Disk, name: string): Promise<string[]> {
  const folder = name.slice(0, Math.max(0, name.lastIndexOf('/')))
  const isOurs = (other: string) => other === name || other.startsWith(`${name}-`)
  return (await disk.list(folder)).map(other => (folder ? `${folder}/${other}` : other)).filter(isOurs)
}
