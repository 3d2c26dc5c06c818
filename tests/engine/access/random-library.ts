/** Random lives of libraries: one valid statement after another, by devices that are in. */
import { openInvites } from '../../../packages/engine/src/access/invites.ts'
import type { Account } from '../world.ts'

const DEVICES_MAX = 5

/** One random act of an account's devices, or nothing where there is nothing to do. */
export function randomAct(account: Account, int: (below: number) => number): void {
  const { devices, scribe } = account
  const other = devices[1 + int(DEVICES_MAX)]
  switch (int(7)) {
    case 0:
    case 1:
      if (devices.length < DEVICES_MAX) account.addDevice()
      break
    case 2:
      if (other) account.remove([other], int(2) === 0 ? 'removed' : 'cloned')
      break
    case 3:
      account.remove([])
      break
    case 4:
      scribe.take(account.invite({ uses: 1 + int(3) }).entry)
      break
    case 5: {
      const [invite] = openInvites(account.library)
      if (invite) scribe.take(scribe.access(account.device, { type: 'void', invite: invite.id }))
      break
    }
    default:
      if (!other) break
      scribe.take(scribe.access(other, { type: 'leave' }))
      devices.splice(devices.indexOf(other), 1)
  }
}
