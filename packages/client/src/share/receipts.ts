/**
 * Which receipts an owner keeps of those that its relay shows. A relay can make up devices and sign for them, so a receipt
 * counts only from a device of a person that the list names, and only for an entry that put that device out. Each device
 * has one, which only a later entry of the list replaces: so what is kept is bounded by the list.
 */
import {
  type AccessHistory,
  type DeviceId,
  type EntryId,
  hex,
  type Receipt,
  type ShareList,
  type Suite,
  same,
  verifyReceipt
} from '@lend/engine'
import type { KeptReceipt } from '../library/library-index.ts'
import { unhex } from '../log/records.ts'

/** Receipts that wait for their entry; a relay keeps as many. The oldest go first: it shows them again at the next contact. */
const WAITING_MAX = 1024

export interface JudgedReceipts {
  /** What is news, by device hex. */
  readonly kept: ReadonlyMap<string, KeptReceipt>
  /** Whose receipts the relay need not show again. */
  readonly answered: readonly DeviceId[]
}

export class Receipts {
  /** Shown before the entry that they name, by device hex. */
  readonly #waiting = new Map<string, Receipt>()

  add(receipts: readonly Receipt[]): void {
    for (const receipt of receipts) this.#waiting.set(hex(receipt.device), receipt)
    for (const device of this.#waiting.keys()) {
      if (this.#waiting.size <= WAITING_MAX) return
      this.#waiting.delete(device)
    }
  }

  /**
   * Judges all whose entry is in the list by now.
   * @param before what is kept already
   */
  judge(
    suite: Suite,
    list: ShareList,
    history: AccessHistory,
    before: ReadonlyMap<string, KeptReceipt>
  ): JudgedReceipts {
    const kept = new Map<string, KeptReceipt>()
    const answered: DeviceId[] = []
    for (const [device, receipt] of this.#waiting) {
      const place = history.indexOf(receipt.accessHead)
      if (place === null) continue
      this.#waiting.delete(device)
      // Cheap before dear: what is made up never costs a signature.
      if (!list.accountsOf.has(device) || !verifyReceipt(suite, list.log, receipt)) continue
      answered.push(receipt.device)
      const known = before.get(device)
      const isNews = !known || (history.indexOf(unhex(known.accessHead)) ?? -1) < place
      const putOut = endsOf(list, device).some(end => same(end, receipt.accessHead))
      if (isNews && putOut) kept.set(device, { accessHead: hex(receipt.accessHead), atMs: receipt.timeMs })
    }
    return { kept, answered }
  }
}

/** The entries that put this device out, as the list has it now. */
function endsOf(list: ShareList, device: string): EntryId[] {
  const accounts = list.accountsOf.get(device) ?? []
  const formerly = accounts.map(account => list.former.get(account)?.ended)
  return [...formerly, list.formerDevices.get(device)?.ended, list.stopped].filter(end => end != null)
}
