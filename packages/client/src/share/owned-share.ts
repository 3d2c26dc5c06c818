/** A share that is mine: who may read it, by which invites, until when. Implements `Share` of types.ts. */
import {
  type DeviceId,
  encodeLink,
  hex,
  inviteId,
  inviteKeys,
  LendError,
  limits,
  type Preview,
  type Receipt,
  type ShareList,
  type Statement,
  same,
  standingOf
} from '@lend/engine'
import type * as Y from 'yjs'
import type { InviteNote, KeptReceipt } from '../library/library-index.ts'
import { accessEntry } from '../log/author.ts'
import type { ReplicaDocument } from '../log/document.ts'
import { decideIntent, decideRotation, type Intent, Intents } from '../log/intents.ts'
import type { Replica } from '../log/replica.ts'
import { refusedIntent, Wishes } from '../log/wishes.ts'
import { historyOf } from './history.ts'
import { idOf, notShared, OpenShare, type OpenShareOptions, SHARE_ROOT } from './open-share.ts'
import { Receipts } from './receipts.ts'
import { References } from './references.ts'
import { Selecting, type SelectionLibrary } from './selecting.ts'
import type { HistoryEvent, Invite, InviteOptions, Item, ItemId, Member, Missing, Refers, Share } from './types.ts'
import { inviteViews, memberViews, type ViewContext } from './views.ts'

/** What the account keeps for this share, outside of the share. */
export interface OwnerDesk {
  readonly relayUrl: string
  /** Null until the relay was reached once. */
  relayKey(): Uint8Array | null
  readonly leaseMs: number | null
  readonly ownerName: () => string
  /** What a device of the owner is, or was, called; null when it is none. */
  readonly deviceName: (device: DeviceId) => string | null
  notes(): ReadonlyMap<string, InviteNote>
  keepNote(invite: string, note: InviteNote): Promise<void>
  /** Device hex → what it said when it had deleted its replica. */
  receipts(): ReadonlyMap<string, KeptReceipt>
  /** Resolves when they are saved, for every device of the owner. */
  keepReceipts(receipts: ReadonlyMap<string, KeptReceipt>): Promise<void>
  readonly library: SelectionLibrary
  /** Null when the app says nothing of what items refer to. */
  readonly refers: Refers | null
  /** Trouble that is no share's. */
  tell(error: LendError): void
  /** The one live document of an item of the library. */
  openItem(item: Item): Promise<Y.Doc>
}

const LINK_PREFIX = 'lend://invite'
const TIMER_MS_MAX = 60 * 60 * 1000

export class OwnedShare extends OpenShare implements Share {
  readonly #due: OpenShareOptions['due']
  readonly #intents: Intents
  readonly #wishes: Wishes<ShareList>
  readonly #desk: OwnerDesk
  readonly #selecting: Selecting
  readonly #references: References | null
  readonly #receipts = new Receipts()
  #members: readonly Member[] = []
  #invites: readonly Invite[] = []
  /** What the account noted, as it was when they were made. */
  #viewedNotes = ''
  #stopTimer: (() => void) | null = null
  /** Number of an intent → when this process first saw it. */
  readonly #wantedMs = new Map<number, number>()

  private constructor(o: OpenShareOptions, replica: Replica, document: ReplicaDocument, desk: OwnerDesk) {
    super(o, replica, document)
    this.#due = o.due
    this.#intents = new Intents(replica)
    this.#desk = desk
    this.#wishes = new Wishes({
      replica,
      sync: this.sync,
      intents: this.#intents,
      decide: {
        due: list => (list.stopped ? null : o.due(list)),
        intent: (intent, list) => decideIntent(replica.suite, replica, intent, list, this.#preview),
        rotation: list => decideRotation(replica.suite, replica, list)
      },
      listener: {
        carriedOut: () => {
          this.#view()
          super.changed()
          void this.#selecting.work()
        },
        refused: error => this.refused(error),
        failed: error => this.failed(error)
      }
    })
    this.sync.holdData = () => this.#wishes.holdData
    this.#selecting = new Selecting({
      log: this.id,
      library: desk.library,
      replica,
      sync: this.sync,
      manifest: run => this.shareDocument.within(run),
      listener: {
        listed: () => this.emit('change', undefined),
        unselected: item => this.emit('unselected', item),
        changed: () => this.changed(),
        waitedFor: () => super.changed(),
        refused: error => this.refused(error)
      }
    })
    const { library, refers } = desk
    this.#references =
      refers &&
      new References({
        log: this.id,
        library,
        refers,
        items: () => this.items,
        listener: { changed: () => this.emit('change', undefined), failed: error => desk.tell(error) }
      })
  }

  /** @param o.isNew its log has no first entry yet: it waits for `create` */
  static async open(o: OpenShareOptions & { isNew: boolean }, desk: OwnerDesk): Promise<OwnedShare> {
    let share: OwnedShare | null = null
    const { replica, document } = await OpenShare.parts(o, {
      edited: () => share?.sync.edited(),
      refused: error => share?.refused(error),
      moved: document => {
        if (share) share.#selecting.copyMoved(document)
      },
      dropped: document => {
        if (share) share.#selecting.copyDropped(document)
      }
    })
    share = new OwnedShare(o, replica, document, desk)
    try {
      await share.#intents.load()
      await share.#selecting.load()
      await share.load()
    } catch (error) {
      await share.abandon()
      throw error
    }
    share.#view()
    if (o.isNew) share.changed()
    else share.begin()
    return share
  }

  /**
   * Writes the log's first entry, and begins to sync. What was written here before follows: a log that its relay has
   * never shown us gets all that it lacks.
   * @param keep says it in the account's list, before a relay hears of it
   * @throws LendError of the disk
   */
  async create(statement: Statement, keep: () => Promise<void>): Promise<void> {
    const { replica } = this
    const entry = accessEntry(replica.suite, this.id, this.device, null, statement)
    const refusal = replica.foldAccess(entry, 1, replica.world.now())
    if (refusal) throw refusal
    await replica.commit({ durable: true })
    await keep()
    this.#view()
    this.begin()
  }

  get members(): readonly Member[] {
    return this.#members
  }

  get invites(): readonly Invite[] {
    return this.#invites
  }

  get leaseMs(): number | null {
    const { list } = this.replica
    return list ? list.leaseMs : this.#desk.leaseMs
  }

  get missing(): readonly Missing[] {
    return this.#references?.missing ?? []
  }

  async rename(title: string): Promise<void> {
    checkText('title', title, limits.TITLE_BYTES_MAX)
    this.#open()
    this.shareDocument.doc.getMap(SHARE_ROOT).set('title', title)
    await this.sync.saved()
  }

  get items(): readonly Item[] {
    return this.#selecting.items
  }

  async open(item: Item | ItemId): Promise<Y.Doc> {
    this.assertUsable()
    const id = idOf(item)
    const selected = this.items.find(other => same(other.id, id))
    if (!selected) throw notShared()
    return this.#desk.openItem(selected)
  }

  async select(...items: Item[]): Promise<void> {
    this.#open()
    await this.#selecting.select(items)
  }

  async unselect(...items: Item[]): Promise<void> {
    this.#open()
    await this.#selecting.unselect(items)
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
    const { list } = this.replica
    if (list && !list.members.has(hex(who.account))) return { voided: [] }
    const lived = new Set(this.#invites.flatMap(({ id, state }) => (isAlive(state) ? [id] : [])))
    await this.#want({ type: 'remove', account: who.account, reason: 'removed' })
    return { voided: this.#invites.filter(({ id, state }) => lived.has(id) && state === 'void') }
  }

  async limit(who: Member, until: Date | null): Promise<void> {
    this.#open()
    const untilMs = until?.getTime() ?? null
    if (untilMs !== null && !(untilMs > 0)) throw badField('until is not a date')
    const { list } = this.replica
    if (!list || list.members.has(hex(who.account))) {
      await this.#want({ type: 'until', account: who.account, untilMs })
    }
  }

  async stop(): Promise<void> {
    this.assertUsable()
    if (this.replica.list?.stopped) return
    await this.#want({ type: 'stop' })
  }

  async history(): Promise<readonly HistoryEvent[]> {
    this.assertUsable()
    const { suite, list, history, epochKeys } = this.replica
    if (!list) return []
    const { deviceName, notes } = this.#desk
    return historyOf({ suite, log: this.id, records: history.records, list, epochKeys, notes: notes(), deviceName })
  }

  override abandon(): Promise<void> {
    this.#stopTimer?.()
    this.#selecting.close()
    this.#references?.close()
    this.#wishes.close()
    return super.abandon()
  }

  override async close(): Promise<void> {
    this.#selecting.close()
    this.#references?.close()
    await super.close()
    this.#stopTimer?.()
    this.#wishes.close()
  }

  // --- what sync says ---

  async listSettled(list: ShareList): Promise<void> {
    if (this.isPutOutAsClone(list)) return
    this.#view()
    this.#watchUntil()
    void this.#wishes.work()
    await this.#keepReceipts()
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

  /** Only who has a part in what it offers may offer it: a list that does not have this device yet is continued first. */
  override async listLost(): Promise<void> {
    const { replica, id, device } = this
    const { list, suite, world } = replica
    const last = replica.history.records.at(-1)
    if (!list || !last || replica.isRetold || standingOf(list, device.id).is === 'owner') return
    const due = list.stopped ? null : this.#due(list)
    if (!due) return
    replica.foldAccess(accessEntry(suite, id, device, list.head, due), last.seq + 1, world.now())
    await replica.commit({ durable: true })
  }

  async receipts(receipts: readonly Receipt[]): Promise<void> {
    this.#receipts.add(receipts)
    await this.#keepReceipts()
  }

  async #keepReceipts(): Promise<void> {
    const { suite, list, history } = this.replica
    if (!list) return
    const { kept, answered } = this.#receipts.judge(suite, list, history, this.#desk.receipts())
    if (kept.size > 0) {
      await this.#desk.keepReceipts(kept)
      this.#view()
    }
    if (answered.length > 0) this.sync.send({ type: 'receipts-stored', log: this.id, devices: answered })
  }

  /** What the account keeps of this share has changed, maybe on another device. */
  noted(): void {
    if (this.#notesAsOne() !== this.#viewedNotes) this.#view()
  }

  heard(): void {}

  override changed(): void {
    super.changed()
    void this.#wishes.work()
    void this.#selecting.work()
  }

  protected override get outlives(): boolean {
    return true
  }

  protected get waits(): boolean {
    const { list } = this.replica
    return !list || this.#wishes.wait || this.#selecting.waits
  }

  protected override get standing() {
    const base = super.standing
    const { cursor, republish } = this.replica.state
    // Its relay has never shown it to us: what was written here is there when it has.
    const isNew = cursor === null && !republish
    const unsent = base.unsent + this.#intents.all.length + this.#selecting.pending + (isNew ? 1 : 0)
    return { ...base, unsent, ended: this.#ended }
  }

  get #ended(): 'stopped' | null {
    return this.replica.list?.stopped ? 'stopped' : null
  }

  #open(): void {
    this.assertUsable()
    if (this.replica.list?.stopped) throw new LendError('STOPPED', 'this share was stopped; share again to go on')
  }

  /** Keeps a wish and lets it be carried out; resolves when it is saved here. */
  async #want(intent: Intent): Promise<void> {
    await this.#intents.add(intent)
    this.#view()
    this.changed()
  }

  /** Takes out whose time has come; the relay has stopped serving them by itself. */
  #watchUntil(): void {
    this.#stopTimer?.()
    const { list } = this.replica
    const nowMs = this.replica.world.now()
    let nextMs = Number.POSITIVE_INFINITY
    if (!list) return
    for (const member of list.members.values()) {
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
    for (const { state, expiresMs } of list.invites.values()) {
      if (state === 'open' && expiresMs > nowMs) nextMs = Math.min(nextMs, expiresMs)
    }
    if (nextMs === Number.POSITIVE_INFINITY || this.isClosed) return
    this.#stopTimer = this.replica.world.timer(Math.min(nextMs - nowMs, TIMER_MS_MAX), () => {
      this.#view()
      this.#watchUntil()
    })
  }

  /** Notes and receipts in one word. */
  #notesAsOne(): string {
    const notes = [...this.#desk.notes()].map(([invite, { name }]) => [invite, name])
    const receipts = [...this.#desk.receipts()].map(([device, { accessHead }]) => [device, accessHead])
    return JSON.stringify([notes, receipts])
  }

  #view(): void {
    const { list } = this.replica
    this.#viewedNotes = this.#notesAsOne()
    const nowMs = this.replica.world.now()
    for (const { n } of this.#intents.all) if (!this.#wantedMs.has(n)) this.#wantedMs.set(n, nowMs)
    const context: ViewContext = {
      suite: this.replica.suite,
      replica: this.replica,
      list,
      intents: this.#intents.all,
      notes: this.#desk.notes(),
      receipts: this.#desk.receipts(),
      linkOf: secret => this.#link(secret),
      wantedMs: ({ n }) => this.#wantedMs.get(n) ?? nowMs,
      voidInvite: id => this.#want({ type: 'void', invite: id }),
      nowMs
    }
    this.#members = memberViews(context)
    this.#invites = inviteViews(context, this.#members)
    this.emit('change', undefined)
  }

  /** Null while the relay was never reached: a link names its key. */
  #link(secret: Uint8Array): string | null {
    const { relayUrl } = this.#desk
    const relayKey = this.replica.list?.relayKey ?? this.#desk.relayKey()
    return relayKey && `${LINK_PREFIX}#${encodeLink({ kind: 'share', relayUrl, relayKey, log: this.id, secret })}`
  }

  get #preview(): Preview {
    return { owner: this.#desk.ownerName(), title: this.title, items: countByKind(this.items), presence: false }
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

function isAlive(state: Invite['state']): boolean {
  return state === 'open' || state === 'pending'
}

/** How many items of what kind. */
function countByKind(items: readonly Item[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind } of items) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}
