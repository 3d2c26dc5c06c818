/**
 * Who follows one log, and in which seat. Seats change with the access list, with the log's life and with time; what a
 * seat gives is seat.ts, how it is served reader.ts and reading.ts.
 */
import { hex, type LogId, limits, type Receipt, Refusal, refuse } from '@lend/engine'
import type { Seq, StoreCorrupt } from '../store/log-store.ts'
import type { Claim } from './claim.ts'
import type { FoldedLog } from './folded-log.ts'
import type { Followed, Host, Requester } from './host.ts'
import { Reader } from './reader.ts'
import { AccessReader, type Batch, type Reading } from './reading.ts'
import { inviteOf, noAccess, type Seat, seatOf, standingBy } from './seat.ts'

/** What an audience needs of its log. */
export interface Stage {
  readonly host: Host
  readonly log: LogId
  readonly folded: FoldedLog
  /** What waits for an owner device. */
  readonly receipts: readonly Receipt[]
  corrupt(error: StoreCorrupt): void
  /** The last follower is gone. */
  empty(): void
}

interface Follower {
  readonly requester: Requester
  /** For whom it keeps the log in use, see in-use.ts. */
  readonly users: readonly string[]
  claim: Claim
  seat: Seat
  reading: Reading | null
}

export class Audience implements Followed {
  readonly #stage: Stage
  readonly #followers = new Map<Requester, Follower>()
  #nextEndMs = Number.POSITIVE_INFINITY

  constructor(stage: Stage) {
    this.#stage = stage
  }

  get size(): number {
    return this.#followers.size
  }

  /** @param from where the reader's cursor is in this life of the log, or 0 */
  follow(requester: Requester, claim: Claim, from: Seq): void {
    const { host, log } = this.#stage
    const seat = this.#seatOf(claim)
    if (seat.is === 'refused') {
      sendRefusal(requester, log, seat.refusal)
      return
    }
    const users = this.#usersOf(requester, claim)
    const key = hex(log)
    for (const { user, max } of users) {
      if (host.inUse.mayEnter(user, key, max)) continue
      const sentence = `follow: this account or address follows ${max} logs already; unfollow some`
      sendRefusal(requester, log, refuse('LIMIT_SUBSCRIPTIONS', sentence))
      return
    }
    const follower: Follower = { requester, users: users.map(({ user }) => user), claim, seat, reading: null }
    for (const { user } of users) host.inUse.enter(user, key)
    this.#followers.set(requester, follower)
    requester.followed.add(this)
    this.#place(follower, seat, from)
  }

  leave(requester: Requester): void {
    const follower = this.#followers.get(requester)
    if (!follower) return
    follower.reading?.end()
    this.#followers.delete(requester)
    requester.followed.delete(this)
    for (const user of follower.users) this.#stage.host.inUse.leave(user, hex(this.#stage.log))
    if (this.#followers.size === 0) this.#stage.empty()
  }

  drained(requester: Requester): void {
    this.#followers.get(requester)?.reading?.drained()
  }

  claimOf(requester: Requester): Claim | null {
    return this.#followers.get(requester)?.claim ?? null
  }

  isInvited(requester: Requester): boolean {
    return this.#followers.get(requester)?.seat.is === 'invited'
  }

  publish(batch: Batch): void {
    this.#each(({ reading }) => reading?.publish(batch))
  }

  /** After access entries have become durable, or a seat's time may have come. */
  reseat(): void {
    this.#each(follower => this.#reseat(follower))
    this.#findNextEnd()
  }

  /** A new life of the log has begun: everyone starts anew in it. */
  restart(): void {
    const { accessHead } = this.#stage.folded.tip
    this.#each(follower => {
      const shown = follower.claim.shown ?? (follower.seat.is === 'served' ? accessHead : null)
      follower.claim = { ...follower.claim, shown }
      this.#place(follower, this.#seatOf(follower.claim), 0)
    })
  }

  /** The log was folded anew. */
  behind(): void {
    this.reseat()
    this.#each(({ reading }) => reading?.behind())
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#nextEndMs) this.reseat()
  }

  refuseAll(refusal: Refusal): void {
    this.#each(follower => this.#refuse(follower, refusal))
  }

  sendToOwners(receipts: readonly Receipt[]): void {
    this.#each(({ seat, requester }) => {
      if (seat.is === 'served' && seat.standing === 'owner') this.#sendReceipts(requester, receipts)
    })
  }

  /** One that fails is closed; the others never notice. */
  #each(act: (follower: Follower) => void): void {
    for (const follower of [...this.#followers.values()]) {
      try {
        if (this.#followers.get(follower.requester) === follower) act(follower)
      } catch (error) {
        follower.requester.fail(error)
      }
    }
  }

  #seatOf(claim: Claim): Seat {
    const { folded } = this.#stage
    return seatOf(folded.list, folded.lives, claim, folded.nowMs())
  }

  #usersOf({ network }: Requester, { device, proven }: Claim): { user: string; max: number }[] {
    const { folded, host } = this.#stage
    const { logsPerAccount, logsPerNetwork } = host.limits
    const users = [{ user: `network ${network}`, max: logsPerNetwork }]
    const standing = folded.list && standingBy(folded.list, device, proven)
    if (standing && standing.is !== 'stranger') {
      users.push({ user: `account ${hex(standing.account)}`, max: logsPerAccount })
    }
    return users
  }

  #reseat(follower: Follower): void {
    const { folded } = this.#stage
    const was = follower.seat
    const seat = this.#seatOf(follower.claim)
    if (was.is === seat.is) {
      follower.seat = seat
      return
    }
    if (was.is === 'served' && seat.is === 'former') {
      const record = folded.state.access.records[folded.state.access.indexOf(seat.ended) ?? -1]
      if (follower.reading instanceof Reader) follower.reading.finish(record?.seq ?? 0)
      this.leave(follower.requester)
    } else if (was.is === 'invited' && seat.is === 'served') {
      // It sees itself in the list. Documents are for who follows with a replica to keep them in.
    } else if (was.is === 'invited') {
      const refusal = inviteOf(folded.list, follower.claim, folded.nowMs())
      this.#refuse(follower, refusal instanceof Refusal ? refusal : noAccess())
    } else {
      this.#place(follower, seat, 0)
    }
  }

  #place(follower: Follower, seat: Seat, from: Seq): void {
    const { folded } = this.#stage
    const { requester } = follower
    follower.reading?.end()
    follower.reading = null
    follower.seat = seat
    switch (seat.is) {
      case 'refused':
        this.#refuse(follower, seat.refusal)
        return
      case 'waiting':
        this.#sendFollowing(follower, 'waiting', 0, { entries: 0, bytes: 0 }, folded.accessHead())
        return
      case 'invited':
      case 'former': {
        const last = seat.is === 'former' ? seat.ended : null
        const ended = last && folded.state.access.records[folded.state.access.indexOf(last) ?? -1]
        // Beyond what it may see there is nothing, as far as it can tell.
        const start = ended && from <= ended.seq ? from : 0
        const reading = new AccessReader(this.#stage, requester, {
          from: start,
          last,
          done: () => this.leave(requester)
        })
        follower.reading = reading
        this.#sendFollowing(follower, seat.is, start, reading.totals(), reading.head())
        reading.drained()
        break
      }
      case 'served':
        // Used: who leaves later is not let in again by the link that it came with.
        follower.claim = { ...follower.claim, invite: null }
        this.#sendFollowing(follower, seat.standing, from, folded.after(from), folded.head())
        if (seat.standing === 'owner') this.#sendReceipts(requester, this.#stage.receipts)
        follower.reading = new Reader(this.#stage, requester, from)
        follower.reading.drained()
    }
    this.#findNextEnd()
  }

  #sendFollowing(
    { requester }: Follower,
    standing: 'owner' | 'member' | 'former' | 'invited' | 'waiting',
    from: Seq,
    totals: { entries: number; bytes: number },
    head: Uint8Array
  ): void {
    const { log, folded } = this.#stage
    requester.send({
      type: 'following',
      log,
      standing,
      incarnation: folded.lives.current,
      from,
      entriesTotal: totals.entries,
      bytesTotal: totals.bytes,
      head
    })
  }

  #sendReceipts(requester: Requester, receipts: readonly Receipt[]): void {
    const { log } = this.#stage
    for (let at = 0; at < receipts.length; at += RECEIPTS_AT_ONCE) {
      requester.send({ type: 'receipts', log, receipts: receipts.slice(at, at + RECEIPTS_AT_ONCE) })
    }
  }

  #refuse({ requester }: Follower, refusal: Refusal): void {
    sendRefusal(requester, this.#stage.log, refusal)
    this.leave(requester)
  }

  #findNextEnd(): void {
    this.#nextEndMs = Number.POSITIVE_INFINITY
    for (const { seat } of this.#followers.values()) {
      if ((seat.is === 'served' || seat.is === 'invited') && seat.endsMs !== null) {
        this.#nextEndMs = Math.min(this.#nextEndMs, seat.endsMs)
      }
    }
  }
}

const RECEIPTS_AT_ONCE = 1024

/** Refuses what was asked about a log as a whole. */
export function sendRefusal(requester: Requester, log: LogId, refusal: Refusal): void {
  const { code, retryAfterMs } = refusal
  requester.send({ type: 'refused', log, entry: null, code, retryAfterMs, sentence: sentenceOf(refusal), top: null })
}

/** A sentence that fits its frame in any script. */
export function sentenceOf({ message }: Refusal): string {
  return message.slice(0, limits.SENTENCE_BYTES_MAX / 4)
}
