/** Links and addresses as people bring them: miscopied, made up, of the wrong account, and what `preview` says of each. */
import { type ErrorCode, LendError, openAccount, previewInvite } from '@lend/client'
import { decodeLink, encodeLink } from '@lend/engine'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { follow, household, lend, linkTo, memberOf, takeOut, until } from './household.ts'
import { nodeWorld, noNetwork } from './worlds.ts'

const links = suite('links')

/** Where nobody listens: it is dialled all the time. */
const OWN_RELAY = 'ws://127.0.0.1:9'
const MALFORMED = ['ws://[', 'ws://', 'ws://a:99999', 'wss://%00', 'ws://[::1', 'http://a', 'ws://a b', 'ws://a#b', '']

async function codeOf(asked: () => Promise<unknown>): Promise<string> {
  try {
    await asked()
    return 'ok'
  } catch (error) {
    if (!(error instanceof LendError)) throw error
    return error.code
  }
}

links(
  'an address that no socket can be opened to is BAD_FIELD, and BAD_LINK in a link',
  household(async house => {
    const maya = await house.person('Maya')
    const link = await linkTo(await lend(maya, 'Garden'))
    const [page = ''] = link.split('#')
    for (const relay of MALFORMED) {
      assert.is(await codeOf(() => openAccount({ path: house.folder('x'), relay })), 'BAD_FIELD', relay)
      assert.is(await codeOf(() => maya.share({ title: 'x', relay })), 'BAD_FIELD', relay)
      const bad = `${page}#${encodeLink({ ...decodeLink(link), relayUrl: relay })}`
      for (const asked of [() => previewInvite(bad), () => maya.preview(bad), () => maya.accept(bad)]) {
        assert.is(await codeOf(asked), 'BAD_LINK', relay)
      }
    }
  })
)

links(
  'no text makes preview or accept fail with anything but a LendError, and none that was changed reaches a relay',
  household(async house => {
    const maya = await house.person('Maya')
    const link = await linkTo(await lend(maya, 'Garden'))
    let dialled = 0
    const world = {
      ...nodeWorld,
      connect(url: string, events: Parameters<typeof noNetwork.connect>[1]) {
        if (url !== OWN_RELAY) dialled++
        return noNetwork.connect(url, events)
      }
    }
    const ben = house.keep(await openAccount({ path: house.folder('Ben'), relay: OWN_RELAY, world }))
    const fragmentAt = link.indexOf('#') + 1
    const changed = fc
      .tuple(fc.nat(link.length - fragmentAt - 1), fc.constantFrom(...'ABCxyz019-_%= #'))
      .map(([at, char]) => link.slice(0, fragmentAt + at) + char + link.slice(fragmentAt + at + 1))
      .filter(text => text.slice(text.indexOf('#') + 1).trim() !== link.slice(fragmentAt))
    const anything = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), changed)
    await fc.assert(
      fc.asyncProperty(anything, async text => {
        assert.is(await codeOf(() => ben.accept(text)), 'BAD_LINK')
        assert.is(await codeOf(() => ben.preview(text)), 'BAD_LINK')
        assert.is(await codeOf(() => previewInvite(text)), 'BAD_LINK')
      }),
      { numRuns: 300 }
    )
    assert.is(dialled, 0)
  })
)

links(
  'preview says what accept would say, to each account its own, and uses nothing',
  household(async house => {
    const [maya, ana, ben, cara, dora] = await Promise.all(
      ['Maya', 'Ana', 'Ben', 'Cara', 'Dora'].map(name => house.person(name))
    )
    if (!maya || !ana || !ben || !cara || !dora) throw new Error('five people')
    const share = await lend(maya, 'Garden', 'roses')
    const lent = await follow(share, ana)
    const benLink = await linkTo(share)
    await (await ben.accept(benLink)).synced()
    await until(share, () => memberOf(share, ben))
    const old = await linkTo(share, { uses: 5 })
    await takeOut(share, ben)
    const open = await linkTo(share, { uses: 5 })
    const bound = await linkTo(share, { for: cara.id })
    const says = async (account: typeof maya, link: string, answer: 'ok' | ErrorCode) => {
      const offer = await account.preview(link)
      assert.equal([offer.title, offer.owner, offer.answer], ['Garden', 'Maya', answer])
    }
    await says(maya, open, 'YOU_ARE_THE_OWNER')
    await says(ana, open, 'ALREADY_MEMBER')
    await says(ben, old, 'REMOVED')
    await says(ben, benLink, 'REMOVED')
    await says(ben, open, 'ok')
    await says(dora, open, 'ok')
    await says(dora, bound, 'INVITE_NOT_FOR_YOU')
    await says(cara, bound, 'ok')
    assert.is((await previewInvite(open)).answer, undefined)

    assert.is(await codeOf(() => maya.accept(open)), 'YOU_ARE_THE_OWNER')
    assert.is(await ana.accept(open), lent)
    assert.is(await codeOf(() => ben.accept(old)), 'REMOVED')
    assert.is(await codeOf(() => dora.accept(old)), 'INVITE_VOID')
    assert.is(await codeOf(() => dora.accept(bound)), 'INVITE_NOT_FOR_YOU')
    const usesLeft = () => share.invites.filter(({ state }) => state === 'open').map(({ usedBy }) => usedBy.length)
    assert.equal(usesLeft(), [0, 0])
    await (await ben.accept(open)).synced()
  })
)

links.run()
