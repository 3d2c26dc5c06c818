/**
 * What the relay delivers of a log, on its way into the replica: verify, then decrypt, then apply, then keep. What fails
 * is put aside and reported, and never halts the log. Not here: asking for it (contact.ts), verdicts on access (share/).
 */
import {
  type AccessList,
  contradicts,
  coversOf,
  coverUpTo,
  type DeviceId,
  type DocumentId,
  dataKey,
  decodeEntry,
  type Entry,
  hex,
  holds,
  LendError,
  openContent,
  type Placed,
  Refusal,
  reach,
  refuse,
  SHARE_DOCUMENT,
  same,
  verifyEntry
} from '@lend/engine'
import * as Y from 'yjs'
import type { ReplicaDocument } from './document.ts'
import type { Replica } from './replica.ts'

export interface PlacedEntry {
  readonly entry: Entry
  readonly seq: number
  readonly timeMs: number
}

export interface Received {
  readonly applied: readonly Entry[]
  /** Put aside. */
  readonly refused: readonly LendError[]
  /** The log holds a valid entry of this device that this device does not know: it was cloned or restored. */
  readonly cloned: boolean
}

export class Reading {
  readonly #replica: Replica<AccessList>
  #device: DeviceId
  /** While the log is read anew: what it holds, to find what it lacks. Document hex → scratch document. */
  #scratch: Map<string, Y.Doc> | null = null

  constructor(replica: Replica<AccessList>, device: DeviceId) {
    this.#replica = replica
    this.#device = device
  }

  /** This device is another one from now on. */
  renew(device: DeviceId): void {
    this.#device = device
  }

  /** From now on what the log delivers is also collected apart. */
  collect(): void {
    this.#scratch = new Map()
  }

  /** What the log has of a document, as collected. */
  collected(document: DocumentId): Y.Doc {
    return this.#scratch?.get(hex(document)) ?? new Y.Doc({ gc: true })
  }

  endCollecting(): void {
    for (const doc of this.#scratch?.values() ?? []) doc.destroy()
    this.#scratch = null
  }

  /** Each entry by itself: one that can't be read costs no other. */
  decode(placed: readonly Placed[]): { entries: PlacedEntry[]; broken: LendError[] } {
    const entries: PlacedEntry[] = []
    const broken: LendError[] = []
    for (const { bytes, seq, timeMs } of placed) {
      try {
        entries.push({ entry: decodeEntry(this.#replica.suite, bytes), seq, timeMs })
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        broken.push(badEntry(error))
      }
    }
    return { entries, broken }
  }

  /** Access entries of a delivery; they come before all data. */
  access(entries: readonly PlacedEntry[]): { folded: boolean; refused: LendError[] } {
    const refused: LendError[] = []
    let folded = false
    for (const { entry, seq, timeMs } of entries) {
      if (entry.kind !== 'access' || this.#replica.has(entry.id)) continue
      const refusal = this.#replica.foldAccess(entry, seq, timeMs)
      if (refusal) refused.push(badEntry(refusal))
      else folded = true
    }
    return { folded, refused }
  }

  /** Data entries of a delivery, once the access list is here. */
  async data(entries: readonly PlacedEntry[]): Promise<Received> {
    const applied: Entry[] = []
    const refused: LendError[] = []
    let cloned = false
    for (const { entry, seq } of entries) {
      if (entry.kind === 'access') continue
      try {
        const isDropped = this.#replica.isDropped(entry.document)
        // To an owner it says that the relay has lost the drop.
        if (isDropped && !this.#replica.writable) continue
        await this.#replica.ledger(entry.document)
        if (!this.#isNews(entry, seq)) continue
        if (!isDropped && this.#isCloned(entry)) {
          cloned = true
          continue
        }
        if (entry.kind === 'drop') {
          await this.#drop(entry)
          applied.push(entry)
          continue
        }
        if (isDropped) {
          this.#replica.setDropDue(entry.document, true)
          this.#reach(entry)
          continue
        }
        // Opened only for who may write it; most deliveries touch one document, which is open.
        const document = await this.#replica.document(entry.document)
        this.#take(entry, document)
        applied.push(entry)
      } catch (error) {
        if (error instanceof Refusal) refused.push(badEntry(error))
        else if (error instanceof LendError && error.code === 'BAD_UPDATE') refused.push(error)
        else throw error
      }
    }
    return { applied, refused, cloned }
  }

  /** True when it is valid and not here. @throws Refusal */
  #isNews(entry: Entry, seq: number): boolean {
    const replica = this.#replica
    const position = replica.position(entry.document, entry.author)
    if (!same(entry.log, replica.log)) throw refuse('FOREIGN_LOG', 'entry: it belongs to another log')
    const known = holds(position, entry.ctr)
    if (known && !contradicts(position, entry.ctr, entry.id)) return false
    const refusal = replica.history.judgeData(entry, seq)
    if (refusal) throw refusal
    if (!verifyEntry(replica.suite, entry)) throw refuse('BAD_SIGNATURE', 'entry: its signature is not its author’s')
    if (known && !same(entry.author, this.#device)) {
      throw refuse('CTR_REUSED', `entry: ctr ${entry.ctr} was used for other bytes`)
    }
    return true
  }

  /**
   * True for an entry of this device that this device did not write, and for a snapshot over one. What hides behind its own
   * entries (one under a lower ctr than its last) the relay shows when they are sent: CTR_REUSED.
   */
  #isCloned(entry: Entry): boolean {
    if (this.#scratch || !this.#replica.writable) return false
    return [entry, ...coversOf(entry)].some(one => {
      if (!same(one.author, this.#device)) return false
      const position = this.#replica.position(entry.document, this.#device)
      return !holds(position, one.ctr) || contradicts(position, one.ctr, one.id)
    })
  }

  /** @throws Refusal, LendError BAD_UPDATE */
  #take(entry: Entry, document: ReplicaDocument): void {
    const replica = this.#replica
    const epochKey = replica.epochKey(entry.epoch)
    if (!epochKey) throw refuse('EPOCH_UNKNOWN', `entry: this account has no key of epoch ${entry.epoch}`)
    const content = openContent(replica.suite, entry, dataKey(replica.suite, epochKey))
    document.apply(content)
    this.#collectContent(entry, content)
    replica.change(...document.keep(content))
    this.#reach(entry)
  }

  /** @throws Refusal */
  async #drop(entry: Entry): Promise<void> {
    const { document } = entry
    if (same(document, SHARE_DOCUMENT)) throw refuse('BAD_ENTRY', 'drop: the first document lasts as long as its log')
    this.#scratch?.get(hex(document))?.destroy()
    this.#scratch?.delete(hex(document))
    await this.#replica.drop(document, { isDue: false })
  }

  #reach(entry: Entry): void {
    const replica = this.#replica
    const position = replica.position(entry.document, entry.author)
    replica.setPosition(entry.document, entry.author, reach(position, entry.ctr, entry.id))
    for (const cover of coversOf(entry)) {
      const covered = replica.position(entry.document, cover.author)
      replica.setPosition(entry.document, cover.author, coverUpTo(covered, cover.ctr, cover.id))
    }
  }

  #collectContent(entry: Entry, content: Uint8Array): void {
    if (!this.#scratch) return
    const key = hex(entry.document)
    const doc = this.#scratch.get(key) ?? new Y.Doc({ gc: true })
    this.#scratch.set(key, doc)
    Y.applyUpdate(doc, content)
  }
}

/** An entry that is not valid, in the words of errors.ts. */
function badEntry(refusal: Refusal): LendError {
  return new LendError('BAD_UPDATE', `an entry was put aside: ${refusal.message}`, { cause: refusal })
}

export function cloned(): LendError {
  return new LendError('DEVICE_CLONED', 'this device was copied or restored: the relay has entries of it that it lacks')
}
