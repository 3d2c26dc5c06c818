/**
 * The receipts of one log that wait for its owner: devices' signed words that their replicas are gone. They are kept
 * beside the log, in a log of their own in the same store, one for each device.
 */
import {
  type DeviceId,
  decodeFrame,
  type EntryId,
  encodeFrame,
  hex,
  type LogId,
  logId,
  type Receipt,
  Refusal,
  refuse,
  same,
  verifyReceipt
} from '@lend/engine'
import { type Seq, StoreCorrupt } from '../store/log-store.ts'
import type { Allowance } from './allowance.ts'
import type { FoldedLog } from './folded-log.ts'
import type { Host, Requester } from './host.ts'
import { noAccess, standingBy } from './seat.ts'

const NO_HASH = new Uint8Array(32)

export class ReceiptBox {
  readonly #host: Host
  readonly #log: LogId
  /** Where they are kept. */
  readonly #place: LogId
  readonly #kept = new Map<string, { readonly seq: Seq; readonly receipt: Receipt }>()
  #seq: Seq = 0

  private constructor(host: Host, log: LogId) {
    this.#host = host
    this.#log = log
    this.#place = logId(host.suite.hash('receipts log', log))
  }

  static async load(host: Host, log: LogId): Promise<ReceiptBox> {
    const box = new ReceiptBox(host, log)
    box.#seq = (await host.store.head(box.#place)).seq
    if (box.#seq === 0) return box
    for await (const { seq, bytes } of host.store.read(box.#place, 0)) {
      const frame = decodeFrame(bytes)
      if (frame.type !== 'receipts') throw new StoreCorrupt(box.#place, 'a receipts log holds something else')
      for (const receipt of frame.receipts) box.#kept.set(hex(receipt.device), { seq, receipt })
    }
    return box
  }

  get waiting(): readonly Receipt[] {
    return [...this.#kept.values()].map(({ receipt }) => receipt)
  }

  /**
   * Keeps what a device hands in of its own: about the entry that ended it, and no other. So a frame costs one write at most.
   * @param allowance of members, in this log: each write is paid for
   * @returns why not, or what waits of it now
   */
  async take(
    { device }: Requester,
    receipts: readonly Receipt[],
    folded: FoldedLog,
    allowance: Allowance
  ): Promise<Receipt[] | Refusal> {
    const standing = folded.list && standingBy(folded.list, device, null)
    if (standing?.is !== 'former') return noAccess()
    for (const receipt of receipts) {
      const refusal = await this.#keep(receipt, { device, ended: standing.ended, nowMs: folded.nowMs() }, allowance)
      if (refusal) return refusal
    }
    const kept = this.#kept.get(hex(device))
    return kept ? [kept.receipt] : []
  }

  /** The owner has those of these devices. @returns why it may not say so, or null */
  async release({ device }: Requester, devices: readonly DeviceId[], folded: FoldedLog): Promise<Refusal | null> {
    const standing = folded.list && standingBy(folded.list, device, null)
    if (standing?.is !== 'owner') return noAccess()
    const seqs: Seq[] = []
    for (const one of devices) {
      const kept = this.#kept.get(hex(one))
      if (!kept) continue
      seqs.push(kept.seq)
      this.#kept.delete(hex(one))
    }
    if (seqs.length > 0) await this.#host.store.forget(this.#place, seqs)
    return null
  }

  /** @returns why it is not kept, or null when it is durable */
  async #keep(
    receipt: Receipt,
    sender: { readonly device: DeviceId; readonly ended: EntryId; readonly nowMs: number },
    allowance: Allowance
  ): Promise<Refusal | null> {
    const device = hex(receipt.device)
    if (device !== hex(sender.device)) return refuse('BAD_RECEIPT', 'receipt: it is of another device')
    if (!same(receipt.accessHead, sender.ended)) {
      return refuse('BAD_RECEIPT', 'receipt: its access entry is not the one that ended this device')
    }
    const before = this.#kept.get(device)
    // One for each end of a membership: signing it again brings nothing, and each would cost a write.
    if (before && same(before.receipt.accessHead, receipt.accessHead)) return null
    const waitMs = allowance.waitMs(device, sender.nowMs)
    if (waitMs > 0) {
      return new Refusal('RATE_LIMITED', `receipt: too much of this device; again in ${waitMs} ms`, waitMs)
    }
    if (!verifyReceipt(this.#host.suite, this.#log, receipt)) {
      return refuse('BAD_RECEIPT', 'receipt: its device has not signed it')
    }
    const max = this.#host.limits.receiptsPerLog
    if (!before && this.#kept.size >= max) {
      return refuse('LIMIT_STORAGE', `receipt: ${max} wait for the owner already; try again later`)
    }
    allowance.spend(device, sender.nowMs)
    const seq = this.#seq + 1
    const bytes = encodeFrame({ type: 'receipts', log: this.#log, receipts: [receipt] })
    const timeMs = this.#host.now()
    await this.#host.store.append(this.#place, [{ seq, timeMs, runningHash: NO_HASH, bytes }], this.#seq)
    this.#seq = seq
    // Read back from the record's own bytes: the frame it came in is not kept.
    const frame = decodeFrame(bytes)
    if (frame.type === 'receipts' && frame.receipts[0]) this.#kept.set(device, { seq, receipt: frame.receipts[0] })
    if (before) await this.#host.store.forget(this.#place, [before.seq])
    return null
  }
}
