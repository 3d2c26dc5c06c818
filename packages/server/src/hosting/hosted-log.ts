/**
 * One log in use. What is asked of it is answered one after the other, in the order in which it came: appends are judged
 * together, written in one go, and acknowledged and forwarded once they are durable.
 *
 *   cold → folded ⇄ (folding anew after a conflict or a bug)      folded → corrupt
 *
 * A batch ends with the first access entry in it. So a removal is the last thing that those see whom it puts out.
 */
import {
  type DeviceId,
  type Entry,
  type EntryId,
  type Follow,
  type Head,
  hex,
  type Incarnation,
  incarnation,
  type LogId,
  limits,
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
import { type Asked, contradiction, judgeAppend, rightTo } from './appending.ts'
import { Audience, type Stage, sendRefusal, sentenceOf } from './audience.ts'
import { FoldedLog } from './folded-log.ts'
import { type Host, incident, type Requester } from './host.ts'
import { beginMark, ownerMark } from './lives.ts'
import { continuing } from './offering.ts'
import { Batch } from './reading.ts'
import { ReceiptBox } from './receipts.ts'
import { claimOf, noAccess, standingBy } from './seat.ts'

/** What a session asks of a log. `bytes` is what it holds in memory until it is answered. */
export type Ask = { readonly requester: Requester; readonly bytes: number } & (
  | { readonly ask: 'follow'; readonly follow: Follow }
  | { readonly ask: 'unfollow' }
  | { readonly ask: 'append'; readonly asked: Asked }
  | { readonly ask: 'offer'; readonly entries: readonly Entry[]; readonly incarnation: Incarnation }
  | { readonly ask: 'ready'; readonly incarnation: Incarnation }
  | { readonly ask: 'receipts'; readonly receipts: readonly Receipt[] }
  | { readonly ask: 'receipts-stored'; readonly devices: readonly DeviceId[] }
)

type AskOf<Name extends Ask['ask']> = Ask & { readonly ask: Name }

type State =
  | { readonly state: 'cold' }
  | { readonly state: 'folded'; readonly folded: FoldedLog; readonly receipts: ReceiptBox }
  | { readonly state: 'corrupt' }

/** Signatures that are checked before the event loop turns again: some 10 ms. */
const BATCH_ENTRIES_MAX = 64

export class HostedLog implements Stage {
  readonly host: Host
  readonly log: LogId
  readonly #audience = new Audience(this)
  readonly #allowance: Allowance
  readonly #onIdle: (log: HostedLog) => void
  readonly #queue: Ask[] = []
  #state: State = { state: 'cold' }
  #working: Promise<void> | null = null
  #folding: Promise<boolean> | null = null
  #forgetting: Promise<void> = Promise.resolve()
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

  /** The access list as it stands durably; null when there is none. Only for a log that nobody writes to in between. */
  async peek(): Promise<FoldedLog | null> {
    if (this.#state.state === 'cold' && this.#working === null) await this.#fold()
    return this.#state.state === 'folded' ? this.#state.folded : null
  }

  tick(nowMs: number): void {
    if (this.#state.state === 'folded') this.#audience.tick(nowMs)
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
    while (this.#queue.length > 0) {
      const asks = this.#next()
      try {
        if (this.#state.state === 'cold') await this.#fold()
        if (this.#state.state === 'corrupt') for (const ask of asks) this.#refuseCorrupt(ask)
        else await this.#answer(asks)
      } catch (error) {
        if (error instanceof Conflict && (await this.#foldAgain())) {
          this.#queue.unshift(...asks)
          continue
        }
        await this.#fail(error, asks)
      }
      for (const { requester, bytes } of asks) requester.settle(bytes)
    }
    this.#working = null
    this.empty()
  }

  /** The next ask, or the appends that stand together. */
  #next(): Ask[] {
    let bytes = 0
    let count = 0
    for (const ask of this.#queue) {
      if (ask.ask !== 'append') break
      bytes += ask.asked.entry.bytes.length
      if (count > 0 && (count >= BATCH_ENTRIES_MAX || bytes > limits.FRAME_BYTES_WANTED)) break
      count++
      if (ask.asked.entry.kind === 'access') break
    }
    return this.#queue.splice(0, Math.max(1, count))
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

  /** @returns whether it could be folded */
  #fold(): Promise<boolean> {
    this.#folding ??= this.#load().finally(() => {
      this.#folding = null
    })
    return this.#folding
  }

  async #load(): Promise<boolean> {
    try {
      const folded = await this.host.slots.run(() => FoldedLog.load(this.host, this.log))
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
  async #foldAgain(): Promise<boolean> {
    try {
      if (await this.#fold()) this.#audience.behind()
      return true
    } catch (error) {
      if (error instanceof StoreError) this.host.fatal(error)
      else incident(this.host, error, 'folding')
      return false
    }
  }

  async #fail(error: unknown, asks: readonly Ask[]): Promise<void> {
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
    await this.#foldAgain()
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
      const shown = { claim: this.#audience.claimOf(requester), isInvited: this.#audience.isInvited(requester) }
      const right = rightTo(folded, asked, shown)
      const mayAsk = right.is === 'open' || right.is === 'create'
      const contradicted = mayAsk ? await contradiction(this.host, folded.list, asked) : null
      const judged = contradicted ?? judgeAppend(folded, asked, right, this.#allowance)
      if (judged instanceof Refusal) {
        refused.push({ ask, refusal: judged })
        continue
      }
      acks.set(requester, [...(acks.get(requester) ?? []), asked.entry.id])
      if (judged.taken) released.push(...judged.released)
    }
    const entries = await folded.commit()
    const head = folded.head()
    for (const [requester, ids] of acks) requester.send({ type: 'ack', log: this.log, head, ids })
    for (const { ask, refusal } of refused) this.#refuseEntry(ask, refusal)
    this.#publish(new Batch(folded, entries))
    this.#forget(released)
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
    if (!requester.isOpen) return
    this.#audience.leave(requester)
    // A reader from the beginning takes what the store has.
    await this.#forgetting
    const max = this.host.limits.subscriptions
    if (requester.followed.size >= max) {
      const sentence = `follow: one connection follows ${max} logs at most; unfollow some, or open another`
      return sendRefusal(requester, this.log, refuse('LIMIT_SUBSCRIPTIONS', sentence))
    }
    const head = follow.head && ownHead(this.host.suite, follow.head, this.host.headKey)
    const shown = head && same(head.log, this.log) ? head : null
    const isKnown = shown ? await this.#compare(shown) : true
    if (!requester.isOpen) return
    const { device, nonces } = requester
    const claim = claimOf(this.host.suite, this.folded.list, {
      log: this.log,
      device,
      nonces,
      follow,
      wasServed: shown !== null
    })
    const { lives, tip } = this.folded
    const cursor = follow.cursor
    const isHere = cursor !== null && same(cursor.incarnation, lives.current) && cursor.seq <= tip.seq
    this.#audience.follow(requester, claim, isKnown && isHere ? cursor.seq : 0, follow.accountProof)
  }

  /**
   * Compares our own word with what we have, and begins a new life of the log when part of it is lost.
   * @returns whether the reader's past is ours, as far as we can tell
   */
  async #compare(head: Head): Promise<boolean> {
    const { lives, tip } = this.folded
    const running = same(head.incarnation, lives.current) ? await this.#runningHashAt(head.seq) : null
    const isLost = same(head.incarnation, lives.current)
      ? head.seq > tip.seq || (running !== null && !same(running, head.runningHash))
      : !lives.knows(head.incarnation)
    if (isLost) {
      this.folded.mark(beginMark(incarnation(this.host.dice(16)), head.incarnation))
      await this.folded.commit()
      this.host.metrics.incarnations++
      this.host.logger.warn({ log: short(this.log), seq: head.seq, have: tip.seq }, 'a log has lost part of itself')
      this.#audience.restart()
    }
    return !isLost && running !== null
  }

  /** Null when the record at that seq is forgotten, or was never there. */
  async #runningHashAt(seq: Seq): Promise<Uint8Array | null> {
    const recent = this.folded.runningHashAt(seq)
    if (recent || seq > this.folded.tip.seq) return recent
    for await (const record of this.host.store.read(this.log, seq - 1)) {
      return record.seq === seq ? record.runningHash : null
    }
    return null
  }

  async #offer({ requester, entries, incarnation: life }: AskOf<'offer'>): Promise<void> {
    const { folded, host } = this
    const offered = continuing(host.suite, this.log, folded.list, entries, folded.nowMs())
    const proven = this.#audience.claimOf(requester)?.provenAccount ?? null
    const standings = [folded.list, offered.list].map(list => list && standingBy(list, requester.device, proven).is)
    if (!standings.some(is => is === 'owner' || is === 'member')) return sendRefusal(requester, this.log, noAccess())
    const wants = folded.list === null || folded.lives.awaitsOwner
    if (!wants || !same(life, folded.lives.current)) {
      const sentence = wants ? 'offer: it is for another incarnation' : 'offer: this log has lost nothing; append to it'
      return sendRefusal(requester, this.log, refuse('INCARNATION', sentence))
    }
    const released: Seq[] = []
    for (const entry of offered.taken) {
      const taken = folded.takeOffered(entry)
      if (taken instanceof Refusal) throw new Error(`an offered entry that was judged does not fold: ${taken.code}`)
      released.push(...taken)
    }
    const batch = new Batch(folded, await folded.commit())
    const ids = entries.filter(({ id }) => folded.state.access.has(id)).map(({ id }) => id)
    requester.send({ type: 'ack', log: this.log, head: folded.head(), ids })
    this.#publish(batch)
    this.#forget(released)
  }

  async #ready({ requester, incarnation: life }: AskOf<'ready'>): Promise<void> {
    const { folded } = this
    const proven = this.#audience.claimOf(requester)?.provenAccount ?? null
    const standing = folded.list && standingBy(folded.list, requester.device, proven)
    if (standing?.is !== 'owner') return sendRefusal(requester, this.log, noAccess())
    if (!same(life, folded.lives.current)) {
      return sendRefusal(
        requester,
        this.log,
        refuse('INCARNATION', 'ready: it is for another incarnation; follow again')
      )
    }
    if (!folded.lives.awaitsOwner) return
    folded.mark(ownerMark(folded.lives.current))
    await folded.commit()
    this.#audience.behind()
  }

  async #keepReceipts({ requester, receipts }: AskOf<'receipts'>): Promise<void> {
    if (this.#state.state !== 'folded') return
    const { folded, receipts: box } = this.#state
    const standing = folded.list && standingBy(folded.list, requester.device, null)
    if (standing?.is !== 'former') return sendRefusal(requester, this.log, noAccess())
    for (const receipt of receipts) {
      const refusal = await box.keep(receipt, requester.device, folded.state.access)
      if (refusal) return sendRefusal(requester, this.log, refusal)
    }
    requester.send({ type: 'receipts-stored', log: this.log, devices: [requester.device] })
    const device = hex(requester.device)
    this.#audience.sendToOwners(box.waiting.filter(receipt => hex(receipt.device) === device))
  }

  async #forgetReceipts({ requester, devices }: AskOf<'receipts-stored'>): Promise<void> {
    if (this.#state.state !== 'folded') return
    const { folded, receipts } = this.#state
    const standing = folded.list && standingBy(folded.list, requester.device, null)
    if (standing?.is !== 'owner') return sendRefusal(requester, this.log, noAccess())
    await receipts.forget(devices)
  }
}

function storeCorrupt(): Refusal {
  return refuse('STORE_CORRUPT', 'this log is damaged at its relay: ask its operator to restore it')
}
