/**
 * What a device may ask of a log, by its access list: the one place where a relay looks before it serves.
 * Source: docs/PROTOCOL.md, Access.
 */
import { type AccountId, type DeviceId, type EntryId, hex, same } from '../bytes/ids.ts'
import { copyLibrary, type LibraryList } from './library-list.ts'
import { accountOfDevice, copyShare, ownerLibrary, type ShareList } from './share-list.ts'

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

/** A list to try entries on, which leaves the given one as it is. */
export function copyList(list: AccessList): AccessList {
  return list.kind === 'library' ? copyLibrary(list) : copyShare(list)
}

function inLibrary(list: LibraryList, device: DeviceId): Standing {
  // The root key reads, to recover, and writes nothing but a reset.
  if (same(device, list.rootKey)) return { is: 'owner', account: list.account }
  if (list.devices.has(hex(device))) {
    return list.stopped
      ? { is: 'former', account: list.account, ended: list.stopped }
      : { is: 'owner', account: list.account }
  }
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

/** A device that its own account has put out is told so, and nothing that came later. */
function goneFromShare(list: ShareList, device: DeviceId): Standing {
  const former = list.formerDevices.get(hex(device))
  return former ? { is: 'former', account: former.account, ended: former.ended } : STRANGER
}
