/** The end of a lent share on this device: marker, key, files, receipt; finished at the next start if it was cut off. */
import {
  entryId,
  hex,
  type LogId,
  logId,
  RECEIPT_REASONS,
  Reader,
  type ReceiptReason,
  type Suite,
  signReceipt,
  Writer
} from '@lend/engine'
import { destroyReplica, forgetWipe, markWipe, unfinishedWipes } from '../disk/wipe.ts'
import { unhex } from '../log/records.ts'
import type { Disk, World } from '../world.ts'
import type { AccountStore } from './account-store.ts'

/** What a wipe's marker says. */
export interface WipeMark {
  readonly reason: ReceiptReason
  /** The entry on which it is wiped; null for a leave that is not in the log yet. */
  readonly accessHead: Uint8Array | null
  readonly relayUrl: string
}

const reasons = Object.keys(RECEIPT_REASONS) as ReceiptReason[]

/** Wipes a replica, whose database `letGo` closes. */
export async function wipe(
  o: { suite: Suite; world: World; disk: Disk; store: AccountStore },
  log: LogId,
  mark: WipeMark,
  letGo: () => Promise<void>
): Promise<void> {
  await Promise.all([markWipe(o.disk, hex(log), encodeMark(mark)), letGo()])
  await finish(o, log, mark)
}

/** Finishes what was cut off. Before anything else of the account is read. */
export async function finishWipes(o: { suite: Suite; world: World; disk: Disk; store: AccountStore }): Promise<void> {
  for (const [name, why] of await unfinishedWipes(o.disk)) await finish(o, logId(unhex(name)), decodeMark(why))
}

async function finish(
  o: { suite: Suite; world: World; disk: Disk; store: AccountStore },
  log: LogId,
  mark: WipeMark
): Promise<void> {
  await destroyReplica(o.disk, hex(log))
  // Leaving: the relay does not know of it yet; the receipt is written when it does.
  if (mark.accessHead === null) return forgetWipe(o.disk, hex(log))
  const { device } = o.store.keys
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
    .finish()
}

function decodeMark(bytes: Uint8Array): WipeMark {
  const r = new Reader(bytes, 'BAD_FRAME', 'marker')
  return { reason: reasons[r.u8()] ?? 'removed', accessHead: r.optional(() => r.bytes(32)), relayUrl: r.text(4096) }
}
