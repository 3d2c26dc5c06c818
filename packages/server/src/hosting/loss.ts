/**
 * How a relay notices that it lost part of a log: by its own word, which a client shows it. Where nothing tells otherwise
 * the reader's past counts as unknown, and it reads from the beginning. Source: docs/PROTOCOL.md, Incarnations.
 */
import { type Head, incarnation, same, short } from '@lend/engine'
import type { Seq } from '../store/log-store.ts'
import type { FoldedLog } from './folded-log.ts'
import type { Host } from './host.ts'
import { beginMark } from './lives.ts'

/** What a head of this relay says of its reader's past, compared with what is here. */
export async function pastBy(host: Host, folded: FoldedLog, head: Head): Promise<'ours' | 'unknown' | 'lost'> {
  const { lives, tip } = folded
  if (!same(head.incarnation, lives.current)) return lives.knows(head.incarnation) ? 'unknown' : 'lost'
  if (head.seq > tip.seq) return 'lost'
  const running = await runningHashAt(host, folded, head.seq)
  if (!running) return 'unknown'
  return same(running, head.runningHash) ? 'ours' : 'lost'
}

/** A new life of the log, once for each head that shows a loss. */
export async function beginLife(host: Host, folded: FoldedLog, head: Head, lane: object): Promise<void> {
  const have = folded.tip.seq
  folded.mark(beginMark(incarnation(host.dice(16)), head.incarnation))
  await folded.commit(lane)
  host.metrics.incarnations++
  host.logger.warn({ log: short(folded.log), seq: head.seq, have }, 'a log has lost part of itself')
}

/** Null when the record at that seq is forgotten, or was never there. */
async function runningHashAt(host: Host, folded: FoldedLog, seq: Seq): Promise<Uint8Array | null> {
  const recent = folded.runningHashAt(seq)
  if (recent) return recent
  for await (const record of host.store.read(folded.log, seq - 1)) {
    return record.seq === seq ? record.runningHash : null
  }
  return null
}
