/** Who is in the show: a relay, Maya with her share, and two readers; each account in a folder of its own. */
import { join } from 'node:path'
import { type Account, LendError, type LentShare, openAccount, type Share } from '@lend/client'
import { type Relay, startRelay } from '@lend/server'

export interface Cast {
  readonly relay: Relay
  readonly share: Share
  readonly ana: Reader
  readonly ben: Reader
  /** What goes wrong behind the scenes, in a sentence. */
  trouble(tell: (sentence: string) => void): void
  close(): Promise<void>
}

/** When things happened, in ms of `performance.now()`; null for what did not. */
export interface Removal {
  readonly acknowledged: number | null
  readonly ended: number | null
  readonly wiped: number | null
}

/** @param folder an empty one */
export async function openCast(folder: string, title: string): Promise<Cast> {
  const relay = await startRelay({ port: 0, data: join(folder, 'relay') })
  const maya = await openAccount({ path: join(folder, 'maya'), relay: relay.url, name: 'Maya' })
  const share = await maya.share({ title })
  const [ana, ben] = [new Reader('Ana', folder, relay.url), new Reader('Ben', folder, relay.url)]
  await ana.open()
  await ben.open()
  return {
    relay,
    share,
    ana,
    ben,
    trouble(tell) {
      maya.on('error', error => tell(`Maya: ${error.code}, ${error.message}`))
      share.on('refused', error => tell(`Maya: ${error.code}, ${error.message}`))
      for (const reader of [ana, ben]) reader.trouble = error => tell(`${reader.name}: ${error.code}, ${error.message}`)
    },
    async close() {
      await Promise.all([maya.close(), ana.close(), ben.close()])
      await relay.close()
    }
  }
}

/** Someone to whom the share is lent, and the device that goes on and off. */
export class Reader {
  readonly name: string
  /** All that this account keeps. */
  readonly folder: string
  readonly #relayUrl: string
  #account: Account | null = null
  #lent: LentShare | null = null
  #link: string | null = null
  #out = false
  trouble: (error: LendError) => void = () => {}

  constructor(name: string, folder: string, relayUrl: string) {
    this.name = name
    this.folder = join(folder, name.toLowerCase())
    this.#relayUrl = relayUrl
  }

  /** Null before it was accepted, while the device is off, and after it was taken back. */
  get lent(): LentShare | null {
    return this.#lent
  }

  get is(): string {
    if (this.#out) return 'is out'
    if (this.#account === null) return 'is offline'
    if (this.#lent === null) return 'is not invited'
    return this.#lent.status.state === 'syncing' ? 'catches up' : 'follows'
  }

  /** Switches the device on. @returns what is lent to it already */
  async open(): Promise<LentShare | null> {
    const { folder, name } = this
    this.#account = await openAccount({ path: folder, relay: this.#relayUrl, name })
    this.#account.on('error', error => this.trouble(error))
    this.#lent = this.#account.sharedWithMe[0] ?? null
    return this.#lent
  }

  async accept(link: string): Promise<LentShare> {
    this.#link = link
    this.#lent = await this.#on.accept(link)
    return this.#lent
  }

  /** Switches the device off. */
  async close(): Promise<void> {
    this.#lent = null
    const account = this.#account
    this.#account = null
    await account?.close()
  }

  /** Where the client keeps the replica: a directory, and its key apart from it. */
  replicaOf(lent: LentShare): { readonly folder: string; readonly keyFile: string } {
    const id = Buffer.from(lent.id).toString('hex')
    return { folder: join(this.folder, 'logs', id), keyFile: join(this.folder, 'keys', id) }
  }

  /** The owner takes this account out. Resolves when the relay has said so and the replica is gone, or after `msMax`. */
  async takeOut(share: Share, msMax: number): Promise<Removal> {
    const { id } = this.#on
    const me = () => share.members.find(({ account }) => Buffer.from(account).equals(id))
    const member = me()
    if (member === undefined) throw new Error(`${this.name} is no member`)
    const removal = { acknowledged: null, ended: null, wiped: null } as { -readonly [K in keyof Removal]: Removal[K] }
    await new Promise<void>((done, failed) => {
      const stops = [
        share.on('change', () => {
          if (me()?.state === 'removed') removal.acknowledged ??= performance.now()
          look()
        }),
        this.#on.on('ended', ({ wiped }) => {
          removal[wiped ? 'wiped' : 'ended'] ??= performance.now()
          look()
        })
      ]
      const stop = () => {
        clearTimeout(late)
        for (const unlisten of stops) unlisten()
        done()
      }
      const late = setTimeout(stop, msMax)
      const look = () => {
        if (removal.acknowledged !== null && removal.wiped !== null) stop()
      }
      share.remove(member).catch(failed)
    })
    this.#out = removal.ended !== null
    if (this.#out) this.#lent = null
    return removal
  }

  /** Opens the old link again. @returns the code of the refusal; null when it let this account in */
  async tryAgain(): Promise<string | null> {
    try {
      await this.#on.accept(this.#link ?? '')
      return null
    } catch (error) {
      if (error instanceof LendError) return error.code
      throw error
    }
  }

  get #on(): Account {
    if (this.#account === null) throw new Error(`${this.name}’s device is off`)
    return this.#account
  }
}
