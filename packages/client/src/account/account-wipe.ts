/**
 * The end of an account on this device: it was taken out of the account, or its user signs out. Everything goes: keys
 * first, then databases. Killed anywhere, it is finished at the next start, before anything is read.
 */
import { LendError } from '@lend/engine'
import type { EndReason } from '../log/status.ts'
import type { Disk } from '../world.ts'
import { ACCOUNT_DATABASE, ACCOUNT_KEY_FILE } from './account-store.ts'

const MARKER = 'account.wipe'

export type AccountEnd = Extract<EndReason, 'device-removed' | 'signed-out'>

const ENDS: readonly AccountEnd[] = ['device-removed', 'signed-out']

/** @param letGo closes every database of the account */
export async function wipeAccount(disk: Disk, reason: AccountEnd, letGo: () => Promise<void>): Promise<void> {
  await Promise.all([disk.writeFile(MARKER, Uint8Array.of(ENDS.indexOf(reason))), letGo()])
  await finish(disk)
}

/** @throws LendError DEVICE_REMOVED, once, when the wipe that was cut off was not asked for here */
export async function finishAccountWipe(disk: Disk): Promise<void> {
  const marker = await disk.readFile(MARKER)
  if (!marker) return
  await finish(disk)
  if (ENDS[marker[0] ?? 0] === 'device-removed') throw deviceRemoved()
}

function deviceRemoved(): LendError {
  return new LendError('DEVICE_REMOVED', 'this device was taken out of its account; pair it again, or start anew')
}

async function finish(disk: Disk): Promise<void> {
  await disk.destroyFile(ACCOUNT_KEY_FILE)
  for (const folder of ['keys', 'wiping']) {
    for (const name of await disk.list(folder)) await disk.destroyFile(`${folder}/${name}`)
  }
  for (const name of await disk.list('logs')) await disk.destroyDatabase(`logs/${name}`)
  await disk.destroyDatabase(ACCOUNT_DATABASE)
  await disk.destroyFile(MARKER)
}
