/** Members in the question removal: one with the real client, which is taken out, or light ones that read along. */
import { type Account, openAccount } from '@lend/client'
import { decodeLink, inviteKeys } from '@lend/engine'
import { suite } from '../../tests/server/raw-client.ts'
import { serve, sharedMs } from '../part.ts'
import { lastFrames } from './last-frames.ts'
import { Joiners } from './lend.ts'

/** Times on the clock that all processes share. */
export interface Gone {
  /** When the last frame of the log came. */
  readonly cutMs: number
  /** When the replica was gone from the disk. */
  readonly wipedMs: number
}

const frames = lastFrames('entries')
let ben: Account | null = null
let gone: Promise<Gone> | null = null
let toldMs = 0

const functions = {
  async open({ url, path }: { url: string; path: string }): Promise<{ account: Uint8Array }> {
    ben = await openAccount({ path, relay: url, name: 'Ben', world: frames.world })
    return { account: new Uint8Array(ben.id) }
  },

  /** Resolves when the replica has all of it. */
  async accept({ link }: { link: string }): Promise<void> {
    if (!ben) throw new Error('open first')
    const member = ben
    const lent = await member.accept(link)
    await lent.synced()
    gone = new Promise(done => {
      const stop = member.on('ended', ended => {
        if (!ended.wiped) return
        stop()
        done({ cutMs: frames.lastMs, wipedMs: sharedMs() })
      })
    })
  },

  gone: (_: object) => gone,

  async join({ link, members }: { link: string; members: number }): Promise<void> {
    const { relayUrl, log, secret } = decodeLink(link)
    const joiners = new Joiners({ url: relayUrl, log, invite: inviteKeys(suite, secret) })
    for (let member = 0; member < members; member++) {
      const client = await joiners.join()
      client.listener = {
        entries() {
          toldMs = sharedMs()
        }
      }
    }
  },

  /** When the last of the light members got something. */
  told: (_: object) => toldMs
}

export type RemovalMember = typeof functions

serve(functions, () => ben?.close())
