/**
 * The list of shares that all devices of the account have alike, in the library's index, beside what this device has of
 * them. Membership is the truth: a device that has verified one puts it in the list, one that has verified its end takes it
 * out, and every other device follows the list.
 */
import { hex, type LogId } from '@lend/engine'
import { asLendError } from '../disk/disk-error.ts'
import type { IndexedShare } from '../library/library-index.ts'
import type { Home } from './account-store.ts'
import type { LentRecord, OwnedRecord, ShareRecord } from './share-record.ts'

export interface ListingListener {
  /** Another device of the account made this share, or joined it. */
  came(record: ShareRecord): Promise<void>
  /** Another device of the account has left this share. */
  left(log: LogId): Promise<void>
}

export class Listing {
  readonly #home: Home
  readonly #listener: ListingListener
  /** Log hex → adopted right now. */
  readonly #coming = new Set<string>()

  constructor(home: Home, listener: ListingListener) {
    this.#home = home
    this.#listener = listener
  }

  /** The title that the list has; a share that is not open here has no other. */
  titleOf(log: LogId): string {
    return this.#home.library.index.share(log)?.title ?? ''
  }

  /** This share is ours, or lent to us. @param title null when it is not known here */
  put(record: ShareRecord, title: string | null): void {
    const wanted = this.#indexed(record, title)
    if (!wanted) return
    const { library } = this.#home
    const known = library.index.share(record.log)
    if (known && known.state === wanted.state && known.title === wanted.title) return
    this.#run(library.edit(index => index.putShare(wanted)))
  }

  /** This share has ended for this account; resolves when that is saved here. */
  async remove(log: LogId): Promise<void> {
    const { library } = this.#home
    if (library.index.share(log)) await library.edit(index => index.removeShare(log))
  }

  /** The list has changed, or is here for the first time. */
  follow(): void {
    const { library, store } = this.#home
    for (const shared of library.index.shares) {
      const key = hex(shared.log)
      const here = store.share(shared.log)
      if (shared.state === 'leaving') {
        if (here?.role === 'member' && here.state === 'joined') this.#run(this.#listener.left(shared.log))
      } else if (!here && !this.#coming.has(key)) {
        this.#coming.add(key)
        this.#run(this.#listener.came(recordOf(shared)).finally(() => this.#coming.delete(key)))
      }
    }
  }

  #indexed(record: ShareRecord, title: string | null): IndexedShare | null {
    const { log, role, relayUrl, relayKey } = record
    // Known to this device alone until its relay is, or until the join is in the log.
    if (!relayKey || record.state === 'creating' || record.state === 'joining') return null
    const state = record.state === 'leaving' ? 'leaving' : 'joined'
    const joined = record.role === 'member' ? record.joined : null
    if (role === 'member' && !joined) return null
    return { log, role, state, relayUrl, relayKey, title: title ?? this.titleOf(log), joined }
  }

  #run(running: Promise<void>): void {
    running.catch(error => this.#home.tell(asLendError(error)))
  }
}

function recordOf({ log, role, relayUrl, relayKey, joined }: IndexedShare): OwnedRecord | LentRecord {
  if (role === 'member') return { role, log, state: 'joined', relayUrl, relayKey, joined }
  // It was created by the device that made it, whose lease and nonce are in its first entry.
  return { role, log, state: 'created', relayUrl, relayKey, nonce: new Uint8Array(32), leaseMs: null }
}
