/** One writer and its readers, at a relay or at the floor: updates go out by number, and every arrival is counted. */
import { decodeHead, type Incarnation, type InviteKeys, incarnation } from '@lend/engine'
import {
  connectRaw,
  makeAccount,
  makeShare,
  type RawAccount,
  type RawShare,
  UNSEEN
} from '../../tests/server/raw-client.ts'
import { connectLight, Joiners, type LightClient } from './lend.ts'
import { LightSocket } from './light-socket.ts'

export interface Crowd {
  readonly readers: number
  /** How many updates are ready to be sent. */
  readonly updates: number
  /** Called for each arrival. Numbers are from 1. */
  arrived: (reader: number, update: number) => void
  /** Sends the updates from number `from` to number `to`, at once. */
  send(from: number, to: number): void
  close(): Promise<void>
}

/** What one typed letter is as a Yjs update. */
const LETTER_BYTES = 24
/** Where an entry has its ctr: after version, kind, flags, log, author and document. */
const CTR_AT = 1 + 1 + 2 + 32 + 32 + 16

/** At the floor: entries of the same length, which nobody looks at. */
export async function openBroadcastCrowd(o: { url: string; readers: number }): Promise<Crowd> {
  const [entry] = sealed(makeShare(makeAccount(), new Uint8Array(32)), 1)
  if (!entry) throw new Error('nothing was sealed')
  const writer = new LightSocket(o.url, () => {})
  await writer.opened
  const crowd: Crowd = {
    readers: o.readers,
    updates: Number.POSITIVE_INFINITY,
    arrived: () => {},
    send(from, to) {
      writer.together(() => {
        for (let update = from; update <= to; update++) {
          numberAt(entry).setBigUint64(0, BigInt(update))
          writer.send(entry)
        }
      })
    },
    async close() {
      await Promise.all([writer, ...readers].map(socket => socket.close()))
    }
  }
  const readers = await inParallel(o.readers, async reader => {
    const socket = new LightSocket(o.url, payload => crowd.arrived(reader, ctrOf(payload)))
    await socket.opened
    return socket
  })
  return crowd
}

/** At a relay: each reader is a member of its own, and all entries are sealed and signed before the first is sent. */
export async function openLendCrowd(o: {
  url: string
  key: Uint8Array
  readers: number
  updates: number
}): Promise<Crowd> {
  const { share, life, invite } = await openShare(o)
  const joiners = new Joiners({ url: o.url, log: share.log, invite })
  const readers: LightClient[] = []
  while (readers.length < o.readers) readers.push(await joiners.join())
  const writer = await connectLight(o.url, share.owner.device)
  const entries = sealed(share, o.updates)
  const crowd: Crowd = {
    readers: o.readers,
    updates: o.updates,
    arrived: () => {},
    send(from, to) {
      writer.append(share.log, life, entries.slice(from - 1, to))
    },
    async close() {
      await Promise.all([writer, ...readers].map(({ socket }) => socket.close()))
    }
  }
  for (const [reader, client] of readers.entries()) {
    client.listener = {
      entries(placed) {
        for (const { bytes } of placed) {
          const ctr = ctrOf(bytes)
          // Access entries of those who joined later have none.
          if (ctr > 0) crowd.arrived(reader, ctr)
        }
      }
    }
  }
  return crowd
}

/** A share at the relay with an invite for many. */
export async function openShare(o: {
  url: string
  key: Uint8Array
  owner?: RawAccount
}): Promise<{ share: RawShare; life: Incarnation; invite: InviteKeys }> {
  const owner = o.owner ?? makeAccount('Ann')
  const share = makeShare(owner, o.key)
  const setup = await connectRaw(o.url, owner.device, o.key)
  const head = await setup.appended(share.log, UNSEEN, share.create)
  const life = incarnation(decodeHead(head).incarnation.slice())
  const { entry, keys } = share.invite({ uses: 10_000 })
  await setup.appended(share.log, life, entry)
  await setup.close()
  return { share, life, invite: keys }
}

/** So many updates of a letter each. */
export function sealed(share: RawShare, updates: number, contentBytes = LETTER_BYTES): Uint8Array[] {
  const content = new Uint8Array(contentBytes)
  return Array.from({ length: updates }, () => share.update(content).bytes)
}

export async function inParallel<T>(count: number, open: (index: number) => Promise<T>): Promise<T[]> {
  const opened: T[] = []
  const AT_ONCE = 50
  while (opened.length < count) {
    const first = opened.length
    const some = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, i) => open(first + i))
    opened.push(...(await Promise.all(some)))
  }
  return opened
}

function numberAt(entry: Uint8Array): DataView {
  return new DataView(entry.buffer, entry.byteOffset + CTR_AT, 8)
}

/** The number of an update: 0 for access entries. */
export function ctrOf(entry: Uint8Array): number {
  const view = numberAt(entry)
  return view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4)
}
