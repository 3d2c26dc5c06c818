/**
 * What the integration tests share: a relay and some people's accounts below one temporary folder, and how to wait for
 * what happens to them. Closing a household closes and removes all of it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Account,
  type Ended,
  type LendError,
  type LentShare,
  type Member,
  openAccount,
  type Share,
  type Status,
  type World
} from '@lend/client'
import { hex } from '@lend/engine'
import { type Relay, type RelayOptions, startRelay } from '@lend/server'
import * as Y from 'yjs'
import { nodeWorld } from './worlds.ts'

const WAIT_MS = 20_000

/** What `until` can watch. */
export type Watched = Y.Doc | { on(event: 'change' | 'status' | 'ended', listener: () => void): () => void }

/** What `event` can wait for. */
interface Events {
  ended: Ended
  error: LendError
  refused: LendError
  status: Status
}

export interface Household {
  readonly dir: string
  /** The one that runs now. */
  readonly relay: Relay
  /** Opens the account that is kept in its own folder; makes it the first time. */
  person(name: string, o?: { world?: World; relay?: string }): Promise<Account>
  /** Where that person's account is kept. */
  folder(name: string): string
  /** Where the relay keeps its data. */
  readonly relayFolder: string
  /** Closes the relay; people go offline. */
  stopRelay(): Promise<void>
  /** Starts it again, at the same address and by default on the same data. */
  startRelay(o?: Partial<RelayOptions>): Promise<Relay>
  /** Closes it with the household, first. @returns it */
  keep<T extends { close(): Promise<unknown> }>(thing: T): T
  /** Closes everybody who is still open, then the relay, and removes the folder. */
  close(): Promise<void>
}

export async function openHousehold(o: Partial<RelayOptions> = {}): Promise<Household> {
  const dir = await mkdtemp(join(tmpdir(), 'lend-household-'))
  const relayFolder = join(dir, 'relay')
  const start = (port: number, more: Partial<RelayOptions>) => startRelay({ data: relayFolder, ...o, ...more, port })
  const people: Account[] = []
  const kept: { close(): Promise<unknown> }[] = []
  let relay = await start(0, {})
  const port = Number(new URL(relay.url).port)
  const folder = (name: string) => join(dir, name)
  return {
    dir,
    relayFolder,
    folder,
    get relay() {
      return relay
    },
    async person(name, { world = nodeWorld, relay: url = relay.url } = {}) {
      const person = await openAccount({ path: folder(name), relay: url, name, world })
      people.push(person)
      return person
    },
    stopRelay: () => relay.close(),
    async startRelay(more = {}) {
      relay = await start(port, more)
      return relay
    },
    keep(thing) {
      kept.push(thing)
      return thing
    },
    async close() {
      await Promise.all(kept.map(thing => thing.close()))
      await Promise.all(people.map(person => person.close()))
      await relay.close()
      await rm(dir, { recursive: true, force: true })
    }
  }
}

/** A test in a household of its own, which is closed whatever happens in it. */
export function household(run: (house: Household) => Promise<void>, o?: Partial<RelayOptions>): () => Promise<void> {
  return async () => {
    const house = await openHousehold(o)
    try {
      await run(house)
    } catch (error) {
      // What went wrong counts, not what closing finds because of it.
      await house.close().catch(() => {})
      throw error
    }
    await house.close()
  }
}

/** A share with a text in it, at its relay. */
export async function lend(owner: Account, title: string, text = ''): Promise<Share> {
  const share = await owner.share({ title })
  textOf(share).insert(0, text)
  await share.synced()
  return share
}

/** Makes an invite and waits until the relay has it. @returns its link */
export async function linkTo(share: Share, o: Parameters<Share['invite']>[0] = {}): Promise<string> {
  const { id } = await share.invite(o)
  const { link } = await until(share, () => share.invites.find(invite => invite.id === id && invite.state === 'open'))
  if (link === null) throw new Error('the device that made an invite knows its link')
  return link
}

/** Invites and accepts; resolves when the reader has all of the share. */
export async function follow(share: Share, reader: Account): Promise<LentShare> {
  const lent = await reader.accept(await linkTo(share, { name: reader.name }))
  await lent.synced()
  return lent
}

/** The member of this account, as the owner sees it now. */
export function memberOf(share: Share, account: Account): Member {
  const member = share.members.find(other => hex(other.account) === hex(account.id))
  if (!member) throw new Error(`${account.name} is no member`)
  return member
}

/** Takes an account out; resolves when the relay has acknowledged the removal. */
export async function takeOut(share: Share, account: Account): Promise<void> {
  await share.remove(memberOf(share, account))
  await until(share, () => memberOf(share, account).state === 'removed')
}

/** The text that these tests write, in a share of either side. */
export function textOf(share: Share | LentShare): Y.Text {
  return share.doc.getText('text')
}

/** Where an account keeps its replica of a share. */
export function replicaOf(folder: string, share: { readonly id: Uint8Array }): { directory: string; keyFile: string } {
  return { directory: join(folder, 'logs', hex(share.id)), keyFile: join(folder, 'keys', hex(share.id)) }
}

/** Looks now and at each event; resolves with the first answer that is true. */
export function until<T>(watched: Watched, look: () => T): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  return new Promise((resolve, reject) => {
    const check = () => {
      try {
        const answer = look()
        if (!answer) return
        stop()
        resolve(answer as Exclude<T, false | null | undefined | 0 | ''>)
      } catch (error) {
        stop()
        reject(error)
      }
    }
    const late = setTimeout(() => {
      stop()
      reject(new Error(`not within ${WAIT_MS} ms: ${look}`))
    }, WAIT_MS)
    const unwatch = subscribe(watched, check)
    const stop = () => {
      clearTimeout(late)
      unwatch()
    }
    check()
  })
}

/** The first `name` that fits. Ask before what causes it. */
export function event<K extends keyof Events>(
  emitter: { on(event: NoInfer<K>, listener: (value: Events[NoInfer<K>]) => void): () => void },
  name: K,
  fits: (value: Events[K]) => boolean = () => true
): Promise<Events[K]> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(late)
      unlisten()
    }
    const late = setTimeout(() => {
      stop()
      reject(new Error(`no ${name} within ${WAIT_MS} ms that fits ${fits}`))
    }, WAIT_MS)
    const unlisten = emitter.on(name, value => {
      if (!fits(value)) return
      stop()
      resolve(value)
    })
  })
}

function subscribe(watched: Watched, check: () => void): () => void {
  if (watched instanceof Y.Doc) {
    watched.on('update', check)
    return () => watched.off('update', check)
  }
  const stops = (['change', 'status', 'ended'] as const).map(name => watched.on(name, check))
  return () => {
    for (const stop of stops) stop()
  }
}
