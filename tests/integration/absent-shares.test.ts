/** Shares that do not open here, or that are gone: they are shown, and say why. */
import { type LendError, openAccount, type Status } from '@lend/client'
import { hex } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { event, follow, household, lend, memberOf, takeOut, textOf, until } from './household.ts'
import { nodeWorld, noNetwork, throughDisk } from './worlds.ts'

const absent = suite('absent shares')

function failure({ status }: { readonly status: Status }): string | null {
  return status.state === 'failed' ? status.error.code : null
}

async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run()
    return 'ok'
  } catch (error) {
    return (error as LendError).code
  }
}

absent(
  'a share that does not open is listed as failed; its verbs reject with that error, and the others go on',
  household(async house => {
    const maya = await house.person('Maya')
    // Hers don't rest, so that the next start needs their directories.
    const restless = throughDisk((step, run) =>
      step.keys?.some(key => key.startsWith('rest/')) ? Promise.reject(new Error('refused')) : run()
    )
    const ana = await house.person('Ana', { world: restless })
    const mine = await lend(ana, 'Mine', 'a')
    const other = await lend(ana, 'Other', 'b')
    const lent = await follow(await lend(maya, 'Garden', 'roses'), ana)
    await follow(mine, maya)
    const member = await until(mine, () => memberOf(mine, maya))
    await ana.close()
    const closed = new Set([mine, lent].map(({ id }) => `logs/${hex(id)}`))
    const world = throughDisk((step, run) =>
      step.does === 'openDatabase' && closed.has(step.to)
        ? Promise.reject(Object.assign(new Error('operation not permitted'), { code: 'EPERM' }))
        : run()
    )
    const asked = openAccount({ path: house.folder('Ana'), world })
    const again = house.keep(await asked)
    const told = event(again, 'error')
    const share = again.shares.find(({ id }) => hex(id) === hex(mine.id))
    const [guest] = again.sharedWithMe
    if (!share || !guest) throw new Error('a share is not in its list')
    assert.equal([failure(share), failure(guest), failure(again)], Array(3).fill('NO_PERMISSION'))
    assert.is((await told).code, 'NO_PERMISSION')
    assert.equal([guest.owner.name, guest.owner.account, share.leaseMs], ['Maya', maya.id, mine.leaseMs])
    assert.equal(guest.since, lent.since)
    const verbs = [
      () => share.doc,
      () => share.rename('x'),
      () => share.invite(),
      () => share.remove(member),
      () => share.limit(member, null),
      () => share.stop(),
      () => share.synced(),
      () => guest.doc,
      () => guest.leave(),
      () => guest.synced(),
      () => again.synced()
    ]
    for (const verb of verbs) assert.is(await codeOf(verb), 'NO_PERMISSION', `${verb}`)
    const going = again.shares.find(({ id }) => hex(id) === hex(other.id))
    assert.is(going && textOf(going).toString(), 'b')
    await going?.synced()
    await again.close()
    const mended = await house.person('Ana')
    await mended.synced()
    assert.is(mended.sharedWithMe[0]?.doc.getText('text').toString(), 'roses')
  })
)

absent(
  'a wipe that is finished at the next start is told to who listens once the account is open',
  household(async house => {
    const maya = await house.person('Maya')
    const share = await lend(maya, 'Garden', 'roses')
    for (const [name, reason] of [
      ['Ana', 'removed'],
      ['Ben', 'left']
    ] as const) {
      let dies = false
      const world = throughDisk((step, run) =>
        dies && step.does === 'destroyFile' ? Promise.reject(new Error('cut off')) : run()
      )
      const guest = await house.person(name, { world })
      const lent = await follow(share, guest)
      dies = true
      const cut = event(guest, 'error')
      if (reason === 'left') await lent.leave()
      else await takeOut(share, guest)
      await cut
      await guest.close()
      const again = house.keep(await openAccount({ path: house.folder(name), world: { ...nodeWorld, ...noNetwork } }))
      const ended = await event(again, 'ended')
      assert.equal([hex(ended.share.id), ended.reason, ended.wiped], [hex(share.id), reason, true])
      assert.is(ended.share.owner.name, 'Maya')
      assert.equal(ended.share.status, { state: 'ended', reason })
      assert.is(await codeOf(() => ended.share.doc), 'ENDED')
      assert.equal(again.sharedWithMe, [])
      await again.close()

      const third = await house.person(name)
      const more: unknown[] = []
      third.on('ended', end => more.push(end))
      await third.synced()
      await until(share, () => memberOf(share, third).wiped === 1)
      assert.equal(more, [], 'it is told once, and does not come back')
      assert.equal(third.sharedWithMe, [])
      await third.close()
    }
  })
)

absent.run()
