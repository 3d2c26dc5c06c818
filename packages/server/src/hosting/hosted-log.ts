/**
 * One log in use. What is asked of it is answered one after the other, in the order in which it came: appends are judged
 * together, written in one go, and acknowledged and forwarded once they are durable.
 *
 *   cold → folded ⇄ (folding anew after a conflict or a bug)      folded → corrupt
 *
 * A batch ends with the first access entry in it. So a removal is the last thing that those see whom it puts out.
 */
import {
  type EntryId,
  type Incarnation,
  type LogId,
  ownHead,
  type Receipt,
  Refusal,
  refuse,
  same,
  short,
  topOf
} from '@lend/engine'
import { Conflict, type Seq, StoreCorrupt, StoreError } from '../store/log-store.ts'
import { Allowance } from './allowance.ts'
import { judgeAppend } from './appending.ts'
import { AskQueue } from './ask-queue.ts'
import type { Ask, AskOf } from './asking.ts'
import { Audience, type Stage, sendRefusal, sentenceOf } from './audience.ts'
import { type Claim, claimOf } from './claim.ts'
import { FoldedLog } from './folded-log.ts'
import { type Host, incident, type Requester } from './host.ts'
import { ownerMark } from './lives.ts'
import { beginLife, pastBy } from './loss.ts'
import { continuing, creatorOf, hasPart, mayOffer, readOffer } from './offering.ts'
import { Batch } from './reading.ts'
import { ReceiptBox } from './receipts.ts'
import { judgeRoom } from './room.ts'
import { noAccess, standingBy } from './seat.ts'
import { WORK } from './turns.ts'

type State =
  | { readonly state: 'cold' }
  | { readonly state: 'folded'; readonly folded: FoldedLog; readonly receipts: ReceiptBox }
  | { readonly state: 'corrupt' }

export class HostedLog implements Stage {
  readonly host: Host
  readonly log: LogId
  readonly #audience = new Audience(this)
  readonly #allowance: Allowance
  readonly #onIdle: (log: HostedLog) => void
  readonly #queue = new AskQueue()
  #state: State = { state: 'cold' }
  #working: Promise<void> | null = null
  #folding: Promise<boolean> | null = null
  #forgetting: Promise<void> = Promise.resolve()
  /** What sessions have shown here, also those that do not follow: they may offer what lets them in. */
  readonly #shown = new WeakMap<Requester, Claim>()
  /** The access head by which everyone has their seat. */
  #seatedBy: Uint8Array = new Uint8Array(32)

  constructor(host: Host, log: LogId, onIdle: (log: HostedLog) => void) {
    this.host = host
    this.log = log
    this.#onIdle = onIdle
    const { memberAccessPerMinute, memberAccessBurst } = host.limits
    this.#allowance = new Allowance({ perMinute: memberAccessPerMinute, burst: memberAccessBurst })
  }

  /** Nobody follows it and nothing is asked of it. */
  get isIdle(): boolean {
    return this.#audience.size === 0 && this.#working === null
  }

  get folded(): FoldedLog {
    if (this.#state.state !== 'folded') throw new Error('a log is used before it is folded')
    return this.#state.folded
  }

  get receipts(): readonly Receipt[] {
    return this.#state.state === 'folded' ? this.#state.receipts.waiting : []
  }

  ask(ask: Ask): void {
    this.#queue.push(ask)
    this.#working ??= this.#work()
  }

  /** Resolves when all that was asked is answered. */
  async settled(): Promise<void> {
    await this.#working
  }

  /**
   * The fold as it stands, also while something is asked of this log; null when it is damaged. What it says may be on its way
   * to the disk yet.
   */
  async peek(): Promise<FoldedLog | null> {
    if (this.#state.state === 'cold') await this.#fold(this)
    return this.#state.state === 'folded' ? this.#state.folded : null
  }

  /** Not by a list that is ahead of the store: in a moment it is durable, and everyone is seated by it. */
  tick(nowMs: number): void {
    if (this.#state.state !== 'folded') return
    const { list, tip } = this.#state.folded
    if (!list || same(list.head, tip.accessHead)) this.#audience.tick(nowMs)
  }

  empty(): void {
    if (this.isIdle) this.#onIdle(this)
  }

  corrupt(error: StoreCorrupt): void {
    if (this.#state.state === 'corrupt') return
    this.#state = { state: 'corrupt' }
    this.host.logger.error({ log: short(this.log), code: error.code }, 'a log is damaged')
    this.#audience.refuseAll(storeCorrupt())
  }

  async #work(): Promise<void> {
    // Not in the caller's turn: what arrives together is judged together.
    await Promise.resolve()
    while (!this.#queue.isEmpty) {
      const asks = this.#queue.next()
      await this.#take(asks)
      for (const { requester, bytes } of asks) requester.settle(bytes)
    }
    this.#working = null
    this.empty()
  }

  /** Again, from the fold on, as long as another relay of the same store was first. */
  async #take(asks: readonly Ask[]): Promise<void> {
    const lane = asks[0]?.requester ?? this
    for (;;) {
      try {
        if (this.#state.state === 'cold') await this.#fold(lane)
        await this.host.turns.take(workOf(asks), lane)
        if (this.#state.state === 'corrupt') for (const ask of asks) this.#refuseCorrupt(ask)
        else await this.#answer(asks)
        return
      } catch (error) {
        if (!(error instanceof Conflict && (await this.#foldAgain(lane)))) return this.#fail(error, asks, lane)
      }
    }
  }

  async #answer(asks: readonly Ask[]): Promise<void> {
    const [ask] = asks
    // An entry that arrived counts, whoever sent it is gone or not; everything else was for the one who asked.
    if (ask && ask.ask !== 'append' && ask.ask !== 'unfollow' && !ask.requester.isOpen) return
    switch (ask?.ask) {
      case 'append':
        return this.#append(asks.filter(one => one.ask === 'append'))
      case 'follow':
        return this.#follow(ask)
      case 'unfollow':
        this.#shown.delete(ask.requester)
        return this.#audience.leave(ask.requester)
      case 'offer':
        return this.#offer(ask)
      case 'ready':
        return this.#ready(ask)
      case 'receipts':
        return this.#keepReceipts(ask)
      case 'receipts-stored':
        return this.#forgetReceipts(ask)
    }
  }

  /** @param lane on whose behalf @returns whether it could be folded */
  #fold(lane: object): Promise<boolean> {
    this.#folding ??= this.#load(lane).finally(() => {
      this.#folding = null
    })
    return this.#folding
  }

  async #load(lane: object): Promise<boolean> {
    try {
      const folded = await this.host.folds.run(() => FoldedLog.load(this.host, this.log, lane))
      const receipts = await ReceiptBox.load(this.host, this.log)
      this.#state = { state: 'folded', folded, receipts }
      return true
    } catch (error) {
      if (!(error instanceof StoreCorrupt)) throw error
      this.corrupt(error)
      return false
    }
  }

  /** The old fold serves those who read until the new one is there. @returns whether it can go on */
  async #foldAgain(lane: object): Promise<boolean> {
    try {
      if (await this.#fold(lane)) this.#audience.behind()
      return true
    } catch (error) {
      if (error instanceof StoreError) this.host.fatal(error)
      else incident(this.host, error, 'folding')
      return false
    }
  }

  async #fail(error: unknown, asks: readonly Ask[], lane: object): Promise<void> {
    if (error instanceof StoreError) {
      this.host.fatal(error)
      return
    }
    if (error instanceof StoreCorrupt) {
      this.corrupt(error)
      for (const ask of asks) this.#refuseCorrupt(ask)
      return
    }
    const requesters = new Set(asks.map(ask => ask.requester))
    if (error instanceof Refusal) {
      for (const requester of requesters) requester.close(error)
      return
    }
    for (const requester of requesters) requester.fail(error)
    await this.#foldAgain(lane)
  }

  #refuseCorrupt(ask: Ask): void {
    if (ask.ask === 'append') this.#refuseEntry(ask, storeCorrupt())
    else if (ask.ask !== 'unfollow') sendRefusal(ask.requester, this.log, storeCorrupt())
  }

  async #append(asks: readonly AskOf<'append'>[]): Promise<void> {
    const { folded } = this
    const acks = new Map<Requester, EntryId[]>()
    const refused: { ask: AskOf<'append'>; refusal: Refusal }[] = []
    const released: Seq[] = []
    for (const ask of asks) {
      const { requester, asked } = ask
      const claim = this.#audience.claimOf(requester)
      const isInvited = this.#audience.isInvited(requester)
      const judged = await judgeAppend(this.host, folded, ask, { claim, isInvited, allowance: this.#allowance })
      if (judged instanceof Refusal) {
        refused.push({ ask, refusal: judged })
        continue
      }
      acks.set(requester, [...(acks.get(requester) ?? []), asked.entry.id])
      // One by one: a snapshot may release more than a call takes arguments.
      if (judged.taken) for (const seq of judged.released) released.push(seq)
    }
    const entries = await folded.commit(asks[0]?.requester ?? this)
    for (const [requester, ids] of acks) this.#acknowledge(requester, ids)
    for (const { ask, refusal } of refused) this.#refuseEntry(ask, refusal)
    this.#publish(new Batch(folded, entries))
    this.#forget(released)
  }

  /** Who is not served hears no more of the log than it may see. */
  #acknowledge(requester: Requester, ids: EntryId[]): void {
    const { folded } = this
    const { access } = folded.state
    const standing = folded.list && standingBy(folded.list, requester.device, this.#claimOf(requester).proven)
    const isServed =
      standing?.is === 'owner' ||
      (standing?.is === 'member' &&
        !folded.lives.awaitsOwner &&
        (standing.untilMs === null || folded.nowMs() < standing.untilMs))
    const last = standing?.is === 'former' ? [standing.ended] : ids
    const seen = Math.max(-1, ...last.map(id => access.indexOf(id) ?? -1))
    requester.send({ type: 'ack', log: this.log, head: isServed ? folded.head() : folded.headAt(seen), ids })
  }

  #refuseEntry({ requester, asked }: AskOf<'append'>, refusal: Refusal): void {
    this.host.metrics.entriesRefused++
    const { code, retryAfterMs } = refusal
    const { id } = asked.entry
    const wantsTop = code === 'CTR_REUSED' || code === 'CTR_GAP' || code === 'COVERED'
    const top = wantsTop ? topOf(this.folded.state, asked.entry) : null
    const sentence = sentenceOf(refusal)
    requester.send({ type: 'refused', log: this.log, entry: id, code, retryAfterMs, sentence, top })
  }

  /** In the same turn in which it became durable. */
  #publish(batch: Batch): void {
    if (batch.entries.length === 0) return
    this.host.metrics.entriesTaken += batch.entries.length
    this.#audience.publish(batch)
    const { accessHead } = this.folded.tip
    if (!same(accessHead, this.#seatedBy)) this.#audience.reseat()
    this.#seatedBy = accessHead
  }

  /** No author waits for it: what a crash leaves is forgotten when the log is folded next. */
  #forget(released: readonly Seq[]): void {
    if (released.length === 0) return
    this.#forgetting = this.host.store.forget(this.log, released).catch(error => {
      if (error instanceof StoreCorrupt) this.corrupt(error)
      else if (error instanceof StoreError) this.host.fatal(error)
      else incident(this.host, error, 'forgetting')
    })
  }

  async #follow({ requester, follow }: AskOf<'follow'>): Promise<void> {
    this.#audience.leave(requester)
    // A reader from the beginning takes what the store has.
    await this.#forgetting
    const { host, folded } = this
    const max = host.limits.subscriptions
    if (requester.followed.size >= max) {
      const sentence = `follow: one connection follows ${max} logs at most; unfollow some, or open another`
      return sendRefusal(requester, this.log, refuse('LIMIT_SUBSCRIPTIONS', sentence))
    }
    const head = follow.head && ownHead(host.suite, follow.head, host.headKey)
    const shown = head && same(head.log, this.log) ? head : null
    const past = shown ? await pastBy(host, folded, shown) : 'ours'
    if (shown && past === 'lost') {
      await beginLife(host, folded, shown, requester)
      this.#audience.restart()
    }
    const claim = await claimOf(host, folded.list, requester, follow, shown?.accessHead ?? null)
    if (!requester.isOpen) return
    this.#shown.set(requester, claim)
    const { lives, tip } = folded
    const { cursor } = follow
    const isHere = cursor !== null && same(cursor.incarnation, lives.current) && cursor.seq <= tip.seq
    this.#audience.follow(requester, claim, past === 'ours' && isHere ? cursor.seq : 0)
  }

  async #offer({ requester, entries, incarnation: life }: AskOf<'offer'>): Promise<void> {
    const { folded, host } = this
    const by = { ...this.#claimOf(requester), lane: requester }
    const offered = readOffer(this.log, entries)
    const nowMs = folded.nowMs()
    // Every try costs: it is proofs that are to be gone through. A log that exists says no other than one that does not.
    const isIn = hasPart(folded.list, by)
    const hasty = isIn ? null : host.creations.spendNetwork(requester.network, nowMs)
    if (hasty) return sendRefusal(requester, this.log, hasty)
    const unwanted = unwantedIn(folded, life)
    if (isIn && unwanted) return sendRefusal(requester, this.log, unwanted)
    if (!(await mayOffer(host, folded.list, offered, by))) return sendRefusal(requester, this.log, noAccess())
    const taking = await continuing(host, folded.list, offered, by, nowMs)
    // A part that is forged, or comes from a join which nobody vouches for, is none.
    if (!(await mayOffer(host, folded.list, taking, by))) return sendRefusal(requester, this.log, noAccess())
    if (unwanted) return sendRefusal(requester, this.log, unwanted)
    const [create] = folded.list === null ? taking : []
    const tooMany = create ? host.creations.spendAccount(creatorOf(create), nowMs) : null
    if (tooMany) return sendRefusal(requester, this.log, tooMany)
    const released: Seq[] = []
    let full: Refusal | null = null
    for (const { entry, statement } of taking) {
      full = judgeRoom(folded, entry, statement, host.limits)
      if (full) break
      const judged = folded.takeOffered(entry)
      if (judged instanceof Refusal) throw new Error(`an offered entry that was judged does not fold: ${judged.code}`)
      for (const seq of judged) released.push(seq)
    }
    const batch = new Batch(folded, await folded.commit(requester))
    const ids = entries.filter(({ id }) => folded.state.access.has(id)).map(({ id }) => id)
    this.#acknowledge(requester, ids)
    if (full) sendRefusal(requester, this.log, full)
    this.#publish(batch)
    this.#forget(released)
  }

  async #ready({ requester, incarnation: life }: AskOf<'ready'>): Promise<void> {
    const { folded } = this
    const standing = folded.list && standingBy(folded.list, requester.device, this.#claimOf(requester).proven)
    if (standing?.is !== 'owner') return sendRefusal(requester, this.log, noAccess())
    if (!same(life, folded.lives.current)) {
      const sentence = 'ready: it is for another incarnation; follow again'
      return sendRefusal(requester, this.log, refuse('INCARNATION', sentence))
    }
    if (!folded.lives.awaitsOwner) return
    folded.mark(ownerMark(folded.lives.current))
    await folded.commit(requester)
    this.#audience.behind()
  }

  #claimOf(requester: Requester): Claim {
    const { device } = requester
    const claim = this.#audience.claimOf(requester) ?? this.#shown.get(requester)
    return claim ?? { device, invite: null, shown: null, proven: null }
  }

  async #keepReceipts({ requester, receipts }: AskOf<'receipts'>): Promise<void> {
    if (this.#state.state !== 'folded') return
    const kept = await this.#state.receipts.take(requester, receipts, this.#state.folded, this.#allowance)
    if (kept instanceof Refusal) return sendRefusal(requester, this.log, kept)
    requester.send({ type: 'receipts-stored', log: this.log, devices: [requester.device] })
    this.#audience.sendToOwners(kept)
  }

  async #forgetReceipts({ requester, devices }: AskOf<'receipts-stored'>): Promise<void> {
    if (this.#state.state !== 'folded') return
    const refusal = await this.#state.receipts.release(requester, devices, this.#state.folded)
    if (refusal) sendRefusal(requester, this.log, refusal)
  }
}

/** Beside proofs and offers, which are gone through in portions of their own. */
function workOf(asks: readonly Ask[]): number {
  const works = asks.map(one => {
    if (one.ask === 'append') return one.asked.entry.kind === 'access' ? WORK.access : WORK.data
    return one.ask === 'follow' ? WORK.follow : WORK.ask
  })
  return works.reduce((sum, work) => sum + work, 0)
}

/** Why nothing is to be offered to a log for this life of it, or null. */
function unwantedIn({ list, lives }: FoldedLog, life: Incarnation): Refusal | null {
  if (list && !lives.awaitsOwner) return refuse('INCARNATION', 'offer: this log has lost nothing; append to it')
  return same(life, lives.current) ? null : refuse('INCARNATION', 'offer: it is for another incarnation')
}

/** Said to everyone: who has a part in it, nobody can tell any more. */
function storeCorrupt(): Refusal {
  return refuse('STORE_CORRUPT', 'this log is damaged at its relay: ask its operator to restore it')
}
