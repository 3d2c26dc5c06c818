/**
 * One reader of a log that may have its content. Its queue is its cursor: what is not sent yet is in the store, so a slow
 * reader costs nothing but its place.
 *
 *   access → share-doc → rest → tail → live       (live → tail when its socket is full; any → ended)
 *
 * `access`, `share-doc` (from the beginning only) and `rest` bring what stood in the log when it came, up to `boundary`;
 * `tail` everything after that, in order; `live` takes each batch as it becomes durable. The cursor that the reader may
 * persist stays where it was until everything below it has been sent.
 */
import { KINDS, type LogId, SHARE_DOCUMENT, same } from '@lend/engine'
import { type Seq, StoreCorrupt, type Stored } from '../store/log-store.ts'
import { type FoldedLog, readSeqs } from './folded-log.ts'
import type { Host, Requester } from './host.ts'
import { isMark } from './lives.ts'
import { type Batch, firstAfter, Page, type Reading } from './reading.ts'
import { WORK } from './turns.ts'

/** Records that are read in one portion. */
const PORTION = 64
/** Entries of `share.doc` that are looked up at once. */
const SEQS_AT_ONCE = 1024
/** Where an entry names its document. Source: docs/PROTOCOL.md, Entry. */
const DOCUMENT_AT = 1 + 1 + 2 + 32 + 32

/** What a reader needs of its log. */
export interface Source {
  readonly host: Host
  readonly log: LogId
  readonly folded: FoldedLog
  corrupt(error: StoreCorrupt): void
}

type Stage =
  | { readonly stage: 'access'; next: number }
  | { readonly stage: 'share-doc'; after: Seq }
  | { readonly stage: 'rest'; after: Seq }
  | { readonly stage: 'tail' }
  | { readonly stage: 'live' }
  | { readonly stage: 'ended' }

export class Reader implements Reading {
  readonly #source: Source
  readonly #requester: Requester
  readonly #from: Seq
  readonly #boundary: Seq
  #cursor: Seq
  /** The cursor that the reader was told last. */
  #told: Seq
  /** All access entries up to here were sent. */
  #accessSeq: Seq
  #stage: Stage
  #pumping = false

  constructor(source: Source, requester: Requester, from: Seq) {
    const { state, tip } = source.folded
    this.#source = source
    this.#requester = requester
    this.#from = from
    this.#boundary = tip.seq
    this.#cursor = from
    this.#told = from
    this.#accessSeq = from
    this.#stage =
      from === tip.seq ? { stage: 'live' } : { stage: 'access', next: firstAfter(state.access.records, from) }
  }

  /** Sends what it can now and goes on by itself. */
  drained(): void {
    if (this.#pumping || !this.#runs()) return
    this.#pumping = true
    const { host } = this.#source
    void host.slots
      .run(() => this.#pump())
      .catch(error => {
        if (error instanceof StoreCorrupt) this.#source.corrupt(error)
        else this.#requester.fail(error)
      })
      .finally(() => {
        this.#pumping = false
        // It may have drained, or been sent back, while the pump was on its way out.
        if (this.#runs()) this.drained()
      })
  }

  publish(batch: Batch): void {
    if (this.#stage.stage !== 'live') return
    if (this.#requester.isBlocked) {
      this.#stage = { stage: 'tail' }
      return
    }
    for (const frame of batch.frames()) {
      this.#requester.sendShared(frame)
      this.#source.host.metrics.deliveries++
    }
    this.#cursor = batch.upTo
    this.#accessSeq = batch.upTo
    if (batch.entries.length > 0) this.#told = batch.upTo
  }

  /** The log was folded anew and may have grown. */
  behind(): void {
    if (this.#stage.stage === 'live') this.#stage = { stage: 'tail' }
    this.drained()
  }

  /** Sends the access entries that it has not had, up to the one that put it out, and nothing else. */
  finish(last: Seq): void {
    const records = this.#source.folded.state.access.records
    const page = new Page()
    for (const { seq, timeMs, entry } of records.slice(firstAfter(records, this.#accessSeq))) {
      if (seq > last) break
      const placed = { seq, timeMs, bytes: entry.bytes }
      if (!page.fits(placed)) this.#send(page, this.#told)
      page.add(placed)
    }
    if (page.entries.length > 0) this.#send(page, this.#told)
    this.end()
  }

  end(): void {
    this.#stage = { stage: 'ended' }
  }

  #runs(): boolean {
    const { stage } = this.#stage
    return stage !== 'live' && stage !== 'ended' && this.#requester.isOpen && !this.#requester.isBlocked
  }

  async #pump(): Promise<void> {
    while (this.#runs()) {
      const stage = this.#stage
      if (stage.stage === 'access') await this.#sendAccess(stage)
      else if (stage.stage === 'share-doc') await this.#sendShareDocument(stage)
      else if (stage.stage === 'rest') await this.#sendRest(stage)
      else if (stage.stage === 'tail') await this.#sendTail(stage)
    }
  }

  async #sendAccess(stage: Stage & { stage: 'access' }): Promise<void> {
    await this.#source.host.turns.take(WORK.page, this.#requester)
    if (this.#stage !== stage) return
    const { records } = this.#source.folded.state.access
    const page = new Page()
    for (let record = records[stage.next]; record && record.seq <= this.#boundary; record = records[++stage.next]) {
      const placed = { seq: record.seq, timeMs: record.timeMs, bytes: record.entry.bytes }
      if (!page.fits(placed)) {
        this.#send(page, this.#from)
        return
      }
      page.add(placed)
      this.#accessSeq = record.seq
    }
    if (page.entries.length > 0) this.#send(page, this.#from)
    this.#accessSeq = this.#boundary
    this.#stage = this.#from === 0 ? { stage: 'share-doc', after: 0 } : { stage: 'rest', after: this.#from }
  }

  async #sendShareDocument(stage: Stage & { stage: 'share-doc' }): Promise<void> {
    const { host, log, folded } = this.#source
    const page = new Page()
    const seqs = folded.shareDocumentAfter(stage.after, SEQS_AT_ONCE).filter(seq => seq <= this.#boundary)
    for await (const record of this.#inTurns(readSeqs(host.store, log, seqs))) {
      if (this.#stage !== stage) return
      if (!page.fits(record)) {
        this.#send(page, this.#from)
        if (!this.#runs()) return
      }
      page.add(record)
      stage.after = record.seq
    }
    if (this.#stage !== stage) return
    if (page.entries.length > 0) this.#send(page, this.#from)
    const last = seqs.at(-1)
    if (last === undefined) this.#stage = { stage: 'rest', after: this.#from }
    else stage.after = last
  }

  async #sendRest(stage: Stage & { stage: 'rest' }): Promise<void> {
    const page = new Page()
    for await (const record of this.#read(stage.after)) {
      if (this.#stage !== stage) return
      if (record.seq > this.#boundary) break
      if (!isMark(record.bytes) && !this.#wasSent(record)) {
        if (!page.fits(record)) {
          this.#send(page, stage.after)
          if (!this.#runs()) return
        }
        page.add(record)
      }
      stage.after = record.seq
    }
    if (this.#stage !== stage) return
    if (page.entries.length > 0) this.#send(page, this.#boundary)
    this.#cursor = this.#boundary
    this.#stage = { stage: 'tail' }
  }

  async #sendTail(stage: Stage & { stage: 'tail' }): Promise<void> {
    const page = new Page()
    const { tip } = this.#source.folded
    if (this.#cursor < tip.seq) {
      for await (const record of this.#read(this.#cursor)) {
        if (this.#stage !== stage) return
        // What is not published yet comes when it is.
        if (record.seq > tip.seq) break
        if (!isMark(record.bytes)) {
          if (!page.fits(record)) {
            this.#send(page, this.#cursor)
            if (!this.#runs()) return
          }
          page.add(record)
        }
        this.#cursor = record.seq
      }
      if (this.#stage !== stage) return
      this.#cursor = tip.seq
    }
    if (page.entries.length > 0 || this.#told < this.#cursor) this.#send(page, this.#cursor)
    // No await since the last look at the tip, so nothing is lost or doubled on the way to live.
    if (this.#cursor >= this.#source.folded.tip.seq) this.#stage = { stage: 'live' }
  }

  /** What `rest` passes over: it came before. */
  #wasSent({ bytes }: Stored): boolean {
    if (bytes[1] === KINDS.access) return true
    return this.#from === 0 && same(bytes.subarray(DOCUMENT_AT, DOCUMENT_AT + 16), SHARE_DOCUMENT)
  }

  #read(after: Seq): AsyncIterable<Stored> {
    const { host, log } = this.#source
    return this.#inTurns(host.store.read(log, after))
  }

  async *#inTurns(records: AsyncIterable<Stored>): AsyncIterable<Stored> {
    let read = 0
    for await (const record of records) {
      if (read++ % PORTION === 0) await this.#source.host.turns.take(PORTION * WORK.read, this.#requester)
      yield record
    }
  }

  /** Sends a page and empties it. */
  #send(page: Page, upTo: Seq): void {
    const { host, log, folded } = this.#source
    const { entries } = page
    this.#requester.send({
      type: 'entries',
      log,
      incarnation: folded.lives.current,
      upTo,
      head: folded.head(),
      entries
    })
    this.#told = upTo
    this.#accessSeq = Math.max(this.#accessSeq, upTo)
    host.metrics.deliveries++
    page.clear()
  }
}
