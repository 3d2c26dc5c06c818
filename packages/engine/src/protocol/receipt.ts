/**
 * A receipt: a device's signed word that its replica of a log is gone. Source: docs/PROTOCOL.md, Receipts.
 */
import { type DeviceId, deviceId, type EntryId, entryId, type LogId } from '../bytes/ids.ts'
import type { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import type { Suite } from '../crypto/suite.ts'

export const RECEIPT_REASONS = {
  removed: 1,
  left: 2,
  expired: 3,
  stopped: 4,
  'device-removed': 5,
  'signed-out': 6
} as const
export type ReceiptReason = keyof typeof RECEIPT_REASONS

export interface Receipt {
  readonly device: DeviceId
  /** The access entry on which it was wiped. */
  readonly accessHead: EntryId
  readonly reason: ReceiptReason
  /** The device's clock, in ms. */
  readonly timeMs: number
  readonly signature: Uint8Array
}

const reasonByNumber = new Map(Object.entries(RECEIPT_REASONS).map(([name, n]) => [n as number, name as ReceiptReason]))

export function signReceipt(
  suite: Suite,
  log: LogId,
  receipt: Omit<Receipt, 'signature'>,
  secretKey: Uint8Array
): Receipt {
  return { ...receipt, signature: suite.sign(secretKey, 'receipt', log, body(receipt)) }
}

export function verifyReceipt(suite: Suite, log: LogId, receipt: Receipt): boolean {
  return suite.verify(receipt.device, receipt.signature, 'receipt', log, body(receipt))
}

export function writeReceipt(w: Writer, receipt: Receipt): void {
  w.bytes(body(receipt)).bytes(receipt.signature)
}

export function readReceipt(r: Reader): Receipt {
  const device = deviceId(r.bytes(32))
  const accessHead = entryId(r.bytes(32))
  const number = r.u8()
  const reason = reasonByNumber.get(number) ?? r.fail(`a receipt's reason ${number} is unknown`)
  return { device, accessHead, reason, timeMs: r.u53(), signature: r.bytes(64) }
}

function body(receipt: Omit<Receipt, 'signature'>): Uint8Array {
  return new Writer()
    .bytes(receipt.device)
    .bytes(receipt.accessHead)
    .u8(RECEIPT_REASONS[receipt.reason])
    .u53(receipt.timeMs)
    .finish()
}
