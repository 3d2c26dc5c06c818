/**
 * How much of an update contends for the same places. Where several structs were written at one place at the same time,
 * Yjs compares each with all before it: what a writer makes up so costs its readers the square of its length.
 *
 * Who writes at a place where another has written before does it next to that one, and says so by its right origin. So
 * one after the other, however many, don't contend; at one place there are as many that do as devices wrote there
 * without knowing of one another, which is few.
 */
import * as Y from 'yjs'
import { CONTENTION_MAX } from '../limits.ts'
import { bad } from './struct-content.ts'
import type { Id, Struct, Update } from './update.ts'

/** @throws BAD_UPDATE when the squares of the numbers of structs that contend for one place sum up to more than CONTENTION_MAX */
export function checkContention(update: Update, doc: Y.Doc): void {
  let total = 0
  for (const structs of update.structs.values()) total += structs.length
  if (total * total <= CONTENTION_MAX) return
  const tally = new Tally()
  for (const [client, structs] of update.structs) {
    const known = Y.getState(doc.store, client)
    for (const struct of structs) {
      const isItem = struct.kind !== 'collected' && struct.kind !== 'skipped'
      if (isItem && struct.clock >= known) count(tally, struct, update, doc)
    }
  }
  if (tally.squares > CONTENTION_MAX) {
    bad(`what contends for its places comes to ${tally.squares}, over ${CONTENTION_MAX}`, CONTENTION_MAX)
  }
}

function count(tally: Tally, { origin, rightOrigin, parent, key }: Struct, update: Update, doc: Y.Doc): void {
  const before = rightOrigin && originOf(rightOrigin, update, doc)
  // Next to one that was written at this place before it, or to one of which nothing is known any more.
  const isNext = rightOrigin && (before === undefined || areSame(before, origin))
  if (isNext) tally.add('right', rightOrigin.client, rightOrigin.clock)
  else if (origin) tally.add('left', origin.client, origin.clock)
  else if (parent === null || typeof parent === 'string') tally.add(`root ${key ?? ''}`, parent ?? '', 0)
  else tally.add(`type ${key ?? ''}`, parent.client, parent.clock)
}

/** What it was written behind; undefined for what is not here or was collected. */
function originOf({ client, clock }: Id, update: Update, doc: Y.Doc): Id | null | undefined {
  const inUpdate = structAt(update.structs.get(client) ?? [], clock)
  if (inUpdate && (inUpdate.kind === 'collected' || inUpdate.kind === 'skipped')) return undefined
  if (inUpdate) return inUpdate.clock < clock ? { client, clock: clock - 1 } : inUpdate.origin
  if (clock >= Y.getState(doc.store, client)) return undefined
  const structs = doc.store.clients.get(client) ?? []
  const item = structs[Y.findIndexSS(structs, clock)]
  if (!(item instanceof Y.Item)) return undefined
  return item.id.clock < clock ? { client, clock: clock - 1 } : item.origin
}

function structAt(structs: readonly Struct[], clock: number): Struct | null {
  let low = 0
  let high = structs.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const struct = structs[middle]
    if (!struct) return null
    if (clock < struct.clock) high = middle - 1
    else if (clock >= struct.clock + struct.length) low = middle + 1
    else return struct
  }
  return null
}

function areSame(a: Id | null, b: Id | null): boolean {
  return a === b || (a !== null && b !== null && a.client === b.client && a.clock === b.clock)
}

/** Counts by place, and the sum of the squares of the counts. */
class Tally {
  squares = 0
  readonly #counts = new Map<string, Map<number | string, Map<number, number>>>()

  add(kind: string, of: number | string, clock: number): void {
    const byOwner = this.#counts.get(kind) ?? new Map<number | string, Map<number, number>>()
    this.#counts.set(kind, byOwner)
    const byClock = byOwner.get(of) ?? new Map<number, number>()
    byOwner.set(of, byClock)
    const before = byClock.get(clock) ?? 0
    byClock.set(clock, before + 1)
    // One alone contends with nobody.
    this.squares += before === 0 ? 0 : before === 1 ? 4 : 2 * before + 1
  }
}
