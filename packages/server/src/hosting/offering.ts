/**
 * Access entries offered to a log that lost them: those that continue its list, verbatim and with their signatures
 * checked. The relay that ordered them has judged whether an invite had expired; today all old ones have. So a join by an
 * invite that has expired by now must be shown to have stood before the loss, or an old link would let in whoever has kept
 * it: by the word of an owner's device, or of this relay itself. Source: docs/PROTOCOL.md, Incarnations and the lost tail.
 */
import {
  type AccessList,
  type AccountId,
  accountId,
  copyList,
  decodeStatement,
  type Entry,
  foldLibrary,
  foldShare,
  hex,
  type LogId,
  Refusal,
  type Statement,
  type Suite,
  same,
  writers
} from '@lend/engine'
import type { Claim } from './claim.ts'
import type { Host } from './host.ts'
import { proofIn, verifyProof } from './proofs.ts'
import { standingBy } from './seat.ts'
import { WORK } from './turns.ts'

/** Who offers, and what it has shown. */
export interface Offerer extends Pick<Claim, 'device' | 'shown' | 'proven'> {
  readonly lane: object
}

export interface Offered {
  readonly entry: Entry
  readonly statement: Statement
}

/** What is offered, before it is verified: entries of this log that can be read. */
export function readOffer(log: LogId, entries: readonly Entry[]): Offered[] {
  return entries.flatMap(entry => {
    if (entry.kind !== 'access' || !same(entry.log, log)) return []
    try {
      return [{ entry, statement: decodeStatement(entry.payload) }]
    } catch (error) {
      if (error instanceof Refusal) return []
      throw error
    }
  })
}

/**
 * Whether the offer is worth verifying: its sender has a part in the list, or has one by what it offers.
 * @param list stays as it is
 */
export async function mayOffer(
  host: Host,
  list: AccessList | null,
  offered: readonly Offered[],
  by: Offerer
): Promise<boolean> {
  if (hasPart(list, by)) return true
  if (!mayContinue(list, offered)) return false
  let next = await copyInTurn(host, list, by.lane)
  for (const { entry, statement } of offered) {
    await host.turns.take((1 + (proofIn(statement)?.entries.length ?? 0)) * WORK.fold, by.lane)
    next = fold(host.suite, next, entry, statement, false) ?? next
    // Nothing comes before a create.
    if (!next) return false
  }
  return hasPart(next, by)
}

/**
 * @param list stays as it is
 * @returns the entries that continue it, in order, up to the first join that nobody vouches for
 */
export async function continuing(
  host: Host,
  list: AccessList | null,
  offered: readonly Offered[],
  by: Offerer,
  nowMs: number
): Promise<Offered[]> {
  if (!mayContinue(list, offered)) return []
  const taken: Offered[] = []
  /** From the first join on that may be new: they wait for someone's word. */
  let doubtful: Offered[] = []
  let next = await copyInTurn(host, list, by.lane)
  /** Who vouches: the owner's, by what is beyond doubt. */
  let owners = ownersOf(next)
  for (const one of offered) {
    const { entry, statement } = one
    await verifyProof(host, next, statement, by.lane)
    await host.turns.take(WORK.verify, by.lane)
    const mayBeNew = isLate(next, statement, nowMs)
    const folded = fold(host.suite, next, entry, statement, true)
    if (!folded && !next) break
    if (!folded) continue
    next = folded
    // An owner's device has seen the list that it adds to, and this relay the one that its head names.
    const isVouched =
      owners.has(hex(by.device)) || owners.has(hex(entry.author)) || (by.shown !== null && same(by.shown, entry.id))
    if ((mayBeNew || doubtful.length > 0) && !isVouched) {
      doubtful.push(one)
      continue
    }
    taken.push(...doubtful, one)
    doubtful = []
    owners = ownersOf(next)
  }
  return taken
}

/** The account whose log begins with this create. */
export function creatorOf({ entry, statement }: Offered): AccountId {
  return statement.type === 'create-share' ? statement.owner : accountId(entry.log)
}

/** Whether it is an owner's or a member's, by the list as it stands. */
export function hasPart(list: AccessList | null, { device, proven }: Offerer): boolean {
  const standing = list && standingBy(list, device, proven)
  return standing?.is === 'owner' || standing?.is === 'member'
}

/** Without its signatures: what can't continue the list costs nothing. */
function mayContinue(list: AccessList | null, offered: readonly Offered[]): boolean {
  if (!list) return offered.length > 0
  return offered.some(({ entry, statement }) => same(entry.accessHead, list.head) || statement.type === 'reset')
}

/** A list to try entries on: a copy costs its length. */
async function copyInTurn(host: Host, list: AccessList | null, lane: object): Promise<AccessList | null> {
  if (!list) return null
  await host.turns.take(list.length * WORK.copy, lane)
  return copyList(list)
}

/** Devices of the owner, and a library's root key. */
function ownersOf(list: AccessList | null): Set<string> {
  const owners = new Set(list ? writers(list) : [])
  return list?.kind === 'library' ? owners.add(hex(list.rootKey)) : owners
}

/** A join by an invite that has expired by now. */
function isLate(list: AccessList | null, s: Statement, nowMs: number): boolean {
  if (s.type !== 'join-share' && s.type !== 'join-library') return false
  const invite = list?.invites.get(hex(s.invite))
  return invite !== undefined && nowMs >= invite.expiresMs
}

/** Null when it does not continue the list, or is no valid entry of it. */
function fold(
  suite: Suite,
  list: AccessList | null,
  entry: Entry,
  statement: Statement,
  signatures: boolean
): AccessList | null {
  const judge = { timeMs: null, signatures }
  const isLibrary = list ? list.kind === 'library' : statement.type === 'create-library'
  const folded = isLibrary
    ? foldLibrary(suite, list?.kind === 'library' ? list : null, entry, statement, judge)
    : foldShare(suite, list?.kind === 'share' ? list : null, entry, statement, 0, judge)
  return folded instanceof Refusal ? null : folded
}
