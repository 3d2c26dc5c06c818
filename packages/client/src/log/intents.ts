/**
 * What a person wants of a share, kept until its relay has it. An intent is a wish about the list ("Bob is out"), never
 * a signed entry, so it can be decided again whenever the list has moved on.
 */
import {
  type AccessList,
  type AccountId,
  accountId,
  authorInvite,
  authorRemoval,
  type DeviceId,
  deviceId,
  hex,
  type InviteId,
  inviteId,
  inviteKeys,
  type Preview,
  Reader,
  type Reason,
  type ShareList,
  type Statement,
  type Suite,
  Writer
} from '@lend/engine'
import { del, KEYS, numberOf, put } from './records.ts'
import type { Replica } from './replica.ts'

export type Intent =
  | {
      readonly type: 'invite'
      /** 32 bytes, which the link carries. */
      readonly secret: Uint8Array
      readonly uses: number
      readonly expiresMs: number
      readonly untilMs: number | null
      readonly bound: AccountId | null
    }
  | { readonly type: 'void'; readonly invite: InviteId }
  | { readonly type: 'remove'; readonly account: AccountId; readonly reason: Extract<Reason, 'removed' | 'expired'> }
  | { readonly type: 'until'; readonly account: AccountId; readonly untilMs: number | null }
  | { readonly type: 'stop' }
  /** In a library. */
  | {
      readonly type: 'remove-device'
      readonly device: DeviceId
      readonly reason: Extract<Reason, 'device-removed' | 'cloned'>
    }

const NUMBERS = { invite: 1, void: 2, remove: 3, until: 4, stop: 5, 'remove-device': 6 } as const
const byNumber = new Map(Object.entries(NUMBERS).map(([type, n]) => [n as number, type as Intent['type']]))

export interface KeptIntent {
  readonly n: number
  readonly intent: Intent
}

export class Intents {
  readonly #replica: Replica<AccessList>
  #kept: KeptIntent[] = []
  #next = 1

  constructor(replica: Replica<AccessList>) {
    this.#replica = replica
  }

  async load(): Promise<void> {
    for await (const { key, value } of this.#replica.store.range('intent/')) {
      this.#kept.push({ n: numberOf(key), intent: decodeIntent(value) })
      this.#next = numberOf(key) + 1
    }
  }

  get all(): readonly KeptIntent[] {
    return this.#kept
  }

  get first(): KeptIntent | null {
    return this.#kept[0] ?? null
  }

  /** Resolves when all are saved here, or none is. */
  async add(...intents: readonly Intent[]): Promise<void> {
    const kept = intents.map(intent => ({ n: this.#next++, intent }))
    for (const { n, intent } of kept) this.#replica.change(put(KEYS.intent(n), encodeIntent(intent)))
    await this.#replica.commit({ durable: true })
    this.#kept = [...this.#kept, ...kept]
  }

  /** Its effect is in the list, or can't be had. */
  async done(n: number): Promise<void> {
    this.#kept = this.#kept.filter(kept => kept.n !== n)
    this.#replica.change(del(KEYS.intent(n)))
    await this.#replica.commit({ durable: false })
  }
}

/** What an owner's device writes for an intent; null when the list says so already. @throws Error without the key */
export function decideIntent(
  suite: Suite,
  replica: Replica,
  intent: Intent,
  list: ShareList,
  preview: Preview
): Statement | null {
  const { dice } = replica.world
  const epochKey = replica.epochKey(list.epoch)
  if (!epochKey) throw new Error('an owner without the key of its own epoch')
  switch (intent.type) {
    case 'invite': {
      const known = list.invites.has(hex(inviteKeys(suite, intent.secret).id))
      return known ? null : authorInvite(suite, { ...intent, preview, epochKey }, dice)
    }
    case 'void':
      return list.invites.get(hex(intent.invite))?.state === 'open' ? { type: 'void', invite: intent.invite } : null
    case 'remove': {
      if (!list.members.has(hex(intent.account))) return null
      const removal = authorRemoval(
        suite,
        list,
        { who: [intent.account], reason: intent.reason, epochKey, nowMs: replica.world.now() },
        dice
      )
      return removal?.statement ?? null
    }
    case 'until': {
      const member = list.members.get(hex(intent.account))
      if (!member || member.untilMs === intent.untilMs) return null
      return { type: 'until', member: intent.account, untilMs: intent.untilMs }
    }
    case 'stop':
      return list.stopped ? null : { type: 'stop' }
    case 'remove-device':
      return null
  }
}

/** The rotation that is due after a leave or a void. */
export function decideRotation(suite: Suite, replica: Replica, list: ShareList): Statement | null {
  const epochKey = replica.epochKey(list.epoch)
  if (!list.rotationDue || list.stopped || !epochKey) return null
  const nowMs = replica.world.now()
  return (
    authorRemoval(suite, list, { who: [], reason: 'rotation', epochKey, nowMs }, replica.world.dice)?.statement ?? null
  )
}

function encodeIntent(intent: Intent): Uint8Array {
  const w = new Writer().u8(NUMBERS[intent.type])
  switch (intent.type) {
    case 'invite':
      w.bytes(intent.secret)
        .u32(intent.uses)
        .u53(intent.expiresMs)
        .optional(intent.untilMs, ms => w.u53(ms))
      w.optional(intent.bound, account => w.bytes(account))
      break
    case 'void':
      w.bytes(intent.invite)
      break
    case 'remove':
      w.bytes(intent.account).flag(intent.reason === 'expired')
      break
    case 'until':
      w.bytes(intent.account).optional(intent.untilMs, ms => w.u53(ms))
      break
    case 'remove-device':
      w.bytes(intent.device).flag(intent.reason === 'cloned')
      break
    case 'stop':
      break
  }
  return w.finish()
}

function decodeIntent(bytes: Uint8Array): Intent {
  const r = new Reader(bytes, 'BAD_FRAME', 'intent')
  const type = byNumber.get(r.u8())
  switch (type) {
    case 'invite':
      return {
        type,
        secret: r.bytes(32),
        uses: r.u32(),
        expiresMs: r.u53(),
        untilMs: r.optional(() => r.u53()),
        bound: r.optional(() => accountId(r.bytes(32)))
      }
    case 'void':
      return { type, invite: inviteId(r.bytes(32)) }
    case 'remove':
      return { type, account: accountId(r.bytes(32)), reason: r.flag() ? 'expired' : 'removed' }
    case 'until':
      return { type, account: accountId(r.bytes(32)), untilMs: r.optional(() => r.u53()) }
    case 'remove-device':
      return { type, device: deviceId(r.bytes(32)), reason: r.flag() ? 'cloned' : 'device-removed' }
    case 'stop':
      return { type }
    default:
      return r.fail('it is of another version')
  }
}
