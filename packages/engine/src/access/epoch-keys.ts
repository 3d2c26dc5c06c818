/**
 * How a holder of keys comes by the keys of a log's epochs: it opens the boxes that are sealed to it, takes what fits the
 * epoch's commitment, and goes back from there. Source: docs/PROTOCOL.md, Access, Finding an epoch key.
 */
import { type AccountId, type DeviceId, type LogId, same } from '../bytes/ids.ts'
import type { KeyPair, Suite } from '../crypto/suite.ts'
import type { InviteKeys } from './invite.ts'
import { commitment, openEarlier } from './keys.ts'
import type { Statement } from './statement.ts'

/** Whose boxes can be opened in a share: those of an account in all its library's epochs, or of an invite's holder. */
export interface KeyHolder {
  readonly account: AccountId | null
  readonly sealingKeys: readonly KeyPair[]
  readonly invite: InviteKeys | null
}

/** Whose boxes can be opened in a library: a device's, the recovery key's, or an invite's holder's. */
export interface LibraryKeyHolder {
  readonly device: { readonly id: DeviceId; readonly sealing: KeyPair } | null
  readonly recovery: KeyPair | null
  readonly invite: InviteKeys | null
}

/**
 * Collects the epoch keys of a share that the holder can open, newest seal first, then backwards along `previous`.
 * @param statements all access statements so far, in order
 * @param known epoch → key found before; nothing is opened twice
 * @returns epoch → 32-byte key, each one checked against its commitment
 */
export function epochKeys(
  suite: Suite,
  log: LogId,
  statements: readonly Statement[],
  holder: KeyHolder,
  known: ReadonlyMap<number, Uint8Array> = new Map()
): Map<number, Uint8Array> {
  const epochs = new Epochs(suite, log)
  const by = (id: Uint8Array): readonly KeyPair[] => {
    if (holder.account !== null && same(id, holder.account)) return holder.sealingKeys
    return holder.invite && same(id, holder.invite.id) ? [holder.invite.sealing] : []
  }
  for (const s of statements) {
    if (s.type === 'create-share') {
      epochs.begin(1, s.commitment)
      epochs.box(s.ownerBox, by(s.owner))
    } else if (s.type === 'remove-members') {
      epochs.begin(epochs.newest + 1, s.commitment, { previous: s.previous })
      for (const { to, box } of s.seals) epochs.box(box, by(to))
    } else if (s.type === 'join-share') epochs.box(s.box, by(s.account))
    else if (s.type === 'invite') epochs.box(s.box, by(s.invite))
  }
  return epochs.open(known)
}

/** The same of a library. What is sealed to a device alone names it nowhere, so its own key is tried. */
export function libraryEpochKeys(
  suite: Suite,
  log: LogId,
  statements: readonly Statement[],
  holder: LibraryKeyHolder,
  known: ReadonlyMap<number, Uint8Array> = new Map()
): Map<number, Uint8Array> {
  const epochs = new Epochs(suite, log)
  const device = holder.device ? [holder.device.sealing] : []
  const recovery = holder.recovery ? [holder.recovery] : []
  const isMine = (key: Uint8Array) => holder.device !== null && same(key, holder.device.sealing.publicKey)
  for (const s of statements) {
    if (s.type === 'create-library') {
      epochs.begin(1, s.commitment)
      epochs.box(s.deviceBox, isMine(s.deviceSealingKey) ? device : [])
      epochs.box(s.recoveryBox, recovery)
    } else if (s.type === 'remove-devices') {
      epochs.begin(epochs.newest + 1, s.commitment, { previous: s.previous })
      for (const { to, box } of s.seals) epochs.box(box, holder.device && same(to, holder.device.id) ? device : [])
      epochs.box(s.recoveryBox, recovery)
    } else if (s.type === 'reset') {
      epochs.begin(s.epoch, s.commitment, { earlier: s.earlier })
      epochs.box(s.deviceBox, isMine(s.deviceSealingKey) ? device : [])
      epochs.box(s.recoveryBox, recovery)
    } else if (s.type === 'join-library') epochs.box(s.box, isMine(s.deviceSealingKey) ? device : [])
    else if (s.type === 'invite' && holder.invite && same(s.invite, holder.invite.id)) {
      epochs.box(s.box, [holder.invite.sealing])
    }
  }
  return epochs.open(known)
}

/** What the statements of a log say of its epochs, in their order. */
class Epochs {
  readonly #suite: Suite
  readonly #log: LogId
  readonly #commitments = new Map<number, Uint8Array>()
  readonly #before = new Map<number, { readonly previous?: Uint8Array; readonly earlier?: Uint8Array }>()
  readonly #boxes: { readonly epoch: number; readonly box: Uint8Array; readonly by: readonly KeyPair[] }[] = []
  #newest = 0

  constructor(suite: Suite, log: LogId) {
    this.#suite = suite
    this.#log = log
  }

  get newest(): number {
    return this.#newest
  }

  begin(epoch: number, commitment: Uint8Array, before: { previous?: Uint8Array; earlier?: Uint8Array } = {}): void {
    this.#newest = epoch
    this.#commitments.set(epoch, commitment)
    this.#before.set(epoch, before)
  }

  /** A box with the newest epoch's key. @param by the keys that may open it */
  box(box: Uint8Array, by: readonly KeyPair[]): void {
    if (by.length > 0) this.#boxes.push({ epoch: this.#newest, box, by })
  }

  open(known: ReadonlyMap<number, Uint8Array>): Map<number, Uint8Array> {
    const keys = new Map<number, Uint8Array>()
    const keep = (epoch: number, key: Uint8Array | null | undefined) => {
      const wanted = this.#commitments.get(epoch)
      if (!key || !wanted || keys.has(epoch)) return
      if (same(commitment(this.#suite, this.#log, epoch, key), wanted)) keys.set(epoch, key)
    }
    // What was known of another list (a relay that went back) opens nothing here.
    for (const [epoch, key] of known) keep(epoch, key)
    for (const { epoch, box, by } of this.#boxes) {
      for (const pair of by) if (!keys.has(epoch)) keep(epoch, this.#suite.openSealed(pair, box))
    }
    for (const epoch of [...this.#commitments.keys()].sort((a, b) => b - a)) {
      const key = keys.get(epoch)
      const { previous, earlier } = this.#before.get(epoch) ?? {}
      if (!key) continue
      if (previous && !keys.has(epoch - 1)) {
        keep(epoch - 1, this.#suite.open(this.#suite.mac(key, 'previous epoch'), previous, this.#log))
      }
      const opened = earlier && openEarlier(this.#suite, this.#log, key, earlier)
      for (const [at, before] of opened ?? []) keep(at, before)
    }
    return keys
  }
}
