/**
 * What the crash tests' owner writes and their readers check: an array of the numbers from 1 on, and a map in which each
 * number stands until one that is SLOTS higher takes its place. So what is missing shows, wherever it is missing.
 */
import { createHash } from 'node:crypto'
import type { Share } from '@lend/client'
import * as Y from 'yjs'
import { sayNow } from '../../say.ts'

const SLOTS = 200
/** Enough that snapshots are taken within seconds. */
const FILLER_CHARS = 600

interface Slot {
  readonly n: number
  readonly filler: string
}

/** Says a line at once: what was printed stays printed when the process is killed. */
export function say(...words: readonly (string | number)[]): void {
  sayNow(words.join(' '))
}

export function writeNumber(share: Share, n: number): void {
  const { doc } = share
  doc.transact(() => {
    doc.getArray<number>('numbers').push([n])
    doc.getMap<Slot>('slots').set(`${n % SLOTS}`, { n, filler: `${n} `.repeat(FILLER_CHARS).slice(0, FILLER_CHARS) })
  })
}

/** The highest number. Says `broken` when one below it is missing, doubled or out of place. */
export function highest(doc: Y.Doc): number {
  const numbers = doc.getArray<number>('numbers')
  const slots = doc.getMap<Slot>('slots')
  const n = numbers.length
  const wrong = numbers.toArray().findIndex((number, i) => number !== i + 1)
  if (wrong >= 0) say('broken', `number ${numbers.get(wrong)} stands at place ${wrong + 1}`)
  for (let i = Math.max(1, n - SLOTS + 1); i <= n; i++) {
    const found = slots.get(`${i % SLOTS}`)?.n
    if (found !== i) say('broken', `slot ${i % SLOTS} has ${found}, want ${i}`)
  }
  return n
}

/** One word for all that is in the document. */
export function stateOf(doc: Y.Doc): string {
  const slots = Object.entries(doc.getMap('slots').toJSON()).sort(([a], [b]) => Number(a) - Number(b))
  const clocks = [...Y.decodeStateVector(Y.encodeStateVector(doc))].sort(([a], [b]) => a - b)
  const text = JSON.stringify([doc.getArray('numbers').toJSON(), slots, clocks])
  return createHash('sha256').update(text).digest('hex')
}

/** Calls with each line that comes on stdin. */
export function onLine(hear: (verb: string, argument: string) => void): void {
  let rest = ''
  process.stdin.setEncoding('utf8')
  process.stdin.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const [verb = '', argument = ''] = line.split(' ')
      hear(verb, argument)
    }
  })
}
