/**
 * An owner that is going to be killed: writes numbers all the time, in bursts. Arguments: its folder, its relay's URL.
 *
 * Says `opened N` (what it has from before), `saved N` and `synced N` (what it was promised), and answers on stdin:
 * `invite NAME` with `link NAME LINK`, `remove ACCOUNT` with `removing ACCOUNT` when that is saved, `quiet` with `quiet N`
 * once it writes no more and is synced, `state` with `state WORD`.
 */
import { openAccount, type Share } from '@lend/client'
import { hex } from '@lend/engine'
import { highest, onLine, say, stateOf, writeNumber } from './numbers.ts'

const BURST_EDITS_MAX = 40
const EDIT_MS = 3
const PAUSE_MS_MAX = 300

const [path = '', relay = ''] = process.argv.slice(2)
const account = await openAccount({ path, relay, name: 'owner' })
account.on('error', error => say('error', error.code))
const share: Share = account.shares[0] ?? (await account.share({ title: 'Numbers' }))
const { doc } = share
let n = highest(doc)
let isQuiet = false
const told = new Set<string>()
say('opened', n)
share.on('refused', error => say('refused', error.code))
share.on('status', ({ state }) => {
  if (state === 'saved' || state === 'synced') say('saved', n)
  if (state === 'failed') say('failed', share.status.state === 'failed' ? share.status.error.code : '')
})
share.on('change', () => {
  for (const { name, link, state } of share.invites) if (state === 'open' && link) tellLink(name ?? '', link)
})
onLine((verb, argument) => void answer(verb, argument))
await write()

function tellLink(name: string, link: string): void {
  if (told.has(link)) return
  told.add(link)
  say('link', name, link)
}

async function answer(verb: string, argument: string): Promise<void> {
  if (verb === 'invite') await share.invite({ name: argument })
  if (verb === 'state') say('state', stateOf(doc))
  if (verb === 'quiet') isQuiet = true
  if (verb === 'remove') {
    const member = share.members.find(({ account }) => hex(account) === argument)
    if (!member) throw new Error('nobody to remove')
    await share.remove(member)
    say('removing', argument)
  }
}

async function write(): Promise<void> {
  while (!isQuiet) {
    for (let edits = 1 + Math.floor(Math.random() * BURST_EDITS_MAX); edits > 0; edits--) {
      writeNumber(share, ++n)
      await pause(EDIT_MS)
    }
    const written = n
    const isSynced = share.synced().then(() => say('synced', written))
    await Promise.race([isSynced, pause(PAUSE_MS_MAX)])
  }
  await share.synced()
  highest(doc)
  say('quiet', n)
}

function pause(ms: number): Promise<void> {
  return new Promise(done => setTimeout(done, ms))
}
