/** A share that is mine: who may read it, by which invites, until when. Implements `Share` of types.ts. */
import {
  encodeLink,
  hex,
  inviteId,
  inviteKeys,
  invitesVoidedBy,
  LendError,
  limits,
  type Preview,
  type Receipt,
  Refusal,
  type ShareList,
  verifyReceipt,
  Writer
} from '@lend/engine'
import type { ReplicaDocument } from '../log/document.ts'
import { decideIntent, decideRotation, type Intent, Intents } from '../log/intents.ts'
import { KEYS, put } from '../log/records.ts'
import type { Replica } from '../log/replica.ts'
import { OpenShare, type OpenShareOptions, SHARE_ROOT } from './open-share.ts'
import type { Invite, InviteOptions, Member, Share } from './types.ts'
import { type InviteNote, inviteViews, memberViews, type ViewContext } from './views.ts'

/** What the account keeps for this share, outside of the share. */
export interface OwnerDesk {
  readonly relayUrl: string
  readonly ownerName: () => string
  notes(): ReadonlyMap<string, InviteNote>
  keepNote(invite: string, note: InviteNote): Promise<void>
}

const LINK_PREFIX = 'lend://invite'
const RETRY_MS = 5_000
const TIMER_MS_MAX = 60 * 60 * 1000

export class OwnedShare extends OpenShare implements Share {
  readonly #intents: Intents
  readonly #desk: OwnerDesk
  /** Device hex → hex of the access entry on which it has deleted its replica. */
  readonly #receipts = new Map<string, string>()
  #members: readonly Member[] = []
  #invites: readonly Invite[] = []
  #working = false
  #stopTimer: (() => void) | null = null
  #stopRetry: (() => void) | null = null

  private constructor(o: OpenShareOptions, replica: Replica, document: ReplicaDocument, desk: OwnerDesk) {
    super(o, replica, document)
    this.#intents = new Intents(replica)
    this.#desk = desk
    this.sync.holdData = () => this.#intents.first !== null
  }

  static async open(
    o: OpenShareOptions,
    desk: OwnerDesk,
    first?: (replica: Replica) => Promise<void>
  ): Promise<OwnedShare> {
    let share: OwnedShare | null = null
    const { replica, document } = await OpenShare.parts(o, {
      edited: () => share?.sync.edited(),
      refused: error => share?.refused(error)
    })
    await first?.(replica)
    share = new OwnedShare(o, replica, document, desk)
    await share.#intents.load()
    for await (const { key, value } of replica.store.range('receipt/')) {
      share.#receipts.set(key.slice('receipt/'.length), hex(value.subarray(0, 32)))
    }
    share.#view()
    await share.begin()
    return share
  }

  get members(): readonly Member[] {
    return this.#members
  }

  get invites(): readonly Invite[] {
    return this.#invites
  }

  get leaseMs(): number | null {
    return this.#list.leaseMs
  }

  async rename(title: string): Promise<void> {
    checkText('title', title, limits.TITLE_BYTES_MAX)
    this.#open()
    this.shareDocument.doc.getMap(SHARE_ROOT).set('title', title)
    await this.sync.saved()
  }

  async invite(o: InviteOptions = {}): Promise<Invite> {
    this.#open()
    const nowMs = this.replica.world.now()
    const uses = o.uses ?? 1
    const expiresMs = o.expires?.getTime() ?? nowMs + limits.INVITE_MS_DEFAULT
    const untilMs = o.until?.getTime() ?? null
    if (!Number.isInteger(uses) || uses < 1 || uses > limits.INVITE_USES_MAX) {
      throw badField(`uses is ${uses}, want 1 to ${limits.INVITE_USES_MAX}`)
    }
    if (!(expiresMs > nowMs)) throw badField('expires is not in the future')
    if (untilMs !== null && !(untilMs > nowMs)) throw badField('until is not in the future')
    if (o.name !== undefined) checkText('name', o.name, limits.NAME_BYTES_MAX)
    const secret = this.replica.world.dice(32)
    const id = hex(inviteKeys(this.replica.suite, secret).id)
    await this.#desk.keepNote(id, { name: o.name ?? null, secret })
    await this.#want({ type: 'invite', secret, uses, expiresMs, untilMs, bound: o.for ?? null })
    const invite = this.#invites.find(view => view.id === id)
    if (!invite) throw new LendError('LIMIT_INVITES', 'the relay refused the invite')
    return invite
  }

  async remove(who: Member): Promise<{ voided: readonly Invite[] }> {
    this.#open()
    const member = this.#list.members.get(hex(who.account))
    if (!member) return { voided: [] }
    const dead = new Set(invitesVoidedBy(this.#list, [member.account]).map(invite => hex(invite.id)))
    await this.#want({ type: 'remove', account: member.account, reason: 'removed' })
    return { voided: this.#invites.filter(invite => dead.has(invite.id)) }
  }

  async limit(who: Member, until: Date | null): Promise<void> {
    this.#open()
    const untilMs = until?.getTime() ?? null
    if (untilMs !== null && !(untilMs > 0)) throw badField('until is not a date')
    if (this.#list.members.has(hex(who.account))) await this.#want({ type: 'until', account: who.account, untilMs })
  }

  async stop(): Promise<void> {
    this.assertUsable()
    if (this.#list.stopped) return
    await this.#want({ type: 'stop' })
  }

  override async close(): Promise<void> {
    await super.close()
    this.#stopTimer?.()
    this.#stopRetry?.()
  }

  // --- what sync says ---

  async listSettled(): Promise<void> {
    this.#view()
    this.#watchUntil()
    void this.#work()
  }

  /** The relay lost some of the list: what had been decided is decided again. An owner device never goes back. */
  async listRetold(before: ShareList, now: ShareList): Promise<void> {
    const again: Intent[] = []
    for (const [key, member] of now.members) {
      const former = before.former.get(key)
      if (former && hex(former.entry) === hex(member.entry)) {
        again.push({ type: 'remove', account: member.account, reason: 'removed' })
      }
    }
    for (const [key, invite] of now.invites) {
      const known = before.invites.get(key)
      if (known && known.state !== 'open' && invite.state === 'open') {
        again.push({ type: 'void', invite: inviteId(invite.id) })
      }
    }
    if (before.stopped && !now.stopped) again.push({ type: 'stop' })
    // In one batch with the list that lacks them: cut off in between, nobody would know any more.
    await this.#intents.add(...again)
  }

  async receipts(receipts: readonly Receipt[]): Promise<void> {
    const stored: Receipt['device'][] = []
    for (const receipt of receipts) {
      if (!verifyReceipt(this.replica.suite, this.id, receipt)) continue
      this.#receipts.set(hex(receipt.device), hex(receipt.accessHead))
      const record = new Writer().bytes(receipt.accessHead).u53(receipt.timeMs).finish()
      this.replica.change(put(KEYS.receipt(hex(receipt.device)), record))
      stored.push(receipt.device)
    }
    await this.replica.commit({ durable: true })
    this.sync.send({ type: 'receipts-stored', log: this.id, devices: stored })
    this.#view()
  }

  heard(): void {}

  override changed(): void {
    super.changed()
    void this.#work()
  }

  protected override get outlives(): boolean {
    return true
  }

  protected get waits(): boolean {
    return this.#intents.first !== null || (this.#list.rotationDue && !this.#list.stopped)
  }

  protected override get standing() {
    const base = super.standing
    return { ...base, unsent: base.unsent + this.#intents.all.length, ended: this.#ended }
  }

  get #ended(): 'stopped' | null {
    return this.replica.list?.stopped ? 'stopped' : null
  }

  get #list(): ShareList {
    const { list } = this.replica
    if (!list) throw new Error('an owned share without its list')
    return list
  }

  #open(): void {
    this.assertUsable()
    if (this.#list.stopped) throw new LendError('STOPPED', 'this share was stopped; share again to go on')
  }

  /** Keeps a wish and lets it be carried out; resolves when it is saved here. */
  async #want(intent: Intent): Promise<void> {
    await this.#intents.add(intent)
    this.#view()
    this.changed()
  }

  /** Carries out what is wanted of the list, one statement at a time. */
  async #work(): Promise<void> {
    if (this.#working || this.#stopRetry || this.sync.link.state !== 'live' || !this.waits) return
    this.#working = true
    try {
      while (this.sync.link.state === 'live' && this.waits) {
        const next = this.#intents.first
        try {
          await this.sync.write(list =>
            next
              ? decideIntent(this.replica.suite, this.replica, next.intent, list, this.#preview)
              : decideRotation(this.replica.suite, this.replica, list)
          )
        } catch (error) {
          if (error instanceof LendError && error.code === 'CLOSED') return
          this.emit('refused', refusedIntent(error))
          if (!next || !isFinal(error, next.intent)) {
            this.#workLater(error)
            break
          }
        }
        if (next) await this.#intents.done(next.n)
        this.#view()
      }
    } catch (error) {
      this.failed(refusedIntent(error))
    } finally {
      this.#working = false
    }
    super.changed()
    this.sync.pump()
  }

  /** The relay did not take it now, for a reason that may pass. What is wanted stays wanted. */
  #workLater(error: unknown): void {
    const waitMs = (error instanceof Refusal && error.retryAfterMs) || RETRY_MS
    this.#stopRetry = this.replica.world.timer(waitMs, () => {
      this.#stopRetry = null
      void this.#work()
    })
  }

  /** Takes out whose time has come; the relay has stopped serving them by itself. */
  #watchUntil(): void {
    this.#stopTimer?.()
    const nowMs = this.replica.world.now()
    let nextMs = Number.POSITIVE_INFINITY
    for (const member of this.#list.members.values()) {
      if (member.untilMs === null) continue
      const wanted = this.#intents.all.some(
        ({ intent: i }) => i.type === 'remove' && hex(i.account) === hex(member.account)
      )
      if (member.untilMs > nowMs) nextMs = Math.min(nextMs, member.untilMs)
      else if (!wanted) {
        this.#want({ type: 'remove', account: member.account, reason: 'expired' }).catch(error =>
          this.failed(refusedIntent(error))
        )
      }
    }
    for (const { state, expiresMs } of this.#list.invites.values()) {
      if (state === 'open' && expiresMs > nowMs) nextMs = Math.min(nextMs, expiresMs)
    }
    if (nextMs === Number.POSITIVE_INFINITY || this.isClosed) return
    this.#stopTimer = this.replica.world.timer(Math.min(nextMs - nowMs, TIMER_MS_MAX), () => {
      this.#view()
      this.#watchUntil()
    })
  }

  #view(): void {
    const { list } = this.replica
    if (!list) return
    const context: ViewContext = {
      suite: this.replica.suite,
      replica: this.replica,
      list,
      intents: this.#intents.all,
      notes: this.#desk.notes(),
      receipts: this.#receipts,
      linkOf: secret => this.#link(list, secret),
      voidInvite: id => this.#want({ type: 'void', invite: id }),
      nowMs: this.replica.world.now()
    }
    this.#members = memberViews(context)
    this.#invites = inviteViews(context, this.#members)
    this.emit('change', undefined)
  }

  #link(list: ShareList, secret: Uint8Array): string {
    const { relayUrl } = this.#desk
    return `${LINK_PREFIX}#${encodeLink({ kind: 'share', relayUrl, relayKey: list.relayKey, log: list.log, secret })}`
  }

  get #preview(): Preview {
    return { owner: this.#desk.ownerName(), title: this.title, items: {}, presence: false }
  }
}

export function checkText(what: string, text: string, bytesMax: number): void {
  const bytes = new TextEncoder().encode(text).length
  if (bytes > bytesMax)
    throw new LendError('BAD_FIELD', `${what} has ${bytes} bytes, at most ${bytesMax}`, { limit: bytesMax })
}

export function badField(why: string): LendError {
  return new LendError('BAD_FIELD', why, { retry: 'after-change' })
}

/** Whether asking again can't help. A removal or a stop is never given up on a relay's word. */
function isFinal(error: unknown, intent: Intent): boolean {
  if (intent.type === 'remove' || intent.type === 'stop' || !(error instanceof Refusal)) return false
  return error.retry === 'no' || error.code === 'LIMIT_INVITES'
}

/** What the relay said to a statement, in the words of errors.ts. */
function refusedIntent(error: unknown): LendError {
  if (error instanceof LendError) return error
  if (error instanceof Refusal) {
    if (error.code === 'LIMIT_INVITES' || error.code === 'LIMIT_MEMBERS')
      return new LendError(error.code, error.message)
    return new LendError('ACCOUNT_STALE', `the relay refused: ${error.message}`, { cause: error })
  }
  return new LendError('ACCOUNT_STALE', 'a statement could not be written', { cause: error })
}
