/**
 * What a device may ask of a log, by its access list: the one place where a relay looks before it serves.
 * Source: docs/PROTOCOL.md, Access.
 */
import { type AccountId, type DeviceId, type EntryId, hex } from '../bytes/ids.ts'
import type { LibraryList } from './library-list.ts'
import { accountOfDevice, ownerLibrary, type ShareList } from './share-list.ts'

export type AccessList = LibraryList | ShareList

export type Standing =
  | { readonly is: 'owner'; readonly account: AccountId }
  | { readonly is: 'member'; readonly account: AccountId; readonly untilMs: number | null }
  /** Out: shown the access entries up to `ended`, for ever, and nothing else. */
  | { readonly is: 'former'; readonly account: AccountId; readonly ended: EntryId }
  | { readonly is: 'stranger' }

const STRANGER: Standing = { is: 'stranger' }

export function standingOf(list: AccessList, device: DeviceId): Standing {
  return list.kind === 'library' ? inLibrary(list, device) : inShare(list, device)
}

/** The devices that may write, by hex id. */
export function writers(list: AccessList): ReadonlySet<string> {
  return new Set((list.kind === 'library' ? list : ownerLibrary(list)).devices.keys())
}

function inLibrary(list: LibraryList, device: DeviceId): Standing {
  if (list.devices.has(hex(device))) return { is: 'owner', account: list.account }
  const gone = list.gone.get(hex(device))
  return gone ? { is: 'former', account: list.account, ended: gone.entry } : STRANGER
}

function inShare(list: ShareList, device: DeviceId): Standing {
  const library = accountOfDevice(list, device)
  if (!library) return goneFromShare(list, device)
  const { account } = library
  const key = hex(account)
  if (key === hex(list.owner)) return { is: 'owner', account }
  const member = list.members.get(key)
  if (member) {
    return list.stopped
      ? { is: 'former', account, ended: list.stopped }
      : { is: 'member', account, untilMs: member.untilMs }
  }
  const former = list.former.get(key)
  return former ? { is: 'former', account, ended: former.ended } : STRANGER
}

/** A device that its own account has put out: all access entries there are tell it so. */
function goneFromShare(list: ShareList, device: DeviceId): Standing {
  const key = hex(device)
  for (const library of list.accounts.values()) {
    if (library.gone.has(key)) {
      const former = list.former.get(hex(library.account))
      return { is: 'former', account: library.account, ended: former?.ended ?? list.head }
    }
  }
  return STRANGER
}
