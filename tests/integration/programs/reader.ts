/**
 * A member that is going to be killed. Arguments: its folder, its relay's URL.
 *
 * Says `account ID`, `opened N` (what it has from before; −1 without a share), `has N` at each change, `shares COUNT`, `ended
 * REASON`, and answers on stdin: `accept LINK` with `accepted`, `state` with `state WORD`.
 */
import { type LentShare, openAccount } from '@lend/client'
import { hex } from '@lend/engine'
import { highest, onLine, say, stateOf } from './numbers.ts'

const [path = '', relay = ''] = process.argv.slice(2)
const account = await openAccount({ path, relay, name: 'reader' })
account.on('error', error => say('error', error.code))
account.on('ended', ({ reason, wiped }) => say(wiped ? 'wiped' : 'ended', reason))
account.on('change', () => say('shares', account.sharedWithMe.length))
say('account', hex(account.id))
say('shares', account.sharedWithMe.length)
const [known] = account.sharedWithMe
say('opened', known ? highest(known.doc) : -1)
if (known) watch(known)
onLine((verb, argument) => void answer(verb, argument))

async function answer(verb: string, argument: string): Promise<void> {
  if (verb === 'accept') {
    watch(await account.accept(argument))
    say('accepted')
  }
  const [share] = account.sharedWithMe
  if (verb === 'state' && share) say('state', stateOf(share.doc))
}

function watch(share: LentShare): void {
  const { doc } = share
  share.on('refused', error => say('broken', `refused ${error.code}: ${error.message}`))
  share.on('status', status => {
    if (status.state === 'failed') say('broken', `failed ${status.error.code}`)
  })
  doc.on('update', () => say('has', highest(doc)))
  say('has', highest(doc))
}
