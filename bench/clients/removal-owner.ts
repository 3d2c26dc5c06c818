/** The owner in the question removal, with the real client in a process of its own. */
import { join } from 'node:path'
import { type Account, openAccount, type Share } from '@lend/client'
import { same } from '@lend/engine'
import { serve, sharedMs } from '../part.ts'
import { after, linkOf } from './accounts.ts'
import { lastFrames } from './last-frames.ts'

/** Times on the clock that all processes share. */
export interface Removed {
  readonly actedMs: number
  /** When the relay's acknowledgement arrived here. */
  readonly acknowledgedMs: number
}

const frames = lastFrames('ack')
let stage: { readonly maya: Account; readonly share: Share } | null = null

const functions = {
  async open({ url, path }: { url: string; path: string }): Promise<void> {
    const maya = await openAccount({ path: join(path, 'maya'), relay: url, name: 'Maya', world: frames.world })
    const share = await maya.share({ title: 'Paper' })
    share.doc.getText('text').insert(0, 'what is lent')
    await share.synced()
    stage = { maya, share }
  },

  invite: ({ uses }: { uses: number }) => linkOf(opened(), uses),

  async remove({ account }: { account: Uint8Array }): Promise<Removed> {
    const share = opened()
    const inState = (state: string) => () =>
      share.members.find(member => same(member.account, account) && member.state === state)
    const member = await after(share, inState('joined'))
    const actedMs = sharedMs()
    await share.remove(member)
    await after(share, inState('removed'))
    return { actedMs, acknowledgedMs: frames.lastMs }
  }
}

function opened(): Share {
  if (!stage) throw new Error('open first')
  return stage.share
}

export type RemovalOwner = typeof functions

serve(functions, () => stage?.maya.close())
