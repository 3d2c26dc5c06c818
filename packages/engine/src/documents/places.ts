/**
 * Where things lie in a document: how deep, and whether under a key. Yjs depends on both without a check of its own. It
 * follows types by recursion, so depth is stack. And under a key it deletes the last value alone, so a run of several
 * that is not deleted leaves one behind, at which the removal of its type throws in the middle of cleaning up.
 *
 * A root is 1 deep. In an update a struct names its type, or a neighbour in the same type.
 */
import * as Y from 'yjs'
import { NESTING_DEPTH_MAX } from '../limits.ts'
import { bad } from './struct-content.ts'
import type { Id, Run, Struct, Update } from './update.ts'

interface Place {
  /** The depth of the type that it is in. */
  readonly depth: number
  readonly keyed: boolean
}

/** What refers to collected structs is collected on arrival. */
const NOWHERE: Place = { depth: 0, keyed: false }
const ROOT: Place = { depth: 1, keyed: false }
const ROOT_KEYED: Place = { depth: 1, keyed: true }

/** @throws BAD_UPDATE when something in the document lies where Yjs would fail at it */
export function checkPlacesInDocument(doc: Y.Doc): void {
  for (const structs of doc.store.clients.values()) {
    for (const item of structs) {
      if (!(item instanceof Y.Item)) continue
      if (item.content instanceof Y.ContentType) checkDepth(depthOfType(item.content.type))
      else if (item.length > 1 && item.parentSub !== null && !item.deleted) badRun(item.length)
      if (item.right !== null) checkTogether(item, item.right.parent, item.right.parentSub)
    }
  }
}

/**
 * The same for what an update brings.
 * @param update of which all that it refers to is in it or in the document
 * @returns false when structs refer to one another in a circle, so that they lie nowhere
 */
export function checkPlaces(update: Update, doc: Y.Doc): boolean {
  const places = new Map<Struct, Place | null>()
  for (const [client, structs] of update.structs) {
    const known = Y.getState(doc.store, client)
    for (const struct of structs) {
      const isRun = struct.kind === 'value' && struct.length > 1
      if ((!isRun && struct.kind !== 'type') || struct.clock + struct.length <= known) continue
      const place = placeOf(struct, update, doc, places)
      if (place === null) return false
      if (!isRun) checkDepth(place.depth + 1)
      else if (place.keyed && !isDeleted(struct, update)) badRun(struct.length)
    }
  }
  return true
}

/**
 * Whether a struct of which the document holds the beginning lies where that beginning lies. Yjs puts the rest beside it
 * without a look.
 * @returns false when either is collected, where only trying tells
 * @throws BAD_UPDATE when it lies elsewhere
 */
export function continues(struct: Struct, doc: Y.Doc): boolean {
  const beginning = doc.store.clients.get(struct.client)?.at(-1)
  const named = struct.parent ?? struct.origin ?? struct.rightOrigin
  if (!(beginning instanceof Y.Item) || named === null) return false
  if (typeof named === 'string') return checkTogether(beginning, doc.share.get(named) ?? null, struct.key)
  if (named.clock >= Y.getState(doc.store, named.client)) return false
  const item = itemAt(named, doc)
  if (item === null) return false
  if (struct.parent === null) return checkTogether(beginning, item.parent, item.parentSub)
  return item.content instanceof Y.ContentType && checkTogether(beginning, item.content.type, struct.key)
}

function checkTogether(item: Y.Item, parent: Y.Item['parent'], key: string | null): true {
  if (item.parent !== parent || item.parentSub !== key) bad('a struct goes on at another place than it began')
  return true
}

function checkDepth(depth: number): void {
  if (depth > NESTING_DEPTH_MAX) bad(`a type is ${depth} deep, over ${NESTING_DEPTH_MAX}`, NESTING_DEPTH_MAX)
}

function badRun(length: number): never {
  return bad(`${length} values are under one key`, 1)
}

/** Yjs joins deleted values of a key to a run, which comes with its deletion. */
function isDeleted({ client, clock, length }: Struct, { deletions }: Update): boolean {
  const range = runAt(deletions.get(client) ?? [], clock)
  return range !== undefined && range.clock <= clock && clock + length <= range.clock + range.length
}

/**
 * A loop and no recursion, for neighbours form long chains.
 * @param places those that are known already; null for a struct on the way: who meets it again went in a circle
 */
function placeOf(struct: Struct, update: Update, doc: Y.Doc, places: Map<Struct, Place | null>): Place | null {
  const passed: Struct[] = []
  let at = struct
  let place = places.get(at)
  while (place === undefined) {
    places.set(at, null)
    passed.push(at)
    const next: Id | string | null = at.parent ?? at.origin ?? at.rightOrigin
    if (next === null) {
      place = NOWHERE
    } else if (typeof next === 'string') {
      place = at.key === null ? ROOT : ROOT_KEYED
      places.set(at, place)
      passed.pop()
    } else if (next.clock < Y.getState(doc.store, next.client)) {
      place = placeInDocument(next, doc)
    } else {
      const named = runAt(update.structs.get(next.client) ?? [], next.clock)
      if (named === undefined) return null
      at = named
      place = places.get(at)
    }
  }
  for (const inner of passed.reverse()) {
    if (place !== null && inner.parent !== null) place = { depth: place.depth + 1, keyed: inner.key !== null }
    places.set(inner, place)
  }
  return place
}

function placeInDocument(id: Id, doc: Y.Doc): Place {
  const item = itemAt(id, doc)
  if (!(item?.parent instanceof Y.AbstractType)) return NOWHERE
  return { depth: depthOfType(item.parent), keyed: item.parentSub !== null }
}

/** @returns null when it is collected */
function itemAt(id: Id, doc: Y.Doc): Y.Item | null {
  const struct: Y.Item | Y.GC = Y.getItem(doc.store, Y.createID(id.client, id.clock))
  return struct instanceof Y.Item ? struct : null
}

function depthOfType(type: Y.AbstractType<unknown>): number {
  let depth = 1
  for (let item = type._item; item?.parent instanceof Y.AbstractType; item = item.parent._item) depth++
  return depth
}

/** The last of ordered runs that begins at a clock or before it, or the first. */
function runAt<R extends Run>(runs: readonly R[], clock: number): R | undefined {
  let low = 0
  let high = runs.length
  while (low + 1 < high) {
    const middle = (low + high) >>> 1
    if ((runs[middle]?.clock ?? 0) <= clock) low = middle
    else high = middle
  }
  return runs[low]
}
