/** The owner in the question library, with the real client in a process of its own. */
import { type Account, openAccount, type Share } from '@lend/client'
import { decodeEntry, decodeFrame, decodeStatement, same } from '@lend/engine'
import { world } from '../../packages/client/src/world.node.ts'
import { suite } from '../../tests/server/raw-client.ts'
import { serve, type Usage, usageOf } from '../part.ts'
import { after, linkOf } from './accounts.ts'

/** What a start took, and what it holds then. */
export interface Opened {
  readonly ms: number
  readonly databases: number
  readonly usage: Usage
}

/** What taking one member out took here. */
export interface Rotated {
  /** From the call to the entry in the socket. */
  readonly sentMs: number
  readonly entryBytes: number
  /** From the call until the relay has it. */
  readonly doneMs: number
}

let databases = 0
let rotation: { readonly atMs: number; readonly bytes: number } | null = null
let account: Account | null = null

const watched: typeof world = {
  ...world,
  disk(path) {
    const disk = world.disk(path)
    return {
      ...disk,
      openDatabase(name) {
        databases++
        return disk.openDatabase(name)
      }
    }
  },
  connect(url, events) {
    const socket = world.connect(url, events)
    return {
      get bufferedBytes() {
        return socket.bufferedBytes
      },
      get receivedBytes() {
        return socket.receivedBytes
      },
      send(bytes) {
        look(bytes)
        socket.send(bytes)
      },
      close: () => socket.close()
    }
  }
}

const functions = {
  /** Resolves when the library can be listed: that is when an app shows it. */
  async open({ url, path }: { url: string; path: string }): Promise<Opened> {
    const startMs = performance.now()
    account = await openAccount({ path, relay: url, name: 'Maya', world: watched })
    const ms = performance.now() - startMs
    return { ms, databases, usage: await usageOf(true) }
  },

  /** @returns ms for all, saved here */
  async fill({ items }: { items: number }): Promise<number> {
    const { library } = opened()
    const startMs = performance.now()
    for (let i = 0; i < items; i += ADDED_AT_ONCE) {
      const count = Math.min(ADDED_AT_ONCE, items - i)
      await Promise.all(Array.from({ length: count }, (_, n) => library.add('camera', { name: `Camera ${i + n}` })))
    }
    return performance.now() - startMs
  },

  async synced(_: object): Promise<number> {
    const startMs = performance.now()
    await opened().synced()
    return performance.now() - startMs
  },

  /** Opens each item once, one after the other. */
  async touch({ items }: { items: number }): Promise<{ ms: number; usage: Usage }> {
    const { library } = opened()
    const startMs = performance.now()
    for (const item of library.items.slice(0, items)) (await library.open(item)).destroy()
    return { ms: performance.now() - startMs, usage: await usageOf(true) }
  },

  /** Shares of so many items each. @returns ms for all, saved here */
  async lend({ shares, items }: { shares: number; items: number }): Promise<number> {
    const { library } = opened()
    const startMs = performance.now()
    for (let i = 0; i < shares; i++) {
      const chosen = Array.from({ length: items }, (_, n) => library.items[(i * items + n) % library.items.length])
      await opened().share({ title: `Share ${i}`, items: chosen.filter(item => item !== undefined) })
    }
    return performance.now() - startMs
  },

  invite: ({ uses }: { uses: number }) => linkOf(share(), uses),

  async members({ count }: { count: number }): Promise<void> {
    await after(share(), () => (share().members.filter(isIn).length >= count ? true : null))
  },

  /** One more item, one less. @returns ms until saved here, and until the relay has the copy or its drop */
  async select({ at, isIn }: { at: number; isIn: boolean }): Promise<{ savedMs: number; syncedMs: number }> {
    const item = opened().library.items[at]
    if (!item) throw new Error('there is no such item')
    const startMs = performance.now()
    await (isIn ? share().select(item) : share().unselect(item))
    const savedMs = performance.now() - startMs
    await share().synced()
    return { savedMs, syncedMs: performance.now() - startMs }
  },

  async remove(_: object): Promise<Rotated> {
    const one = share().members.find(isIn)
    if (!one) throw new Error('nobody is in')
    rotation = null
    const startMs = performance.now()
    await share().remove(one)
    await after(share(), () => share().members.find(m => same(m.account, one.account) && m.state === 'removed'))
    const { atMs, bytes } = rotation ?? fail()
    return { sentMs: atMs - startMs, entryBytes: bytes, doneMs: performance.now() - startMs }
  }
}

/** As an app that imports does. */
const ADDED_AT_ONCE = 100

function isIn({ state }: Share['members'][number]): boolean {
  return state === 'joined'
}

function look(bytes: Uint8Array): void {
  const atMs = performance.now()
  // The handshake's frames are no one's business here, and letters are many.
  if (bytes.length < 500) return
  const frame = decodeFrame(bytes)
  if (frame.type !== 'append') return
  for (const entryBytes of frame.entries) {
    const { kind, payload } = decodeEntry(suite, entryBytes)
    if (kind === 'access' && decodeStatement(payload).type === 'remove-members') {
      rotation = { atMs, bytes: entryBytes.length }
    }
  }
}

function opened(): Account {
  return account ?? fail()
}

/** The one with the members. */
function share(): Share {
  return opened().shares[0] ?? fail()
}

function fail(): never {
  throw new Error('open and lend first, then remove')
}

export type LibraryOwner = typeof functions

serve(functions, () => account?.close())
