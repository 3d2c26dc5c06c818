/**
 * What is done in the background until it is done, across restarts: telling a relay of a leave, asking it whether a join
 * that was cut off got there, delivering the receipt of a wipe. Each has its record in the account's store, which goes
 * when the job is done; so all of them are begun again at the next start.
 */
import { hex, LendError, type LogId, logId, REFUSALS, Refusal, signReceipt, sinceReset, standingOf } from '@lend/engine'
import { asLendError } from '../disk/disk-error.ts'
import { type Joined, joinedIn } from '../joining/join.ts'
import { unhex } from '../log/records.ts'
import { AccessVisit } from '../log/visit.ts'
import type { RelayConnection } from '../relay/connection.ts'
import { accountDue } from './account-keys.ts'
import type { Home } from './account-store.ts'
import type { Relays } from './relays.ts'
import type { LentRecord } from './share-record.ts'

const LEAVE_AGAIN_MS = 10_000

export class Jobs {
  readonly #home: Home
  readonly #relays: Relays
  readonly #running = new Set<() => void>()
  /** Log hex → stops what is asked or told there about this account's membership. */
  readonly #ofMembership = new Map<string, () => void>()
  #closed = false

  constructor(home: Home, relays: Relays) {
    this.#home = home
    this.#relays = relays
  }

  /** Whoever joins anew need not ask or tell any more. */
  stopFor(log: LogId): void {
    this.#ofMembership.get(hex(log))?.()
  }

  close(): void {
    this.#closed = true
    for (const stop of [...this.#running]) stop()
  }

  /** A join was cut off, and only its relay knows whether it got there. @param isIn what to do if it did */
  askJoin(record: LentRecord, isIn: (joined: Joined) => Promise<unknown>): void {
    const { store, library, tell } = this.#home
    const line = this.#relays.forAttempt(record.relayUrl, record.relayKey)
    const visit = this.#visit(record.log, line.connection)
    const stop = this.#begin(record.log, () => {
      visit.close(closed())
      line.done()
    })
    const run = async () => {
      const joined = await visit.list.then(
        () => (visit.standing === 'member' ? joinedIn(visit, library, this.#home) : null),
        error => {
          if (error instanceof Refusal && error.code === 'NO_ACCESS') return null
          throw error
        }
      )
      stop()
      if (joined) await isIn(joined)
      else await store.endShare(record.log, null)
    }
    run().catch(error => {
      if (!isClosed(error)) tell(asLendError(error))
    })
    line.connection.open()
  }

  /** The replica is gone; its relay hears of it as soon as it can, and gets the receipt. */
  tellLeave(record: LentRecord): void {
    const { suite, world, store, library } = this.#home
    const { log, relayUrl } = record
    const { account, device } = library
    const visit = this.#visit(log, this.#relays.at(relayUrl, record.relayKey))
    let stopTimer = () => {}
    const stop = this.#begin(log, () => {
      stopTimer()
      visit.close(closed())
    })
    const run = async () => {
      const list = await visit.list
      const former = list.former.get(hex(account))
      const isOut = former || list.stopped
      // A device that the list does not have yet has nothing to say in it.
      const isKnown = standingOf(list, device.id).is !== 'stranger'
      if (!isOut && !isKnown) await visit.write(now => accountDue(now, library))
      const entry = isOut ? null : await visit.write(now => (now.members.has(hex(account)) ? { type: 'leave' } : null))
      const accessHead = former?.ended ?? entry?.id ?? list.stopped
      const said = accessHead && { device: device.id, accessHead, reason: 'left' as const, timeMs: world.now() }
      const receipt = said && signReceipt(suite, log, said, device.signing.secretKey)
      stop()
      // Another device may have joined anew meanwhile. The list first: our record brings this back until it is done.
      if (library.index.share(log)?.state === 'leaving') await library.edit(index => index.removeShare(log))
      await store.endShare(log, receipt ? { relayUrl, receipt } : null)
      if (receipt) this.deliverReceipt(log)
    }
    run().catch(error => {
      if (isClosed(error)) return
      visit.close(error)
      stopTimer = world.timer((error instanceof Refusal && error.retryAfterMs) || LEAVE_AGAIN_MS, () => {
        stop()
        this.tellLeave(record)
      })
    })
  }

  /** All receipts of before. */
  deliverReceipts(): void {
    for (const log of this.#home.store.receipts.keys()) this.deliverReceipt(logId(unhex(log)))
  }

  /** Delivers the receipt of a wipe, if there is one to deliver. */
  deliverReceipt(log: LogId): void {
    const { store, tell } = this.#home
    const kept = store.receipts.get(hex(log))
    if (this.#closed || !kept || store.share(log)) return
    const connection = this.#relays.at(kept.relayUrl)
    const leave = connection.join(log, {
      opened: () => void connection.send({ type: 'receipts', log, receipts: [kept.receipt] }),
      frame: frame => {
        if (frame.type !== 'receipts-stored' && frame.type !== 'refused') return
        // For a reason that may pass: again at the next contact.
        if (frame.type === 'refused' && frame.code !== 'NO_ACCESS' && REFUSALS[frame.code][1] === 'later') return
        stop()
        // No access: the log is gone, or knows this device as a member again. Either way nobody waits for it.
        if (!this.#closed) store.receiptDelivered(log).catch(error => tell(asLendError(error)))
      },
      closed: () => {}
    })
    const stop = () => {
      leave()
      this.#running.delete(stop)
    }
    this.#running.add(stop)
  }

  #visit(log: LogId, connection: RelayConnection): AccessVisit {
    const { suite, world, store, library } = this.#home
    const accountProof = sinceReset(library.proof)
    const device = store.device
    return new AccessVisit({ kind: 'share', suite, world, log, device, invite: null, connection, accountProof })
  }

  /** @returns what ends it, once */
  #begin(log: LogId, end: () => void): () => void {
    const key = hex(log)
    const stop = () => {
      if (!this.#running.delete(stop)) return
      if (this.#ofMembership.get(key) === stop) this.#ofMembership.delete(key)
      end()
    }
    this.#running.add(stop)
    this.#ofMembership.set(key, stop)
    return stop
  }
}

function closed(): LendError {
  return new LendError('CLOSED', 'nobody asks any more')
}

function isClosed(error: unknown): boolean {
  return error instanceof LendError && error.code === 'CLOSED'
}
