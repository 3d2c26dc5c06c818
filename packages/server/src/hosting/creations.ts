/**
 * How many logs an account and a network may create: each costs disk for ever. Whoever can make accounts can make them
 * without end, so it is the network that bounds strangers. There every try counts, for each costs signatures.
 */
import { type AccessList, type AccountId, hex, Refusal } from '@lend/engine'
import type { RelayLimits } from '../config.ts'
import { Allowance } from './allowance.ts'

export class Creations {
  readonly #accounts: Allowance
  readonly #networks: Allowance

  constructor(limits: RelayLimits) {
    const { createsPerMinute, createBurst, networkCreatesPerMinute, networkCreateBurst } = limits
    this.#accounts = new Allowance({ perMinute: createsPerMinute, burst: createBurst })
    this.#networks = new Allowance({ perMinute: networkCreatesPerMinute, burst: networkCreateBurst })
  }

  /** Takes one creation from what a network has left. @returns why there is none, or null */
  spendNetwork(network: string, nowMs: number): Refusal | null {
    return spend(this.#networks, network, 'address', nowMs)
  }

  /** The same for the account of a log whose create has been found good. */
  spendAccount(account: AccountId, nowMs: number): Refusal | null {
    return spend(this.#accounts, hex(account), 'account', nowMs)
  }
}

/** Whose log it is. */
export function ownerOf(list: AccessList): AccountId {
  return list.kind === 'library' ? list.account : list.owner
}

function spend(allowance: Allowance, who: string, what: string, nowMs: number): Refusal | null {
  const waitMs = allowance.waitMs(who, nowMs)
  if (waitMs === 0) {
    allowance.spend(who, nowMs)
    return null
  }
  return new Refusal('RATE_LIMITED', `create: too many logs of this ${what}; again in ${waitMs} ms`, waitMs)
}
