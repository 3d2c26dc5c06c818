/** Links, as this account looks at them and accepts them: one attempt for each share at a time. */
import { hex, LendError, type Link } from '@lend/engine'
import { join } from '../joining/join.ts'
import { type LinkVisit, readLink } from '../joining/link-visit.ts'
import { previewFor } from '../joining/preview.ts'
import type { LentShare, Offer } from '../share/types.ts'
import type { Home } from './account-store.ts'
import type { Jobs } from './jobs.ts'
import type { Line, Relays } from './relays.ts'
import type { LentRecord } from './share-record.ts'
import type { Shares } from './shares.ts'

interface Attempt {
  signal?: AbortSignal | undefined
}

export class Accepting {
  readonly #home: Home
  readonly #relays: Relays
  readonly #jobs: Jobs
  readonly #shares: Shares
  /** By log hex. */
  readonly #joining = new Map<string, Promise<LentShare>>()
  readonly #closing = new AbortController()

  constructor(home: Home, relays: Relays, jobs: Jobs, shares: Shares) {
    this.#home = home
    this.#relays = relays
    this.#jobs = jobs
    this.#shares = shares
  }

  async preview(text: string, o: Attempt): Promise<Offer> {
    const link = readLink(text)
    const line = this.#relays.forAttempt(link.relayUrl, link.relayKey)
    try {
      return await previewFor(this.#home.library.account, this.#visit(link, line, o))
    } finally {
      line.done()
    }
  }

  async accept(text: string, o: Attempt): Promise<LentShare> {
    const link = readLink(text)
    if (link.kind !== 'share') throw new LendError('BAD_LINK', 'this link adds a device; open it with pairDevice')
    if (this.#shares.ownedBy(link.log)) throw new LendError('YOU_ARE_THE_OWNER', 'this share is your own')
    const key = hex(link.log)
    const known = this.#shares.lentBy(link.log) ?? this.#joining.get(key)
    if (known) return known
    const joining = this.#join(link, o)
    this.#joining.set(key, joining)
    try {
      return await joining
    } finally {
      this.#joining.delete(key)
    }
  }

  close(): void {
    this.#closing.abort(new LendError('CLOSED', 'the account was closed'))
  }

  async #join(link: Link, o: Attempt): Promise<LentShare> {
    const { store, library } = this.#home
    const { log, relayUrl, relayKey } = link
    // A replica of before may be on its way out; and whoever asks whether we are in need not ask any more.
    await this.#shares.wiped()
    this.#closing.signal.throwIfAborted()
    this.#jobs.stopFor(log)
    const before = store.share(log)
    const record: LentRecord = { role: 'member', log, state: 'joining', relayUrl, relayKey, joined: null }
    const line = this.#relays.forAttempt(relayUrl, relayKey)
    try {
      // Known before the relay knows it: if we end in between, the next start finds out whether we are in.
      await store.keepShare(record)
      const joined = await join(library, library.name, this.#visit(link, line, o))
      return await this.#shares.joined(record, joined)
    } catch (error) {
      if (this.#closing.signal.aborted || store.share(log)?.state === 'joined') throw error
      if (before?.state === 'leaving') {
        // Still to be said to the relay: that this account has left.
        await store.keepShare(before)
        this.#jobs.tellLeave(before)
      } else await store.endShare(log, null)
      throw error
    } finally {
      line.done()
    }
  }

  #visit(link: Link, { connection }: Line, o: Attempt): LinkVisit {
    const { suite, world, store } = this.#home
    const { signal } = this.#closing
    const both = o.signal ? AbortSignal.any([o.signal, signal]) : signal
    return { suite, world, link, device: store.device, connection, signal: both }
  }
}
