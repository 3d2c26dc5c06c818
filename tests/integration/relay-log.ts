/** What a relay has on its disk, read past it while it is stopped; and dice that fall the same way each time. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { decodeEntry, type Entry, hex, type LogId, loadSuite } from '@lend/engine'
import { openLevelStore, type Stored } from '@lend/server'

export interface LoggedEntry {
  readonly seq: number
  readonly entry: Entry
}

/** The records of one log in order, the relay's own marks among them. */
export async function recordsOf(relayFolder: string, log: LogId): Promise<Uint8Array[]> {
  return (await read(relayFolder, log)).map(({ bytes }) => bytes)
}

/** A mark of the relay: part of the log was lost, as a client's head showed. */
export function isNewLife(record: Uint8Array): boolean {
  return record[0] === 0 && record[1] === 1
}

/** The entries of one log in order, without the relay's own marks. */
export async function entriesOf(relayFolder: string, log: LogId): Promise<LoggedEntry[]> {
  const suite = await loadSuite()
  const records = await read(relayFolder, log)
  return records
    .filter(({ bytes }) => bytes[0] !== 0)
    .map(({ seq, bytes }) => ({ seq, entry: decodeEntry(suite, bytes) }))
}

/** Data entries by `document/device`, their ctrs in the order of the log. */
export function ctrsOf(entries: readonly LoggedEntry[]): Map<string, number[]> {
  const ctrs = new Map<string, number[]>()
  for (const { entry } of entries) {
    if (entry.kind === 'access') continue
    const key = `${hex(entry.document)}/${hex(entry.author)}`
    ctrs.set(key, [...(ctrs.get(key) ?? []), entry.ctr])
  }
  return ctrs
}

/** Throws a die with so many sides: 0 to sides − 1 (mulberry32). */
export function seededDie(seed: number): (sides: number) => number {
  let state = seed >>> 0
  return sides => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % sides
  }
}

async function read(relayFolder: string, log: LogId): Promise<Stored[]> {
  const dice = (bytes: number) => new Uint8Array(randomBytes(bytes))
  const store = await openLevelStore({ path: join(relayFolder, 'store'), dice })
  try {
    const records: Stored[] = []
    for await (const record of store.read(log, 0)) records.push(record)
    return records
  } finally {
    await store.close()
  }
}
