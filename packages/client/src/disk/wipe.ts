/**
 * The wipe of one replica, in its durable order: marker, key, files; then the receipt may be written and the marker goes.
 * Killed anywhere, it is finished at the next start, before anything is read.
 */
import type { Disk } from '../world.ts'
import { databasesOf } from './generations.ts'

const MARKERS = 'wiping'

export function replicaName(log: string): string {
  return `logs/${log}`
}

export function replicaKeyFile(log: string): string {
  return `keys/${log}`
}

/** Says durably that this replica must go. @param why what its receipt will say, for who finishes the wipe */
export function markWipe(disk: Disk, log: string, why: Uint8Array): Promise<void> {
  return disk.writeFile(`${MARKERS}/${log}`, why)
}

/** After the marker is durable and the replica's database is closed. */
export async function destroyReplica(disk: Disk, log: string): Promise<void> {
  // A key that was being written when the process was killed opens the replica's next database.
  for (const key of [replicaKeyFile(log), `${replicaKeyFile(log)}.new`]) await disk.destroyFile(key)
  for (const name of await databasesOf(disk, replicaName(log))) await disk.destroyDatabase(name)
}

/** After the receipt is durable. */
export function forgetWipe(disk: Disk, log: string): Promise<void> {
  return disk.destroyFile(`${MARKERS}/${log}`)
}

/** Wipes that were cut off: log → what was marked. */
export async function unfinishedWipes(disk: Disk): Promise<Map<string, Uint8Array>> {
  const wipes = new Map<string, Uint8Array>()
  for (const log of await disk.list(MARKERS)) {
    // A marker that was cut off itself (".new") says nothing yet: nothing was destroyed.
    const why = log.endsWith('.new') ? null : await disk.readFile(`${MARKERS}/${log}`)
    if (why) wipes.set(log, why)
  }
  return wipes
}
