/**
 * What the engine's tests build on: seeded dice, accounts, shares, and a scribe that authors the entries of one log in
 * order and holds its state. Every refused entry is checked to have changed nothing.
 */
import * as assert from 'uvu/assert'
import {
  authorAccount,
  authorInvite,
  authorJoin,
  authorRemoval,
  authorShare
} from '../../packages/engine/src/access/authoring.ts'
import { epochKeys, libraryEpochKeys } from '../../packages/engine/src/access/epoch-keys.ts'
import { type InviteKeys, inviteKeys } from '../../packages/engine/src/access/invite.ts'
import {
  accountSealingKeys,
  commitment,
  type DeviceKeys,
  dataKey,
  deviceKeys,
  rootKeys,
  sealPrevious
} from '../../packages/engine/src/access/keys.ts'
import { authorLibrary, authorReset } from '../../packages/engine/src/access/library-authoring.ts'
import { accountOfRootKey, joinProofParts, type LibraryList } from '../../packages/engine/src/access/library-list.ts'
import { type ShareList, shareLogId } from '../../packages/engine/src/access/share-list.ts'
import {
  decodeStatement,
  encodeStatement,
  type JoinShare,
  KEY_BOX_BYTES,
  type Reason,
  type RemoveFromLibrary,
  type ResetLibrary,
  type Statement
} from '../../packages/engine/src/access/statement.ts'
import {
  type AccountId,
  type DocumentId,
  deviceId,
  documentId,
  type EntryId,
  entryId,
  hex,
  type LogId,
  logId,
  NO_DOCUMENT,
  SHARE_DOCUMENT
} from '../../packages/engine/src/bytes/ids.ts'
import { type Dice, type KeyPair, loadSuite, type Suite } from '../../packages/engine/src/crypto/suite.ts'
import { type Cover, sealSnapshot, sealUpdate } from '../../packages/engine/src/entry/content.ts'
import { type Entry, type Header, signEntry } from '../../packages/engine/src/entry/entry.ts'
import { nextRunningHash } from '../../packages/engine/src/log/head.ts'
import {
  emptyLog,
  foldStored,
  type LogState,
  type Step,
  type StoredPlace,
  step
} from '../../packages/engine/src/log/step.ts'
import { Refusal, type RefusalCode } from '../../packages/engine/src/refusal.ts'

export const crypto: Suite = await loadSuite()

export const HOUR_MS = 60 * 60 * 1000
/** When every scribe's log begins. */
export const START_MS = 1_700_000_000_000

/** Integers from 0 to `below − 1`, the same for the same seed (mulberry32). */
export function seededInts(seed: number): (below: number) => number {
  let state = seed >>> 0
  return below => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000) * below)
  }
}

export function seededDice(seed: number): Dice {
  const int = seededInts(seed)
  return bytes => Uint8Array.from({ length: bytes }, () => int(256))
}

/** True when both hold the same, whatever the kind of array. */
export function equalBytes(actual: Uint8Array | null, expected: Uint8Array | null): void {
  assert.is(actual && hex(actual), expected && hex(expected))
}

/** Runs `decode`, which may refuse by throwing a Refusal and may throw nothing else. */
export function decodedOrRefused<T>(decode: () => T): T | Refusal {
  try {
    return decode()
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
}

export function throwsRefusal(run: () => unknown, code: RefusalCode): void {
  const result = decodedOrRefused(run)
  assert.ok(result instanceof Refusal, `not refused, want ${code}`)
  assert.is(result.code, code)
}

/**
 * What every codec must hold: the bytes come back the same, no shorter or longer bytes are taken, and no mutation makes
 * it throw anything but a Refusal. What a mutation still decodes to encodes to exactly those bytes.
 */
export function provesCodec<T>(
  bytes: Uint8Array,
  decode: (bytes: Uint8Array) => T,
  encode: (value: T) => Uint8Array,
  mutations: number,
  seed = 1
): void {
  equalBytes(encode(decode(bytes)), bytes)
  const step = Math.max(1, Math.floor(bytes.length / 2000))
  for (let length = 0; length < bytes.length; length += step) {
    assert.instance(
      decodedOrRefused(() => decode(bytes.slice(0, length))),
      Refusal,
      `${length} of ${bytes.length} bytes`
    )
  }
  for (const extra of [0, 1, 255]) {
    assert.instance(
      decodedOrRefused(() => decode(Uint8Array.of(...bytes, extra))),
      Refusal,
      'one byte more'
    )
  }
  const int = seededInts(seed)
  for (let i = 0; i < mutations; i++) {
    const mutant = mutate(bytes, int)
    const value = decodedOrRefused(() => decode(mutant))
    if (!(value instanceof Refusal)) equalBytes(encode(value), mutant)
  }
}

/** A copy with a few bytes changed, cut, repeated or put in. */
export function mutate(bytes: Uint8Array, int: (below: number) => number): Uint8Array {
  const mutant = [...bytes]
  for (let n = 1 + int(3); n > 0; n--) {
    const at = int(mutant.length + 1)
    switch (int(5)) {
      case 0:
        mutant[Math.min(at, mutant.length - 1)] = int(256)
        break
      case 1:
        mutant[Math.min(at, mutant.length - 1)] = [0, 1, 127, 128, 255][int(5)] ?? 0
        break
      case 2:
        mutant.splice(at, 1 + int(40))
        break
      case 3:
        mutant.splice(at, 0, ...Array.from({ length: 1 + int(40) }, () => int(256)))
        break
      default:
        mutant.splice(at, 0, ...mutant.slice(int(at + 1), at))
    }
  }
  return Uint8Array.from(mutant)
}

/** Everything that a state holds, as text: equal texts are equal states. */
export function dump(state: LogState): string {
  const trails = [...state.trails].map(([document, devices]) => [
    document,
    [...devices]
      .map(([device, trail]) => {
        const ids =
          trail.entries().length + trail.covered.ctr > 200 ? [] : ctrsOf(trail.top).map(ctr => trail.idAt(ctr))
        return [
          device,
          trail.top,
          trail.covered,
          trail.entries(),
          ids,
          ctrsOf(Math.min(trail.top, 50)).map(c => trail.seqAt(c))
        ]
      })
      .sort()
  ])
  const { list, records } = state.access
  const { dropped, seq, timeMs, runningHash, entries, bytes } = state
  const held = records.map(record => [record.entry.id, record.seq, record.timeMs])
  return text({ list, held, trails: trails.sort(), dropped, seq, timeMs, runningHash, entries, bytes })
}

function ctrsOf(top: number): number[] {
  return Array.from({ length: top }, (_, i) => i + 1)
}

/** Any value as text, with maps, sets and bytes in it. */
export function text(value: unknown): string {
  return JSON.stringify(value, (_, v: unknown) => {
    if (v instanceof Uint8Array) return hex(v)
    if (v instanceof Map || v instanceof Set) return [...v]
    return v
  })
}

interface Stored {
  readonly entry: Entry
  readonly place: StoredPlace
}

/** Overrides of what the scribe would write by itself. */
export interface DataOptions {
  readonly ctr?: number
  readonly epoch?: number
  readonly accessHead?: EntryId
  readonly log?: LogId
  readonly covers?: readonly Cover[]
  readonly content?: Uint8Array
  readonly epochKey?: Uint8Array
}

export class Scribe {
  readonly log: LogId
  readonly state: LogState = emptyLog(crypto)
  /** Every entry that was taken. */
  readonly all: Stored[] = []
  /** What a store would hold now, by seq: all but the released. */
  readonly stored = new Map<number, Stored>()
  readonly dice: Dice
  timeMs = START_MS
  /** Seqs rise by this: they need not be dense. */
  stride = 1

  constructor(log: LogId, dice: Dice) {
    this.log = log
    this.dice = dice
  }

  get head(): EntryId {
    return this.state.access.list?.head ?? entryId(new Uint8Array(32))
  }

  get epoch(): number {
    return this.state.access.list?.epoch ?? 1
  }

  get statements(): Statement[] {
    return this.state.access.records.map(record => record.statement)
  }

  access(author: DeviceKeys, statement: Statement, over: Partial<Header> = {}): Entry {
    const header: Header = {
      kind: 'access',
      log: this.log,
      author: author.id,
      document: NO_DOCUMENT,
      ctr: 0,
      epoch: 0,
      accessHead: this.head,
      ...over
    }
    return signEntry(crypto, header, encodeStatement(statement), author.signing.secretKey)
  }

  data(author: DeviceKeys, kind: 'update' | 'snapshot' | 'drop', document: DocumentId, o: DataOptions = {}): Entry {
    const place = {
      log: o.log ?? this.log,
      author: author.id,
      document,
      ctr: o.ctr ?? this.top(author, document) + 1,
      epoch: o.epoch ?? this.epoch,
      accessHead: o.accessHead ?? this.head
    }
    const keys = { dataKey: dataKey(crypto, o.epochKey ?? new Uint8Array(32)), secretKey: author.signing.secretKey }
    const content = o.content ?? this.dice(8)
    if (kind === 'update') return sealUpdate(crypto, { ...place, kind }, content, keys, this.dice)
    if (kind === 'drop') return signEntry(crypto, { ...place, kind }, new Uint8Array(0), keys.secretKey)
    const covers = o.covers ?? this.covers(document)
    return sealSnapshot(crypto, { ...place, kind }, covers, content, keys, this.dice)
  }

  /** What a snapshot by someone who has read everything covers. */
  covers(document: DocumentId): Cover[] {
    const covers: Cover[] = []
    for (const [device, trail] of this.state.trails.get(hex(document)) ?? []) {
      const id = trail.idAt(trail.top)
      const author = this.all.find(({ entry }) => hex(entry.author) === device)?.entry.author
      if (id && author) covers.push({ author, ctr: trail.top, id: entryId(id) })
    }
    return covers
  }

  top(author: DeviceKeys, document: DocumentId): number {
    return this.state.trails.get(hex(document))?.get(hex(author.id))?.top ?? 0
  }

  /** Judges an entry; a refusal, or one that is there already, must leave the state as it was. */
  try(entry: Entry): Step | Refusal {
    const before = dump(this.state)
    const seq = this.state.seq + this.stride
    const result = step(this.state, entry, { seq, timeMs: this.timeMs })
    if (result instanceof Refusal || !result.taken) {
      assert.is(dump(this.state), before, 'an entry that was not taken changed the state')
      return result
    }
    const stored = { entry, place: { seq, timeMs: this.timeMs, runningHash: this.state.runningHash } }
    const last = this.all.at(-1)?.place.runningHash ?? new Uint8Array(32)
    equalBytes(this.state.runningHash, nextRunningHash(crypto, last, entry.id))
    this.all.push(stored)
    this.stored.set(seq, stored)
    for (const gone of result.released) assert.ok(this.stored.delete(gone), 'released what is not there')
    return result
  }

  take(entry: Entry): Entry {
    const result = this.try(entry)
    if (result instanceof Refusal) throw new Error(`refused: ${result.code} ${result.message}`)
    assert.ok(result.taken, 'it was there already')
    return entry
  }

  refuses(entry: Entry, code: RefusalCode): Refusal {
    const result = this.try(entry)
    assert.instance(result, Refusal, `taken, want ${code}`)
    if (!(result instanceof Refusal)) throw new Error('unreachable')
    assert.is(result.code, code, result.message)
    return result
  }

  /** The state that a store folds to which still holds these. */
  refold(stored: Iterable<Stored> = this.stored.values()): LogState {
    const state = emptyLog(crypto)
    for (const { entry, place } of stored) {
      const result = foldStored(state, entry, place)
      if (result instanceof Refusal) throw new Error(`the store was refused: ${result.code}`)
    }
    return state
  }
}

/** An account with its devices and its library. */
export class Account {
  readonly id: AccountId
  readonly entropy: Uint8Array
  readonly devices: DeviceKeys[]
  readonly scribe: Scribe
  /** The library's epoch keys, oldest first. */
  readonly epochKeys: Uint8Array[]
  readonly #dice: Dice

  /** @param from makes a fork: the same account with the same library, which goes its own way from here on */
  constructor(dice: Dice, from?: Account) {
    this.#dice = dice
    if (from) {
      this.entropy = from.entropy
      this.id = from.id
      this.devices = [...from.devices]
      this.epochKeys = [...from.epochKeys]
      this.scribe = new Scribe(from.scribe.log, dice)
      this.scribe.timeMs = from.scribe.timeMs
      for (const { entry } of from.scribe.all) this.scribe.take(entry)
      return
    }
    this.entropy = dice(32)
    this.id = accountOfRootKey(crypto, rootKeys(crypto, this.entropy).signing.publicKey)
    const log = logId(this.id)
    const first = deviceKeys(crypto, dice(32))
    this.devices = [first]
    this.epochKeys = [dice(32)]
    this.scribe = new Scribe(log, dice)
    const o = { log, entropy: this.entropy, device: first, epochKey: this.epochKey, name: 'first device' }
    this.scribe.take(this.scribe.access(first, authorLibrary(crypto, o, dice)))
  }

  get device(): DeviceKeys {
    return known(this.devices[0])
  }

  get epochKey(): Uint8Array {
    return known(this.epochKeys.at(-1))
  }

  get library(): LibraryList {
    const { list } = this.scribe.state.access
    if (list?.kind !== 'library') throw new Error('no library')
    return list
  }

  /** The root key as an author. */
  get root(): DeviceKeys {
    const { signing, recovery } = rootKeys(crypto, this.entropy)
    return { id: deviceId(signing.publicKey), signing, sealing: recovery }
  }

  /** All library entries, in order. */
  get proof(): Uint8Array[] {
    return this.scribe.state.access.records.map(record => record.entry.bytes)
  }

  get sealingKeys(): KeyPair[] {
    return this.epochKeys.map(key => accountSealingKeys(crypto, key))
  }

  invite(o: { uses?: number; expiresMs?: number } = {}): { keys: InviteKeys; entry: Entry } {
    const secret = this.#dice(32)
    const statement = authorInvite(
      crypto,
      { ...inviteDefaults(this.scribe), ...o, secret, epochKey: this.epochKey },
      this.#dice
    )
    return { keys: inviteKeys(crypto, secret), entry: this.scribe.access(this.device, statement) }
  }

  join(keys: InviteKeys, device: DeviceKeys, over: { proof?: Uint8Array } = {}): Entry {
    const place = { log: this.scribe.log, author: device.id, accessHead: this.scribe.head }
    return this.scribe.access(device, {
      type: 'join-library',
      invite: keys.id,
      proof: over.proof ?? crypto.sign(keys.signing.secretKey, 'join', ...joinProofParts(place, this.id)),
      deviceSealingKey: device.sealing.publicKey,
      box: crypto.sealTo(device.sealing.publicKey, this.epochKey, this.#dice)
    })
  }

  addDevice(): DeviceKeys {
    const device = deviceKeys(crypto, this.#dice(32))
    const { keys, entry } = this.invite()
    this.scribe.take(entry)
    this.scribe.take(this.join(keys, device))
    this.devices.push(device)
    return device
  }

  /** A `remove` of these devices that nobody has taken yet, and the key of the epoch that it starts. */
  removal(
    who: readonly DeviceKeys[],
    reason: Reason,
    by = this.device
  ): { statement: RemoveFromLibrary; epochKey: Uint8Array; by: DeviceKeys } {
    const epochKey = this.#dice(32)
    const out = new Set(who.map(device => hex(device.id)))
    const statement: RemoveFromLibrary = {
      type: 'remove-devices',
      who: who.map(device => device.id),
      reason,
      accountSealingKey: accountSealingKeys(crypto, epochKey).publicKey,
      commitment: commitment(crypto, this.scribe.log, this.library.epoch + 1, epochKey),
      seals: [...this.library.devices.values()]
        .filter(device => !out.has(hex(device.id)))
        .map(device => ({ to: device.id, box: crypto.sealTo(device.sealingKey, epochKey, this.#dice) })),
      recoveryBox: crypto.sealTo(this.library.recoverySealingKey, epochKey, this.#dice),
      previous: sealPrevious(crypto, this.scribe.log, epochKey, this.epochKey, this.#dice)
    }
    return { statement, epochKey, by }
  }

  remove(who: readonly DeviceKeys[], reason: Reason = who.length > 0 ? 'removed' : 'rotation', by = this.device): void {
    const { statement, epochKey } = this.removal(who, reason, by)
    this.scribe.take(this.scribe.access(by, statement))
    this.epochKeys.push(epochKey)
    for (const device of who) this.devices.splice(this.devices.indexOf(device), 1)
  }

  /** A `reset` to this device that nobody has taken yet, and the key of the epoch that it starts. */
  resetting(
    over: Partial<ResetLibrary> = {},
    o: { device?: DeviceKeys; timeMs?: number; by?: DeviceKeys; accessHead?: EntryId } = {}
  ): { entry: Entry; device: DeviceKeys; epochKey: Uint8Array } {
    const device = o.device ?? deviceKeys(crypto, this.#dice(32))
    const epochKey = this.#dice(32)
    const { scribe, entropy } = this
    const holder = { device: null, recovery: this.root.sealing, invite: null }
    const earlier = libraryEpochKeys(crypto, scribe.log, scribe.statements, holder)
    const given = { entropy, device, epochKey, earlier, timeMs: o.timeMs ?? scribe.timeMs }
    const statement = known(authorReset(crypto, this.library, given, this.#dice))
    const place = o.accessHead ? { accessHead: o.accessHead } : {}
    return { entry: scribe.access(o.by ?? this.root, { ...statement, ...over }, place), device, epochKey }
  }

  /** Recovers the account: one new device is in, all others are out. */
  reset(o: { timeMs?: number } = {}): DeviceKeys {
    const { entry, device, epochKey } = this.resetting({}, o)
    this.scribe.take(entry)
    this.epochKeys.push(epochKey)
    this.devices.splice(0, this.devices.length, device)
    return device
  }

  stop(): void {
    this.scribe.take(this.scribe.access(this.device, { type: 'stop' }))
  }
}

export interface InviteOptions {
  readonly uses?: number
  readonly expiresMs?: number
  readonly untilMs?: number | null
  readonly bound?: AccountId | null
}

function inviteDefaults(scribe: Scribe) {
  const preview = { owner: 'Ada', title: 'Cameras', items: { camera: 2 }, presence: true }
  return { uses: 1, expiresMs: scribe.timeMs + HOUR_MS, untilMs: null, bound: null, preview }
}

/** A share with its owner. The fixture knows every key; `keysOf` says what others can open. */
export class Share {
  readonly owner: Account
  readonly log: LogId
  readonly scribe: Scribe
  readonly relayKey: Uint8Array
  readonly nonce: Uint8Array
  /** From epoch 1. */
  readonly epochKeys: Uint8Array[]
  readonly dice: Dice

  constructor(dice: Dice, owner = new Account(dice), o: { leaseMs?: number | null; created?: boolean } = {}) {
    this.dice = dice
    this.owner = owner
    this.nonce = dice(32)
    this.relayKey = crypto.signingKeys(dice(32)).publicKey
    this.log = shareLogId(crypto, owner.id, this.nonce)
    this.epochKeys = [dice(32)]
    this.scribe = new Scribe(this.log, dice)
    this.create = this.scribe.access(owner.device, this.creation(o.leaseMs === undefined ? HOUR_MS : o.leaseMs))
    if (o.created !== false) this.scribe.take(this.create)
  }

  readonly create: Entry

  creation(leaseMs: number | null = HOUR_MS) {
    const { owner, log, nonce, relayKey } = this
    const o = {
      log,
      nonce,
      owner: owner.library,
      proof: owner.proof,
      leaseMs,
      relayKey,
      epochKey: this.epochKey,
      name: 'Ada'
    }
    return authorShare(crypto, o, this.dice)
  }

  get epochKey(): Uint8Array {
    return known(this.epochKeys.at(-1))
  }

  get list(): ShareList {
    const { list } = this.scribe.state.access
    if (list?.kind !== 'share') throw new Error('no share')
    return list
  }

  /** An `invite` entry that nobody has taken yet. */
  invite(o: InviteOptions = {}, by = this.owner.device): { keys: InviteKeys; entry: Entry } {
    const secret = this.dice(32)
    const statement = authorInvite(
      crypto,
      { ...inviteDefaults(this.scribe), ...o, secret, epochKey: this.epochKey },
      this.dice
    )
    return { keys: inviteKeys(crypto, secret), entry: this.scribe.access(by, statement) }
  }

  invited(o: InviteOptions = {}): InviteKeys {
    const { keys, entry } = this.invite(o)
    this.scribe.take(entry)
    return keys
  }

  joining(keys: InviteKeys, account: Account, device = account.device, over: Partial<JoinShare> = {}): Entry {
    const o = {
      keys,
      account: account.library,
      accountProof: account.proof,
      device,
      epochKey: this.epochKey,
      name: 'Bob'
    }
    const before = this.list
    // authorJoin writes nothing for who is in; the relay must refuse it by itself.
    const statement = authorJoin(crypto, { ...before, members: new Map() }, o, this.dice)
    return this.scribe.access(device, { ...known(statement), ...over })
  }

  /** Invites and lets join. */
  admit(account: Account, o: InviteOptions = {}): InviteKeys {
    const keys = this.invited(o)
    this.scribe.take(this.joining(keys, account))
    return keys
  }

  removal(who: readonly Account[], o: { reason?: Reason; rotate?: boolean } = {}) {
    const authored = authorRemoval(
      crypto,
      this.list,
      {
        who: who.map(account => account.id),
        reason: o.reason ?? 'removed',
        epochKey: this.epochKey,
        nowMs: this.scribe.timeMs,
        rotate: o.rotate ?? true
      },
      this.dice
    )
    return known(authored)
  }

  remove(...who: readonly Account[]): { voided: readonly { readonly id: Uint8Array }[] } {
    const { statement, epochKey, voided } = this.removal(who)
    this.scribe.take(this.scribe.access(this.owner.device, statement))
    this.epochKeys.push(epochKey)
    return { voided }
  }

  leave(account: Account, device = account.device): void {
    this.scribe.take(this.scribe.access(device, { type: 'leave' }))
  }

  /** Brings this account's library in the share up to date. */
  accountEntry(account: Account, by = account.device, entries = this.newsOf(account)): Entry {
    return this.scribe.access(by, { type: 'account', account: account.id, entries })
  }

  /** The library entries of an account that the share has not folded. */
  newsOf(account: Account): readonly Uint8Array[] {
    return authorAccount(this.list, account.library, account.proof)?.entries ?? []
  }

  update(by = this.owner.device, document: DocumentId = SHARE_DOCUMENT, o: DataOptions = {}): Entry {
    return this.scribe.data(by, 'update', document, { epochKey: this.epochKey, ...o })
  }

  snapshot(by = this.owner.device, document: DocumentId = SHARE_DOCUMENT, o: DataOptions = {}): Entry {
    return this.scribe.data(by, 'snapshot', document, { epochKey: this.epochKey, ...o })
  }

  drop(by = this.owner.device, document = itemDocument(1), o: DataOptions = {}): Entry {
    return this.scribe.data(by, 'drop', document, o)
  }

  /** The epoch keys that someone can open who holds the account's keys and this invite's secret. */
  keysOf(account: Account | null, invite: InviteKeys | null = null): Map<number, Uint8Array> {
    const statements = this.scribe.statements
    return epochKeys(crypto, this.log, statements, {
      account: account?.id ?? null,
      sealingKeys: account?.sealingKeys ?? [],
      invite
    })
  }
}

export function known<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new Error('nothing there')
  return value
}

export function itemDocument(n: number): DocumentId {
  return documentId(Uint8Array.from({ length: 16 }, (_, i) => (i === 0 ? 0x1e : i === 15 ? n & 255 : 0)))
}

/** One statement of every type, with every optional part once there and once not. */
export function everyStatement(dice: Dice): Statement[] {
  const owner = new Account(dice)
  const share = new Share(dice, owner)
  const bob = new Account(dice)
  const bound = share.invited({ bound: bob.id, untilMs: START_MS + 2 * HOUR_MS })
  share.invited({ uses: 3 })
  share.scribe.take(share.joining(bound, bob))
  const second = owner.addDevice()
  share.scribe.take(share.accountEntry(owner, second, owner.proof.slice(1)))
  share.remove()
  share.remove(bob)
  owner.remove([second])
  owner.reset()
  const key = dice(32)
  const more: Statement[] = [
    { type: 'void', invite: bound.id },
    { type: 'leave' },
    { type: 'stop' },
    { type: 'lease', leaseMs: null },
    { type: 'lease', leaseMs: HOUR_MS },
    { type: 'until', member: bob.id, untilMs: null },
    { type: 'until', member: bob.id, untilMs: START_MS },
    { type: 'account', account: bob.id, entries: [] },
    {
      type: 'create-share',
      owner: owner.id,
      nonce: key,
      proof: [],
      leaseMs: null,
      relayKey: key,
      commitment: key,
      ownerBox: dice(KEY_BOX_BYTES),
      name: new Uint8Array(0)
    }
  ]
  return [...owner.scribe.statements, ...share.scribe.statements, ...more]
}

/** For tests that need a statement of one type out of a log. */
export function statementOf<T extends Statement['type']>(entry: Entry, type: T): Statement & { type: T } {
  const statement = decodeStatement(entry.payload)
  if (!isOf(statement, type)) throw new Error(`it is a ${statement.type}`)
  return statement
}

function isOf<T extends Statement['type']>(statement: Statement, type: T): statement is Statement & { type: T } {
  return statement.type === type
}
