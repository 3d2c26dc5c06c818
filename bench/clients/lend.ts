/**
 * Light clients of a relay: the engine's session over a light socket. They decode every frame and verify nothing. Accounts
 * and shares are written entry by entry, as the tests' raw client does.
 */
import {
  authorJoin,
  ClientSession,
  type DeviceKeys,
  decodeEntry,
  decodeStatement,
  encodeFrame,
  epochKeys,
  type Follow,
  type Following,
  type Frame,
  foldShare,
  hex,
  type Incarnation,
  type InviteKeys,
  type LogId,
  type Nonces,
  type Placed,
  Refusal,
  type ShareList,
  type Statement,
  signPeek
} from '@lend/engine'
import { accessEntry, dice, makeAccount, type RawAccount, suite } from '../../tests/server/raw-client.ts'
import { LightSocket } from './light-socket.ts'

export interface Listener {
  entries?(entries: readonly Placed[], log: LogId): void
  ack?(count: number, log: LogId): void
}

/** One open session. */
export class LightClient {
  readonly socket: LightSocket
  readonly opened: Promise<void>
  /** What hears of entries and acknowledgements: set it when they count. */
  listener: Listener = {}
  readonly #session: ClientSession
  readonly #following = new Map<string, (following: Following) => void>()
  #nonces: Nonces | null = null

  constructor(url: string, device: DeviceKeys) {
    this.#session = new ClientSession({ suite, device, relayKey: null, dice })
    let done = () => {}
    const opened = new Promise<void>(open => {
      done = open
    })
    this.socket = new LightSocket(url, payload => {
      for (const effect of this.#session.receive(payload)) {
        if (effect.do === 'send') this.socket.send(effect.frame)
        else if (effect.do === 'deliver') this.#take(effect.frame)
        else if (effect.do === 'close') throw effect.refusal
        else {
          this.#nonces = effect.nonces
          done()
        }
      }
    })
    this.opened = this.socket.opened.then(() => {
      for (const effect of this.#session.start()) if (effect.do === 'send') this.socket.send(effect.frame)
      return opened
    })
  }

  send(frame: Frame): void {
    this.socket.send(encodeFrame(frame))
  }

  follow(log: LogId, o: { invite?: InviteKeys; cursor?: Follow['cursor'] } = {}): Promise<Following> {
    const { invite, cursor = null } = o
    if (!this.#nonces) throw new Error('follow after the handshake')
    const peek = invite ? { id: invite.id, signature: signPeek(suite, invite, log, this.#nonces) } : null
    const following = new Promise<Following>(done => this.#following.set(hex(log), done))
    this.send({ type: 'follow', log, cursor, head: null, invite: peek, accountProof: [] })
    return following
  }

  append(log: LogId, incarnation: Incarnation, entries: readonly Uint8Array[]): void {
    this.send({ type: 'append', log, incarnation, entries })
  }

  /** Resolves when so many entries of that log are acknowledged; for one writer at a time. */
  acked(log: LogId, count: number): Promise<void> {
    let left = count
    const name = hex(log)
    return new Promise(done => {
      this.listener = {
        ...this.listener,
        ack: (acked, of) => {
          if (hex(of) !== name) return
          left -= acked
          if (left <= 0) done()
        }
      }
    })
  }

  #take(frame: Frame): void {
    if (frame.type === 'entries') this.listener.entries?.(frame.entries, frame.log)
    else if (frame.type === 'ack') this.listener.ack?.(frame.ids.length, frame.log)
    else if (frame.type === 'following') this.#following.get(hex(frame.log))?.(frame)
    else if (frame.type === 'refused') throw new Refusal(frame.code, frame.sentence)
  }
}

export async function connectLight(url: string, device: DeviceKeys): Promise<LightClient> {
  const client = new LightClient(url, device)
  await client.opened
  return client
}

/** Makes accounts and lets them join a share one after the other, by one link. */
export class Joiners {
  readonly #url: string
  readonly #log: LogId
  readonly #invite: InviteKeys
  readonly #statements: Statement[] = []
  #list: ShareList | null = null

  constructor(o: { url: string; log: LogId; invite: InviteKeys }) {
    this.#url = o.url
    this.#log = o.log
    this.#invite = o.invite
  }

  /** @returns a member's session, which is served from now on */
  async join(): Promise<LightClient> {
    const joiner = makeAccount('a reader')
    const client = await connectLight(this.#url, joiner.device)
    let seen = 0
    let tell = () => {}
    client.listener = {
      entries: entries => {
        // All see the same list: only what is new is folded.
        for (const { bytes } of entries) if (++seen > this.#statements.length) this.#fold(bytes.slice())
        tell()
      }
    }
    const visit = await client.follow(this.#log, { invite: this.#invite })
    const incarnation = visit.incarnation.slice() as Incarnation
    while (seen < visit.entriesTotal) {
      await new Promise<void>(news => {
        tell = news
      })
    }
    const entry = this.#author(joiner)
    client.listener = {}
    const joined = client.acked(this.#log, 1)
    client.append(this.#log, incarnation, [entry])
    await joined
    client.listener = {}
    await client.follow(this.#log)
    this.#fold(entry)
    return client
  }

  #author(joiner: RawAccount): Uint8Array {
    const list = this.#list
    if (!list) throw new Error('the invite shows no share')
    const { account, device, library, create } = joiner
    const keys = epochKeys(suite, this.#log, this.#statements, { account, sealingKeys: [], invite: this.#invite })
    const epochKey = keys.get(list.epoch)
    if (!epochKey) throw new Error('the invite opens no key')
    const statement = authorJoin(
      suite,
      list,
      { keys: this.#invite, account: library, accountProof: [create.bytes], device, epochKey, name: 'a reader' },
      dice
    )
    if (!statement) throw new Error('this account is a member already')
    return accessEntry(this.#log, list.head, device, statement).bytes
  }

  #fold(bytes: Uint8Array): void {
    const entry = decodeEntry(suite, bytes)
    const statement = decodeStatement(entry.payload)
    const list = foldShare(suite, this.#list, entry, statement, Date.now(), { timeMs: null, signatures: false })
    if (list instanceof Refusal) throw list
    this.#list = list
    this.#statements.push(statement)
  }
}
