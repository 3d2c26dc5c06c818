/**
 * The past of a share as its owner reads it: its access entries in their order, in the words of people. It is told anew
 * from the entries each time it is asked for, so it is as durable as they are, and holds nothing that is only wanted.
 */
import {
  type AccessRecord,
  type AccountId,
  type DeviceId,
  hex,
  type InviteId,
  type LogId,
  openName,
  type Reason,
  type ShareList,
  type Suite
} from '@lend/engine'
import type { InviteNote } from '../library/library-index.ts'
import type { HistoryEvent, HistoryInvite, HistoryPerson } from './types.ts'

export interface Past {
  readonly suite: Suite
  readonly log: LogId
  readonly records: readonly AccessRecord[]
  /** What the records fold into. */
  readonly list: Pick<ShareList, 'owner' | 'accountsOf'>
  readonly epochKeys: ReadonlyMap<number, Uint8Array>
  /** Invite hex → note. */
  readonly notes: ReadonlyMap<string, InviteNote>
  /** Null when it is none of the owner's. */
  readonly deviceName: (device: DeviceId) => string | null
}

type By = HistoryEvent['by']
/** An event without when and by whom; a union stays one. */
type Told<E = HistoryEvent> = E extends unknown ? Omit<E, 'at' | 'by'> : never

export function historyOf(past: Past): HistoryEvent[] {
  const telling = new Telling(past)
  return past.records.flatMap(record => {
    const at = new Date(record.timeMs)
    const by = telling.by(record)
    return telling.tell(record, by).map(told => ({ at, by, ...told }))
  })
}

/** What holds between two entries, as far as telling needs it: whether they are valid was judged when they came in. */
class Telling {
  readonly #past: Past
  #epoch = 1
  /** Open invites by hex → uses left, and when they expire. */
  readonly #open = new Map<string, { readonly left: number; readonly expiresMs: number }>()
  /** Account hex → the member. */
  readonly #members = new Map<string, HistoryPerson>()

  constructor(past: Past) {
    this.#past = past
  }

  by({ entry, statement }: AccessRecord): By {
    const { owner, accountsOf } = this.#past.list
    const device = entry.author
    if (statement.type === 'join-share') return { account: statement.account, device }
    if (statement.type === 'leave') {
      const accounts = accountsOf.get(hex(device)) ?? []
      const member = accounts.map(account => this.#members.get(account)).find(person => person)
      if (member) return { account: member.account, device }
    }
    const deviceName = this.#past.deviceName(device)
    return { account: owner, device, ...(deviceName === null ? {} : { deviceName }) }
  }

  tell({ statement: s, timeMs }: AccessRecord, by: By): Told[] {
    switch (s.type) {
      case 'create-share':
        return [{ type: 'created' }]
      case 'invite': {
        this.#open.set(hex(s.invite), { left: s.uses, expiresMs: s.expiresMs })
        const until = s.untilMs === null ? {} : { until: new Date(s.untilMs) }
        const bound = s.bound ? { bound: s.bound } : {}
        const expires = new Date(s.expiresMs)
        return [{ type: 'invited', invite: this.#invite(hex(s.invite)), uses: s.uses, expires, ...until, ...bound }]
      }
      case 'void':
        this.#open.delete(hex(s.invite))
        return [{ type: 'voided', invites: [this.#invite(hex(s.invite))], because: 'taken-back' }]
      case 'join-share': {
        const who = this.#person(s.account, s.invite, s.name)
        this.#members.set(hex(s.account), who)
        this.#spend(hex(s.invite))
        return [{ type: 'joined', who, invite: this.#invite(hex(s.invite)) }]
      }
      case 'leave':
        return this.#out(by.account).map(who => ({ type: 'left', who }))
      case 'remove-members': {
        this.#epoch++
        const out = s.who.flatMap(account => this.#out(account))
        const removed = out.map(who => ({ type: 'removed', who, reason: reasonOf(s.reason) }) as const)
        const dead = this.#unsealed(new Set(s.seals.map(({ to }) => hex(to))), timeMs)
        return [...removed, ...(dead.length > 0 ? [{ type: 'voided', invites: dead, because: 'out' } as const] : [])]
      }
      case 'until': {
        const who = this.#members.get(hex(s.member))
        return who ? [{ type: 'limited', who, until: s.untilMs === null ? null : new Date(s.untilMs) }] : []
      }
      case 'lease':
        return [{ type: 'lease', leaseMs: s.leaseMs }]
      case 'stop':
        return [{ type: 'stopped' }]
      default:
        return []
    }
  }

  #person(account: AccountId, invite: InviteId, sealedName: Uint8Array): HistoryPerson {
    const { suite, log, epochKeys, notes } = this.#past
    const key = epochKeys.get(this.#epoch)
    const label = notes.get(hex(invite))?.name
    return { account, name: (key && openName(suite, log, key, sealedName)) ?? '', ...(label ? { label } : {}) }
  }

  #invite(id: string): HistoryInvite {
    const name = this.#past.notes.get(id)?.name
    return { id, ...(name ? { name } : {}) }
  }

  #spend(invite: string): void {
    const open = this.#open.get(invite)
    if (open && open.left > 1) this.#open.set(invite, { ...open, left: open.left - 1 })
    else this.#open.delete(invite)
  }

  #out(account: AccountId): HistoryPerson[] {
    const member = this.#members.get(hex(account))
    this.#members.delete(hex(account))
    return member ? [member] : []
  }

  /** Invites live on by their seal; of those without one, those that were still good. */
  #unsealed(sealed: ReadonlySet<string>, timeMs: number): HistoryInvite[] {
    const dead = [...this.#open].filter(([id]) => !sealed.has(id))
    for (const [id] of dead) this.#open.delete(id)
    return dead.flatMap(([id, { expiresMs }]) => (timeMs < expiresMs ? [this.#invite(id)] : []))
  }
}

/** Of one who is out; devices have no place in a share. */
function reasonOf(reason: Reason): 'removed' | 'expired' {
  return reason === 'expired' ? 'expired' : 'removed'
}
