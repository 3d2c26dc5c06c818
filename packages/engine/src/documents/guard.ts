/**
 * Makes a member's `Y.Doc` read-only for real: a true document, so that editors and bindings work, in which every write
 * but the engine's throws ReadOnlyError at once and changes nothing. It is honesty for apps, not the security boundary:
 * the signatures are.
 *
 * Yjs has no such mode, so this leans on internals of 13.6; `selfTestGuard` shows whether they are as they were:
 * - all writing goes through `Item.integrate` and `Item.delete`: both are wrapped, once, and refuse in any transaction
 *   that is not the one in which the engine is applying. Transactions themselves must stay possible, for reading opens
 *   them too (`toDelta` of a snapshot, `event.delta`, `doc.get` of a new root);
 * - `doc._transaction` is assigned before any handler runs: an accessor sees each transaction first. `readUpdateV2`
 *   sets `transaction.local` before it reads: an accessor there refuses a foreign update before it leaves pending parts;
 * - a refused write has split items by then, and Yjs joins them again when the transaction ends. Two things do not heal
 *   by themselves: search markers, and a surrogate pair that was split.
 *
 * Tried and refused: throwing in `beforeTransaction` (leaves the transaction open), overriding `doc.transact` (the types
 * bypass it), undoing the write (hides the owner's later value), proxies (break identity).
 */
import * as Y from 'yjs'
import { ReadOnlyError } from '../errors.ts'
import { type Guarded, guards, underWay, wrapYjs } from './writes.ts'

export interface DocumentGuard {
  /**
   * Applies an update that the owner signed; it must have passed `checkUpdate`. Never inside an open transaction of the
   * document. What the app's observers throw meanwhile goes to `onHandlerError`.
   * @param update a Yjs update, format V1
   * @throws what Yjs throws when it can't apply the update; the document may then have changed
   */
  apply(update: Uint8Array, origin: unknown): void
}

export interface GuardOptions {
  /** Each refused write, before the same error is thrown at the writer. */
  readonly onRefused?: (error: ReadOnlyError) => void
  /** What an observer or handler of the app threw. Without it: an unhandled rejection, so that it is never lost. */
  readonly onHandlerError?: (error: unknown) => void
}

/** The Yjs that this was written for and is tested with. Yjs itself tells no version at run time. */
export const GUARDED_YJS = '13.6.33'

/** Guards a document for as long as it lives. There is no way back: whoever may write opens another document. */
export function guardDocument(doc: Y.Doc, o: GuardOptions = {}): DocumentGuard {
  if (!(doc instanceof Y.Doc)) throw new Error('the document is of another copy of yjs; the guard would not hold')
  if (guards.has(doc)) throw new Error('the document is guarded already')
  if (doc._transaction !== null) throw new Error('the document is in a transaction')
  wrapYjs()

  const guard: Guarded = {
    applying: null,
    refuse() {
      const error = new ReadOnlyError()
      o.onRefused?.(error)
      throw error
    }
  }
  const report = (error: unknown): void => {
    if (o.onHandlerError === undefined) void Promise.reject(error)
    else o.onHandlerError(error)
  }
  guards.set(doc, guard)
  watchTransactions(doc, guard)
  isolateHandlers(doc, report)

  return {
    apply(update, origin) {
      if (doc._transaction !== null) throw new Error('the document is in a transaction')
      let applied = false
      try {
        // Applying starts inside, after the handlers of beforeTransaction: they must not write either.
        const apply = (transaction: Y.Transaction): void => {
          guard.applying = transaction
          try {
            Y.applyUpdate(doc, update, origin)
            applied = true
          } finally {
            guard.applying = null
          }
        }
        Y.transact(doc, apply, origin, false)
      } catch (error) {
        if (!applied) throw error
        report(error)
      }
    }
  }
}

/** The first to see each transaction. An origin to let through (a provider's) would be granted here, at `local`. */
function watchTransactions(doc: Y.Doc, guard: Guarded): void {
  let current: Y.Transaction | null = null
  Object.defineProperty(doc, '_transaction', {
    enumerable: true,
    get: () => current,
    set(next: Y.Transaction | null) {
      if (next === null) {
        underWay.delete(doc)
      } else {
        // An undo marks items before it inserts any, so it is refused before it starts.
        if (undoes(next.origin)) guard.refuse()
        watchLocal(next, guard)
        underWay.add(doc)
      }
      current = next
    }
  })
}

function watchLocal(transaction: Y.Transaction, guard: Guarded): void {
  let local = transaction.local
  Object.defineProperty(transaction, 'local', {
    enumerable: true,
    get: () => local,
    set(next: boolean) {
      if (guard.applying !== transaction) guard.refuse()
      local = next
    }
  })
}

function undoes(origin: unknown): boolean {
  if (!(origin instanceof Y.UndoManager)) return false
  return (origin.undoing && origin.undoStack.length > 0) || (origin.redoing && origin.redoStack.length > 0)
}

/**
 * One handler that throws would leave a stock document unable to end a transaction ever again. And Yjs tidies formatted
 * text after a remote change by deletions of its own, which are writes: that is switched off.
 */
function isolateHandlers(doc: Y.Doc, report: (error: unknown) => void): void {
  const emit = (name: string, args: readonly unknown[]): void => {
    const [transaction] = args
    if (name === 'afterTransaction' && transaction instanceof Y.Transaction) transaction._needFormattingCleanup = false
    for (const handler of [...(doc._observers.get(name) ?? [])]) {
      try {
        handler(...args)
      } catch (error) {
        report(error)
      }
    }
  }
  Object.defineProperty(doc, 'emit', { value: emit })
}

/**
 * Shows once, at start, whether the guard holds with the Yjs that is installed: a newer one may change what it leans on
 * without a word.
 * @throws an Error that names the version the guard was written for, and what went wrong
 */
export function selfTestGuard(): void {
  const fail = (what: string): never => {
    throw new Error(`the read-only guard is made for yjs ${GUARDED_YJS} and fails with the one installed: ${what}`)
  }
  const owner = new Y.Doc()
  const member = new Y.Doc()
  const same = (): boolean => equal(Y.encodeStateAsUpdate(owner), Y.encodeStateAsUpdate(member))
  const guard = guardDocument(member, { onHandlerError: error => fail(`an observer threw ${error}`) })
  let deltas = 0
  member.getText('text').observe(event => {
    deltas += event.delta.length
  })
  owner.getText('text').insert(0, 'some \u{1f600} text', { bold: true })
  owner.getMap('map').set('list', Y.Array.from([1, 2, 3]))
  guard.apply(Y.encodeStateAsUpdate(owner), null)
  if (!same() || deltas === 0) fail('an update of the owner is not applied')

  const list = member.getMap<Y.Array<number>>('map').get('list')
  const foreign = new Y.Doc()
  foreign.getArray('other').insert(0, [1])
  const writes: Record<string, () => void> = {
    'an insertion': () => member.getText('text').insert(6, 'x'),
    'a deletion': () => list?.delete(1, 1),
    'an overwriting': () => member.getMap('map').set('list', 1),
    'a foreign update': () => Y.applyUpdate(member, Y.encodeStateAsUpdate(foreign)),
    'a nested foreign update': () => member.transact(() => Y.applyUpdate(member, Y.encodeStateAsUpdate(foreign)))
  }
  for (const [what, write] of Object.entries(writes)) {
    if (!refuses(write)) fail(`${what} is not refused`)
    if (!same()) fail(`${what} is refused but changes the document`)
  }
  const known = Y.encodeStateVector(owner)
  owner.getText('text').delete(2, 4)
  owner.getMap('map').set('list', 2)
  guard.apply(Y.encodeStateAsUpdate(owner, known), null)
  if (!same()) fail('an update after a refusal is not applied')
}

function refuses(write: () => void): boolean {
  try {
    write()
    return false
  } catch (error) {
    return error instanceof ReadOnlyError
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
