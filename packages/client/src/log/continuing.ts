/** A log's access list as its relay has shown it to a visit, taken into the replica of that log. */
import { type AccessList, type AccessRecord, LendError, same } from '@lend/engine'
import type { Replica } from './replica.ts'

/**
 * Folds what the visit saw and the replica lacks; on disk with the replica's next commit.
 * @param records the whole list, in order
 * @throws LendError RELAY_BEHIND when the relay's list is not ours, or less than ours: it must be offered what it lacks first
 */
export function continueList<L extends AccessList>(replica: Replica<L>, records: readonly AccessRecord[]): void {
  const ours = replica.list?.head
  if (replica.isRetold || (ours && !records.some(({ entry }) => same(entry.id, ours)))) throw behind()
  for (const { entry, seq, timeMs } of records) if (replica.foldAccess(entry, seq, timeMs)) throw behind()
}

function behind(): LendError {
  return new LendError('RELAY_BEHIND', 'the relay has less of this account than this device; try again', {
    retry: 'later'
  })
}
