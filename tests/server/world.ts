/** A relay on a real socket and disk with one share of Ann's in it, for tests; `closeWorlds` leaves nothing behind. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeHead, type Frame, hex, type Incarnation, incarnation } from '@lend/engine'
import { type Relay, type RelayOptions, startRelay } from '@lend/server'
import * as assert from 'uvu/assert'
import {
  connectRaw,
  makeAccount,
  makeShare,
  type RawAccount,
  type RawClient,
  type RawShare,
  UNSEEN
} from './raw-client.ts'

export interface World {
  readonly data: string
  readonly ann: RawAccount
  readonly share: RawShare
  readonly life: Incarnation
  relay: Relay
  /** The owner's session, which follows nothing yet. */
  owner: RawClient
  /** @param between what to do to the data while the relay is down */
  restart(between?: () => Promise<void>): Promise<void>
}

const relays = new Set<Relay>()
const directories = new Set<string>()

export async function newData(): Promise<string> {
  const data = await mkdtemp(join(tmpdir(), 'lend-relay-'))
  directories.add(data)
  return data
}

export async function start(data: string, options: Partial<RelayOptions> = {}): Promise<Relay> {
  const relay = await startRelay({ port: 0, data, ...options })
  relays.add(relay)
  return relay
}

export async function closeWorlds(): Promise<void> {
  await Promise.all([...relays].map(relay => relay.close()))
  await Promise.all([...directories].map(path => rm(path, { recursive: true, force: true })))
  relays.clear()
  directories.clear()
}

export async function newWorld(options: Partial<RelayOptions> = {}): Promise<World> {
  const data = await newData()
  const relay = await start(data, options)
  const ann = makeAccount('Ann')
  const share = makeShare(ann, relay.key)
  const owner = await connectRaw(relay.url, ann.device, relay.key)
  const head = await owner.appended(share.log, UNSEEN, share.create)
  const world: World = {
    data,
    relay,
    ann,
    share,
    owner,
    life: incarnation(decodeHead(head).incarnation.slice()),
    async restart(between) {
      await world.relay.close()
      await between?.()
      world.relay = await start(data, options)
      world.owner = await connectRaw(world.relay.url, ann.device, relay.key)
    }
  }
  return world
}

/** Invites someone new, who joins and reads up. */
export async function newMember(world: World): Promise<{ bob: RawAccount; client: RawClient }> {
  const { share, owner, life, relay } = world
  const { entry, keys } = share.invite()
  await owner.appended(share.log, life, entry)
  const bob = makeAccount('Bob')
  const client = await connectRaw(relay.url, bob.device, relay.key)
  await client.followed(share.log, { invite: keys })
  const joining = share.join(bob, keys)
  await client.appended(share.log, life, joining)
  share.take(joining)
  const following = await client.followed(share.log)
  assert.is(following.standing, 'member')
  await client.readTo(share.log, decodeHead(following.head).seq)
  return { bob, client }
}

/** The entries that were delivered, each by its tail. */
export function bytesOf(frames: readonly Frame[]): string[] {
  return frames.flatMap(frame => (frame.type === 'entries' ? frame.entries.map(tail) : []))
}

/** The end of an entry's signature: enough to tell entries apart. */
export function tail({ bytes }: { bytes: Uint8Array }): string {
  return hex(bytes.slice(-8))
}
