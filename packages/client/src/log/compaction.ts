/**
 * When a document of the log is worth a snapshot: once the entries behind the last one weigh twice as much as it, so that a
 * new reader never reads much more than there is.
 */
import { type AccessList, type DocumentId, type Entry, hex, limits } from '@lend/engine'
import type { ReplicaDocument } from './document.ts'
import type { Tail } from './records.ts'
import type { Replica } from './replica.ts'

/** Bytes of entries behind the last snapshot before the next is worth its reading. */
const TAIL_BYTES_MIN = 128 * 1024

export class Compaction {
  readonly #replica: Replica<AccessList>
  /** Documents that grew over their bound, by hex. */
  readonly #due = new Map<string, DocumentId>()

  constructor(replica: Replica<AccessList>) {
    this.#replica = replica
  }

  /** This entry is in the log now. Kept with the replica's next commit. */
  async grew({ document, bytes: { length }, kind }: Entry): Promise<void> {
    const { tail } = await this.#replica.ledger(document)
    const now = kind === 'snapshot' ? { bytes: 0, snapshot: length } : { ...tail, bytes: tail.bytes + length }
    this.#replica.setTail(document, now)
    if (isDue(now)) this.#due.set(hex(document), document)
  }

  /** A document that is due; it is not due again before more has come. */
  async next(): Promise<ReplicaDocument | null> {
    for (const [key, id] of this.#due) {
      this.#due.delete(key)
      const { tail } = await this.#replica.ledger(id)
      if (!isDue(tail)) continue
      const document = await this.#replica.document(id)
      if (document.state().length <= limits.SNAPSHOT_BYTES_MAX) return document
    }
    return null
  }
}

function isDue({ bytes, snapshot }: Tail): boolean {
  return bytes >= TAIL_BYTES_MIN && bytes >= 2 * snapshot
}
