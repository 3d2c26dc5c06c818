/**
 * A client of the relay that holds nothing back and keeps nothing: the engine's session over a socket, frames as they
 * come, and accounts and shares written entry by entry. For tests that want to see the wire, or to misuse it.
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import {
  type AccountId,
  accountId,
  accountOfRootKey,
  authorInvite,
  authorJoin,
  authorLibrary,
  authorRemoval,
  authorShare,
  ClientSession,
  type Cover,
  copyList,
  type DeviceKeys,
  type Dice,
  type DocumentId,
  dataKey,
  decodeStatement,
  deviceKeys,
  documentId,
  type Entry,
  type EntryId,
  encodeFrame,
  encodeStatement,
  entryId,
  type Follow,
  type Following,
  type Frame,
  foldLibrary,
  foldProof,
  foldShare,
  hex,
  type Incarnation,
  type InviteKeys,
  incarnation,
  inviteKeys,
  joinProofParts,
  type LibraryList,
  type LogId,
  loadSuite,
  logId,
  NO_DOCUMENT,
  type Nonces,
  type Placed,
  Refusal,
  rootKeys,
  SHARE_DOCUMENT,
  type ShareList,
  type Statement,
  type Suite,
  sealSnapshot,
  sealUpdate,
  shareLogId,
  signEntry,
  signPeek,
  signReceipt
} from '@lend/engine'
import { WebSocket } from 'ws'

export const dice: Dice = bytes => new Uint8Array(randomBytes(bytes))
export const suite: Suite = await loadSuite()
export const NO_HEAD: EntryId = entryId(new Uint8Array(32))
export const UNSEEN: Incarnation = incarnation(new Uint8Array(16))
const WAIT_MS = 10_000

type FrameOf<Type extends Frame['type']> = Frame & { readonly type: Type }

/** An account with one device. */
export interface RawAccount {
  readonly account: AccountId
  readonly entropy: Uint8Array
  readonly device: DeviceKeys
  readonly library: LibraryList
  /** Its proof so far. */
  readonly create: Entry
  readonly epochKey: Uint8Array
}

export function makeAccount(name = 'someone'): RawAccount {
  const entropy = dice(32)
  const device = deviceKeys(suite, dice(32))
  const account = accountOfRootKey(suite, rootKeys(suite, entropy).signing.publicKey)
  const log = logId(account)
  const epochKey = dice(32)
  const statement = authorLibrary(suite, { log, entropy, device, epochKey, name }, dice)
  const create = accessEntry(log, NO_HEAD, device, statement)
  const library = foldLibrary(suite, null, create, statement, { timeMs: null, signatures: true })
  if (library instanceof Refusal) throw library
  return { account: accountId(account), entropy, device, library, create, epochKey }
}

/** The next entry of an account's library: an invite. @param head the entry before it */
export function libraryEntry(
  of: RawAccount,
  head: EntryId,
  { keys = inviteKeys(suite, dice(32)), previewBytes = 0 }: { keys?: InviteKeys; previewBytes?: number } = {}
): Entry {
  return accessEntry(logId(of.account), head, of.device, {
    type: 'invite',
    invite: keys.id,
    sealingKey: keys.sealing.publicKey,
    uses: 1,
    expiresMs: Date.now() + 3_600_000,
    untilMs: null,
    bound: null,
    box: suite.sealTo(keys.sealing.publicKey, of.epochKey, dice),
    preview: dice(previewBytes)
  })
}

/** Writes `account` entries, each with the next entry of the account's library. */
export function accountWriter(share: RawShare, of: RawAccount): () => Entry {
  let head = of.create.id
  return () => {
    const entry = libraryEntry(of, head)
    head = entry.id
    return share.write({ type: 'account', account: of.account, entries: [entry.bytes] }, of.device)
  }
}

/** A second device of an account, let in by an invite of the first. @returns also the library's entries from the start */
export function addDevice(of: RawAccount): { account: RawAccount; entries: readonly Entry[] } {
  const log = logId(of.account)
  const device = deviceKeys(suite, dice(32))
  const keys = inviteKeys(suite, dice(32))
  const invite = libraryEntry(of, of.create.id, { keys })
  const place = { log, author: device.id, accessHead: invite.id }
  const join = accessEntry(log, invite.id, device, {
    type: 'join-library',
    invite: keys.id,
    proof: suite.sign(keys.signing.secretKey, 'join', ...joinProofParts(place, of.account)),
    deviceSealingKey: device.sealing.publicKey,
    box: suite.sealTo(device.sealing.publicKey, of.epochKey, dice)
  })
  const entries = [of.create, invite, join]
  const library = foldProof(
    suite,
    null,
    of.account,
    entries.map(({ bytes }) => bytes),
    { timeMs: null, signatures: true }
  )
  if (library instanceof Refusal) throw library
  return { account: { ...of, device, library }, entries }
}

export function accessEntry(log: LogId, accessHead: EntryId, device: DeviceKeys, statement: Statement): Entry {
  const header = {
    kind: 'access',
    log,
    author: device.id,
    document: NO_DOCUMENT,
    ctr: 0,
    epoch: 0,
    accessHead
  } as const
  return signEntry(suite, header, encodeStatement(statement), device.signing.secretKey)
}

/** A share as its owner's device writes it. What it authors is folded here at once: append it to the relay. */
export class RawShare {
  readonly log: LogId
  readonly owner: RawAccount
  readonly entries: Entry[] = []
  list: ShareList
  epochKey = dice(32)
  readonly #ctrs = new Map<string, number>()

  constructor(owner: RawAccount, relayKey: Uint8Array) {
    const nonce = dice(32)
    this.owner = owner
    this.log = shareLogId(suite, owner.account, nonce)
    const statement = authorShare(
      suite,
      {
        log: this.log,
        nonce,
        owner: owner.library,
        proof: [owner.create.bytes],
        leaseMs: null,
        relayKey,
        epochKey: this.epochKey,
        name: 'Ann'
      },
      dice
    )
    const create = accessEntry(this.log, NO_HEAD, owner.device, statement)
    this.list = this.#fold(null, create)
    this.entries.push(create)
  }

  get create(): Entry {
    const [create] = this.entries
    if (!create) throw new Error('a share begins with its create')
    return create
  }

  write(statement: Statement, device: DeviceKeys = this.owner.device): Entry {
    const entry = accessEntry(this.log, this.list.head, device, statement)
    this.take(entry)
    return entry
  }

  /** Folds an access entry of someone else. */
  take(entry: Entry): void {
    this.list = this.#fold(this.list, entry)
    this.entries.push(entry)
  }

  invite(o: { uses?: number; expiresMs?: number; untilMs?: number; bound?: AccountId } = {}): {
    entry: Entry
    keys: InviteKeys
  } {
    const secret = dice(32)
    const statement = authorInvite(
      suite,
      {
        secret,
        uses: o.uses ?? 1,
        expiresMs: o.expiresMs ?? Date.now() + 3_600_000,
        untilMs: o.untilMs ?? null,
        bound: o.bound ?? null,
        preview: { owner: 'Ann', title: 'House', items: {}, presence: false },
        epochKey: this.epochKey
      },
      dice
    )
    return { entry: this.write(statement), keys: inviteKeys(suite, secret) }
  }

  /** A join that is not folded yet: only the relay knows whether it wins. */
  join(joiner: RawAccount, keys: InviteKeys, proof: readonly Entry[] = [joiner.create]): Entry {
    const statement = authorJoin(
      suite,
      this.list,
      {
        keys,
        account: joiner.library,
        accountProof: proof.map(({ bytes }) => bytes),
        device: joiner.device,
        epochKey: this.epochKey,
        name: 'Bob'
      },
      dice
    )
    if (!statement) throw new Error('this account is a member already')
    return accessEntry(this.log, this.list.head, joiner.device, statement)
  }

  remove(...who: readonly RawAccount[]): Entry {
    const accounts = who.map(({ account }) => account)
    const { epochKey } = this
    const removal = authorRemoval(
      suite,
      this.list,
      { who: accounts, reason: 'removed', epochKey, nowMs: Date.now(), rotate: true },
      dice
    )
    if (!removal) throw new Error('there is nobody to remove')
    this.epochKey = removal.epochKey
    return this.write(removal.statement)
  }

  /** @param document 16 bytes; `share.doc` when not given */
  update(content: Uint8Array | string = 'an edit', document: DocumentId = SHARE_DOCUMENT): Entry {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
    return sealUpdate(suite, this.#header('update', document), bytes, this.#keys(), dice)
  }

  snapshot(covers: readonly Cover[], content = 'all of it', document: DocumentId = SHARE_DOCUMENT): Entry {
    const bytes = new TextEncoder().encode(content)
    return sealSnapshot(suite, this.#header('snapshot', document), covers, bytes, this.#keys(), dice)
  }

  drop(document: DocumentId): Entry {
    return signEntry(suite, this.#header('drop', document), new Uint8Array(0), this.owner.device.signing.secretKey)
  }

  /** What would be written here now; it counts for nothing that comes after. */
  draft(write: () => Entry): Entry {
    const { epochKey, entries } = this
    const [list, length, ctrs] = [copyList(this.list), entries.length, [...this.#ctrs]]
    const entry = write()
    this.list = list as ShareList
    this.epochKey = epochKey
    entries.length = length
    this.#ctrs.clear()
    for (const [document, ctr] of ctrs) this.#ctrs.set(document, ctr)
    return entry
  }

  #header<Kind extends 'update' | 'snapshot' | 'drop'>(kind: Kind, document: DocumentId) {
    const ctr = (this.#ctrs.get(hex(document)) ?? 0) + 1
    this.#ctrs.set(hex(document), ctr)
    const { log, list, owner } = this
    return { kind, log, author: owner.device.id, document, ctr, epoch: list.epoch, accessHead: list.head }
  }

  #keys(): { dataKey: Uint8Array; secretKey: Uint8Array } {
    return { dataKey: dataKey(suite, this.epochKey), secretKey: this.owner.device.signing.secretKey }
  }

  #fold(list: ShareList | null, entry: Entry): ShareList {
    const statement = decodeStatement(entry.payload)
    const folded = foldShare(suite, list, entry, statement, Date.now(), { timeMs: null, signatures: true })
    if (folded instanceof Refusal) throw folded
    return folded
  }
}

export function makeShare(owner: RawAccount, relayKey: Uint8Array): RawShare {
  return new RawShare(owner, relayKey)
}

export function randomDocument(): DocumentId {
  return documentId(dice(16))
}

/** Connects and proves the device. @param relayKey null to take what the relay shows */
export async function connectRaw(
  url: string,
  device: DeviceKeys,
  relayKey: Uint8Array | null = null
): Promise<RawClient> {
  const client = new RawClient(new WebSocket(url), device, relayKey)
  await client.opened
  return client
}

export class RawClient {
  readonly webSocket: WebSocket
  readonly device: DeviceKeys
  /** Resolves when the handshake is done, rejects with the refusal. */
  readonly opened: Promise<void>
  /** Resolves when the socket is closed: its code, and the refusal of the session if one came. */
  readonly closed: Promise<{ code: number; refusal: Refusal | null }>
  /** Everything that was delivered, in order. */
  readonly seen: Frame[] = []
  readonly #waiting: Frame[] = []
  readonly #session: ClientSession
  #nonces: Nonces | null = null
  readonly #bell = new EventEmitter().setMaxListeners(0)

  constructor(webSocket: WebSocket, device: DeviceKeys, relayKey: Uint8Array | null) {
    this.webSocket = webSocket
    this.device = device
    this.#session = new ClientSession({ suite, device, relayKey, dice })
    let refusal: Refusal | null = null
    this.closed = new Promise(done => {
      webSocket.once('close', code => {
        done({ code, refusal })
        this.#bell.emit('news')
      })
    })
    webSocket.on('error', () => {})
    webSocket.once('open', () => {
      for (const effect of this.#session.start()) if (effect.do === 'send') webSocket.send(effect.frame)
    })
    this.opened = new Promise((opened, failed) => {
      webSocket.once('close', code => failed(refusal ?? new Error(`the socket was closed with ${code}`)))
      webSocket.on('message', (data: Buffer) => {
        for (const effect of this.#session.receive(new Uint8Array(data))) {
          if (effect.do === 'send') webSocket.send(effect.frame)
          else if (effect.do === 'deliver') this.#deliver(effect.frame)
          else if (effect.do === 'close') {
            refusal = effect.refusal
            webSocket.close()
          } else {
            this.#nonces = effect.nonces
            opened()
          }
        }
      })
    })
    this.opened.catch(() => {})
  }

  send(frame: Frame): void {
    this.webSocket.send(encodeFrame(frame))
  }

  /** The next frame of this type that nobody took yet, and about this log. Others stay. */
  take<Type extends Frame['type']>(type: Type, log?: LogId): Promise<FrameOf<Type>> {
    const is = (frame: Frame): frame is FrameOf<Type> => frame.type === type && (!log || isAbout(frame, log))
    return this.#takeFirst(is, type)
  }

  /** The refusal of a log or of one of its entries. */
  async refused(log: LogId): Promise<FrameOf<'refused'>> {
    return this.take('refused', log)
  }

  /** Waits until everything that the relay had sent to this client by now is here. */
  async settle(): Promise<void> {
    this.send({ type: 'ping' })
    await this.take('pong')
  }

  follow(log: LogId, o: Partial<Omit<Follow, 'type' | 'log' | 'invite'>> & { invite?: InviteKeys } = {}): void {
    const { invite } = o
    if (!this.#nonces) throw new Error('follow after the handshake')
    const peek = invite ? { id: invite.id, signature: signPeek(suite, invite, log, this.#nonces) } : null
    const { cursor = null, head = null, accountProof = [] } = o
    this.send({ type: 'follow', log, cursor, head, invite: peek, accountProof })
  }

  /** Follows and waits for the answer. */
  async followed(log: LogId, o: Parameters<RawClient['follow']>[1] = {}): Promise<Following> {
    this.follow(log, o)
    return this.take('following', log)
  }

  append(log: LogId, life: Incarnation, ...entries: readonly Entry[]): void {
    this.send({ type: 'append', log, incarnation: life, entries: entries.map(({ bytes }) => bytes) })
  }

  /** Appends and waits until all are acknowledged. @returns the last head */
  async appended(log: LogId, life: Incarnation, ...entries: readonly Entry[]): Promise<Uint8Array> {
    this.append(log, life, ...entries)
    const left = new Set(entries.map(({ id }) => hex(id)))
    let head: Uint8Array | null = null
    const is = (frame: Frame): frame is FrameOf<'ack' | 'refused'> =>
      (frame.type === 'ack' || frame.type === 'refused') && isAbout(frame, log)
    while (left.size > 0) {
      const frame = await this.#takeFirst(is, 'ack')
      if (frame.type === 'refused') throw new Refusal(frame.code, frame.sentence)
      for (const id of frame.ids) left.delete(hex(id))
      head = frame.head
    }
    if (!head) throw new Error('nothing was appended')
    return head
  }

  /** Collects entries of a log until there are so many. */
  async read(log: LogId, count: number): Promise<Placed[]> {
    const entries: Placed[] = []
    while (entries.length < count) entries.push(...(await this.take('entries', log)).entries)
    return entries
  }

  /** Collects entries of a log until the cursor is there. */
  async readTo(log: LogId, seq: number): Promise<Placed[]> {
    const entries: Placed[] = []
    for (let upTo = -1; upTo < seq; ) {
      const frame = await this.take('entries', log)
      entries.push(...frame.entries)
      upTo = frame.upTo
    }
    return entries
  }

  receipt(log: LogId, accessHead: EntryId): void {
    const { id: device, signing } = this.device
    const receipt = signReceipt(
      suite,
      log,
      { device, accessHead, reason: 'removed', timeMs: Date.now() },
      signing.secretKey
    )
    this.send({ type: 'receipts', log, receipts: [receipt] })
  }

  async close(): Promise<void> {
    this.webSocket.close()
    await this.closed
  }

  async #takeFirst<Found extends Frame>(is: (frame: Frame) => frame is Found, what: string): Promise<Found> {
    const late = AbortSignal.timeout(WAIT_MS)
    for (;;) {
      const found = this.#waiting.find(is)
      if (found) {
        this.#waiting.splice(this.#waiting.indexOf(found), 1)
        return found
      }
      if (this.webSocket.readyState !== WebSocket.OPEN) throw new Error(`closed while waiting for ${what}`)
      await once(this.#bell, 'news', { signal: late }).catch(() => {
        throw new Error(`no ${what} within ${WAIT_MS} ms`)
      })
    }
  }

  #deliver(frame: Frame): void {
    this.seen.push(frame)
    this.#waiting.push(frame)
    this.#bell.emit('news')
  }
}

function isAbout(frame: Frame, log: LogId): boolean {
  return 'log' in frame && frame.log !== null && hex(frame.log) === hex(log)
}
