/**
 * The end of a lent share on this device: marker, key, files; then the account's list, the receipt, and the marker goes.
 * What was cut off is finished at the next start: the replica before anything is read, the rest once the library is here.
 */
import {
  entryId,
  hex,
  type LogId,
  logId,
  RECEIPT_REASONS,
  Reader,
  type ReceiptReason,
  signReceipt,
  Writer
} from '@lend/engine'
import { destroyReplica, forgetWipe, markWipe, replicaKeyFile, replicaName, unfinishedWipes } from '../disk/wipe.ts'
import type { Joined } from '../joining/join.ts'
import { unhex } from '../log/records.ts'
import type { Place as AccountPlace } from './account-store.ts'

/** What a wipe's marker says. */
export interface WipeMark {
  readonly reason: ReceiptReason
  /** The entry on which it is wiped; null for a leave that is not in the log yet. */
  readonly accessHead: Uint8Array | null
  readonly relayUrl: string
  /** When access ended, by this device's clock. */
  readonly atMs: number
}

/** A wipe that was cut off, whose replica is gone now. */
export interface FinishedWipe {
  readonly log: LogId
  readonly reason: ReceiptReason
  readonly atMs: number
  /** What the account's list said of it; null when that had gone already. */
  readonly joined: Joined | null
  /** What is still to be settled; null for a leave that was cut off before it was marked. */
  readonly mark: WipeMark | null
}

/** Takes the share out of the list that the account's devices have; resolves when that is saved here. */
type Unlist = (log: LogId) => Promise<void>

type Place = Pick<AccountPlace, 'suite' | 'world' | 'disk' | 'store'>

const reasons = Object.keys(RECEIPT_REASONS) as ReceiptReason[]

/** Wipes a replica, whose database `letGo` closes. */
export async function wipe(
  o: Place,
  log: LogId,
  mark: WipeMark,
  { letGo, unlist }: { letGo: () => Promise<void>; unlist: Unlist }
): Promise<void> {
  await Promise.all([markWipe(o.disk, hex(log), encodeMark(mark)), letGo()])
  await destroyReplica(o.disk, hex(log))
  await settleWipe(o, log, mark, unlist)
}

/** Finishes what was cut off, before anything else of the account is read. What is returned is still to be settled. */
export async function finishWipes(o: Place): Promise<FinishedWipe[]> {
  const finished: FinishedWipe[] = []
  for (const [name, why] of await unfinishedWipes(o.disk)) {
    const log = logId(unhex(name))
    const mark = decodeMark(why)
    const { reason, atMs } = mark
    const record = o.store.share(log)
    await destroyReplica(o.disk, hex(log))
    finished.push({ log, reason, atMs, joined: record?.role === 'member' ? record.joined : null, mark })
  }
  for (const record of o.store.shares) {
    if (record.state !== 'leaving') continue
    // The leave may have been cut off before its wipe was marked.
    const { log, joined } = record
    if (await isHere(o, log)) finished.push({ log, reason: 'left', atMs: o.world.now(), joined, mark: null })
    await destroyReplica(o.disk, hex(log))
  }
  return finished
}

/** Looks without reading anything of the replica. */
async function isHere({ disk }: Place, log: LogId): Promise<boolean> {
  const [folder = '', name = ''] = replicaKeyFile(hex(log)).split('/')
  return (await disk.list(folder)).includes(name) || (await disk.list(replicaName(hex(log)))).length > 0
}

/**
 * After the replica is gone. The list first: what this device has no record of, and the list has, it takes for a share that
 * another device has joined.
 */
export async function settleWipe(o: Place, log: LogId, mark: WipeMark, unlist: Unlist): Promise<void> {
  // Leaving: the relay does not know of it yet; the receipt is written when it does.
  if (mark.accessHead === null) return forgetWipe(o.disk, hex(log))
  await unlist(log)
  const { device } = o.store
  const receipt = signReceipt(
    o.suite,
    log,
    { device: device.id, accessHead: entryId(mark.accessHead), reason: mark.reason, timeMs: o.world.now() },
    device.signing.secretKey
  )
  await o.store.endShare(log, { relayUrl: mark.relayUrl, receipt })
  await forgetWipe(o.disk, hex(log))
}

function encodeMark(mark: WipeMark): Uint8Array {
  const w = new Writer().u8(reasons.indexOf(mark.reason))
  return w
    .optional(mark.accessHead, head => w.bytes(head))
    .text(mark.relayUrl)
    .u53(mark.atMs)
    .finish()
}

function decodeMark(bytes: Uint8Array): WipeMark {
  const r = new Reader(bytes, 'BAD_FRAME', 'marker')
  return {
    reason: reasons[r.u8()] ?? 'removed',
    accessHead: r.optional(() => r.bytes(32)),
    relayUrl: r.text(4096),
    atMs: r.u53()
  }
}
