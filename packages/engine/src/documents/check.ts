/**
 * Whether an update may reach a document. A device of the owner signed it, but a signature says nothing about a bug, a
 * hostile device or a damaged disk; and Yjs checks nothing, so that a bad update throws after it changed the document,
 * takes a reader's process along, or makes readers differ.
 *
 * Most updates are judged by reading them (`update.ts`) and looking up what they refer to. Two cases can't be: what must
 * wait for others, or ends a wait, lies where all of it together says; and the rest of a struct whose beginning was
 * collected makes Yjs throw. Such an update is doubtful, and tried on a duplicate first. Of over a million mutated
 * updates none that passed made Yjs throw or loop; without the trial some did.
 */
import * as Y from 'yjs'
import { LendError } from '../errors.ts'
import { CLOCK_JUMP_MAX, SNAPSHOT_BYTES_MAX } from '../limits.ts'
import { applyEntry } from './apply.ts'
import { checkContention } from './contention.ts'
import { duplicate } from './pending.ts'
import { checkPlaces, checkPlacesInDocument, continues } from './places.ts'
import { bad } from './struct-content.ts'
import { type Id, readUpdate, type Struct, type Update } from './update.ts'

export type Verdict =
  | { readonly verdict: 'sound' }
  | { readonly verdict: 'doubtful' }
  | { readonly verdict: 'bad'; readonly error: LendError }

/**
 * Applies an update if it is sound. A refused one leaves the document as it was.
 * @param apply `applyEntry` or `DocumentGuard.apply`, bound to the document
 * @param bytesMax UPDATE_BYTES_MAX or SNAPSHOT_BYTES_MAX, by the kind of its entry
 * @returns null, or BAD_UPDATE with a sentence that names the bound and the value, never content
 */
export function applyChecked(
  doc: Y.Doc,
  update: Uint8Array,
  apply: (update: Uint8Array) => void,
  bytesMax: number = SNAPSHOT_BYTES_MAX
): LendError | null {
  const judged = checkUpdate(update, doc, bytesMax)
  const error =
    judged.verdict === 'doubtful' ? tryOnScratch(update, doc) : judged.verdict === 'bad' ? judged.error : null
  if (error === null) apply(update)
  return error
}

/** Judges an update by reading it. A doubtful one is to be tried first, which `applyChecked` does. */
export function checkUpdate(update: Uint8Array, doc: Y.Doc, bytesMax: number = SNAPSHOT_BYTES_MAX): Verdict {
  return orError(() => {
    if (update.length > bytesMax) bad(`${update.length} bytes are over ${bytesMax}`, bytesMax)
    const read = readUpdate(update)
    checkJumps(read, doc)
    checkContention(read, doc)
    if (!isSettled(read, doc)) return { verdict: 'doubtful' }
    return { verdict: checkPlaces(read, doc) ? 'sound' : 'doubtful' }
  })
}

function orError(judge: () => Verdict): Verdict {
  try {
    return judge()
  } catch (error) {
    if (error instanceof LendError) return { verdict: 'bad', error }
    throw error
  }
}

/** Devices publish in order, so a document lacks little, if anything, between what it knows of a client and what comes. */
function checkJumps(update: Update, doc: Y.Doc): void {
  for (const [client, [first]] of update.structs) {
    const jump = (first?.clock ?? 0) - Y.getState(doc.store, client)
    if (jump > CLOCK_JUMP_MAX) bad(`a client jumps ${jump} clocks ahead, over ${CLOCK_JUMP_MAX}`, CLOCK_JUMP_MAX)
  }
}

/** Whether all of it takes effect at once, and only it. */
function isSettled(update: Update, doc: Y.Doc): boolean {
  if (doc.store.pendingStructs !== null) return false
  const reached = new Map<number, number>()
  for (const [client, structs] of update.structs) {
    const known = Y.getState(doc.store, client)
    let at = known
    for (const struct of structs) {
      const { kind, clock, length } = struct
      if (kind === 'skipped' || clock > at) return false
      const overlaps = clock < known && known < clock + length
      if (overlaps && kind !== 'collected' && !continues(struct, doc)) return false
      at = Math.max(at, clock + length)
    }
    reached.set(client, at)
  }
  const isThere = (id: Id | string | null): boolean =>
    id === null || typeof id === 'string' || id.clock < (reached.get(id.client) ?? Y.getState(doc.store, id.client))
  const refersToWhatIsThere = (struct: Struct): boolean =>
    isThere(struct.origin) && isThere(struct.rightOrigin) && isThere(struct.parent)
  return [...update.structs.values()].every(structs => structs.every(refersToWhatIsThere))
}

function tryOnScratch(update: Uint8Array, doc: Y.Doc): LendError | null {
  const scratch = duplicate(doc)
  const judged = orError(() => {
    try {
      applyEntry(scratch, update, 'scratch')
    } catch {
      bad('Yjs can not apply it to this document')
    }
    checkPlacesInDocument(scratch)
    return { verdict: 'sound' }
  })
  scratch.destroy()
  return judged.verdict === 'bad' ? judged.error : null
}
