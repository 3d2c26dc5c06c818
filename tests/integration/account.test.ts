import { type LendError, openAccount, pairDevice, type Status } from '@lend/client'
import { hex } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { event, follow, household, lend, textOf, until } from './household.ts'
import { movableTime, throughDisk } from './worlds.ts'

const account = suite('account')

async function refusal(run: () => unknown): Promise<LendError> {
  try {
    await run()
  } catch (error) {
    return error as LendError
  }
  throw new Error('nothing was refused')
}

account(
  'the first run wants a relay, and says so',
  household(async house => {
    const error = await refusal(() => openAccount({ path: house.folder('nobody') }))
    assert.is(error.code, 'BAD_FIELD')
    assert.match(error.message, 'relay')
  })
)

account(
  'an account that is open can not be opened a second time, and can once it is closed',
  household(async house => {
    const maya = await house.person('maya')
    assert.is((await refusal(() => house.person('maya'))).code, 'ALREADY_OPEN')
    await maya.close()
    const again = await house.person('maya')
    assert.is(hex(again.id), hex(maya.id))
  })
)

account(
  'what a person has is there again after closing, without a relay too',
  household(async house => {
    const maya = await house.person('maya')
    const share = await lend(maya, 'Garden', 'roses')
    await share.invite({ name: 'Ana' })
    const ana = await house.person('ana')
    const lent = await follow(share, ana)
    await Promise.all([maya.close(), ana.close()])
    await house.stopRelay()
    const [maya2, ana2] = [await house.person('maya'), await house.person('ana')]
    assert.is(maya2.shares[0]?.title, 'Garden')
    assert.is(maya2.shares[0]?.doc.getText('text').toString(), 'roses')
    assert.equal(
      maya2.shares[0]?.invites.map(({ name, state }) => [name, state]),
      [
        ['Ana', 'open'],
        ['ana', 'used']
      ]
    )
    assert.is(hex(ana2.sharedWithMe[0]?.id ?? new Uint8Array(0)), hex(lent.id))
    assert.is(ana2.sharedWithMe[0]?.doc.getText('text').toString(), 'roses')
    assert.is(ana2.sharedWithMe[0]?.owner.name, 'maya')
    await house.startRelay()
  })
)

account(
  'an edit is saving, then saved, then synced; without a relay it stays saved',
  household(async house => {
    const maya = await house.person('maya')
    const share = await lend(maya, 'Garden')
    const states: Status['state'][] = []
    share.on('status', ({ state }) => states.push(state))
    textOf(share).insert(0, 'roses')
    await share.synced()
    assert.equal(states, ['saving', 'saved', 'synced'])
    await house.stopRelay()
    await until(share, () => share.status.state === 'offline')
    textOf(share).insert(0, 'red ')
    const saved = await until(share, () => share.status.state === 'saved' && share.status)
    assert.is(saved.unsynced, 1)
    await maya.close()
    const again = await house.person('maya')
    assert.equal(again.shares[0]?.status, { state: 'saved', unsynced: 1 })
    await house.startRelay()
    await again.synced()
    assert.is(again.shares[0]?.doc.getText('text').toString(), 'red roses')
  })
)

account(
  'when the disk takes nothing more the share fails, and nothing is called saved that is not',
  household(async house => {
    let full = false
    const world = throughDisk((step, run) => {
      if (full && step.does === 'batch' && step.to.startsWith('logs/')) {
        return Promise.reject(Object.assign(new Error('No space left on device'), { code: 'ENOSPC' }))
      }
      return run()
    })
    const maya = await house.person('maya', { world })
    const share = await lend(maya, 'Garden', 'roses')
    const states: Status['state'][] = []
    share.on('status', ({ state }) => states.push(state))
    full = true
    textOf(share).insert(0, 'red ')
    const failed = await until(share, () => share.status.state === 'failed' && share.status)
    assert.is(failed.error.code, 'DISK_FULL')
    assert.equal(states, ['saving', 'failed'])
    full = false
    await maya.close()
    const again = await house.person('maya')
    await again.synced()
    assert.is(again.shares[0]?.doc.getText('text').toString(), 'roses')
  })
)

account(
  'an account that is closed while a share that another device made is being opened leaves nothing of it open',
  household(async house => {
    const phone = await house.person('maya')
    const invite = await phone.inviteDevice()
    await phone.synced()
    let began = () => {}
    let goOn = () => {}
    const hasBegun = new Promise<void>(resolve => {
      began = resolve
    })
    const mayGoOn = new Promise<void>(resolve => {
      goOn = resolve
    })
    const { disk } = throughDisk(async (step, run) => {
      if (step.does === 'openDatabase' && step.to.startsWith('logs/')) {
        began()
        await mayGoOn
      }
      return run()
    })
    const time = movableTime()
    const world = { ...time.world, disk }
    const path = house.folder('laptop')
    const laptop = house.keep(await pairDevice(invite.link ?? '', { path, world }))
    await lend(phone, 'Garden', 'roses')
    await hasBegun
    const closed = laptop.close()
    goOn()
    await closed
    assert.is(time.pending, 0)
    const again = house.keep(await openAccount({ path, world }))
    await again.synced()
    assert.is(again.shares[0]?.doc.getText('text').toString(), 'roses')
  })
)

account(
  'an edit over the size of a document is refused in the app’s own call, and a large one arrives whole',
  household(async house => {
    const maya = await house.person('maya')
    const share = await lend(maya, 'Garden')
    const lent = await follow(share, await house.person('ana'))
    const told = event(share, 'refused')
    const error = await refusal(() => textOf(share).insert(0, 'x'.repeat(9 * 1024 * 1024)))
    assert.is(error.code, 'DOCUMENT_TOO_BIG')
    assert.is((await told).code, 'DOCUMENT_TOO_BIG')
    const large = 'y'.repeat(3 * 1024 * 1024)
    textOf(share).insert(0, large)
    await until(lent.doc, () => textOf(lent).length === large.length)
    textOf(share).insert(0, 'z')
    await until(lent.doc, () => textOf(lent).length === large.length + 1)
  })
)

account(
  'fields out of their bounds are refused with the bound',
  household(async house => {
    const maya = await house.person('maya')
    assert.is((await refusal(() => maya.share({ title: 'x'.repeat(401) }))).limit, 400)
    assert.is((await refusal(() => maya.share({ title: 'x', leaseMs: 1 }))).code, 'BAD_FIELD')
    const share = await maya.share({ title: 'x'.repeat(400), leaseMs: null })
    for (const o of [
      { uses: 0 },
      { uses: 1.5 },
      { expires: new Date(0) },
      { until: new Date(0) },
      { name: 'x'.repeat(201) }
    ]) {
      assert.is((await refusal(() => share.invite(o))).code, 'BAD_FIELD', JSON.stringify(o))
    }
    assert.is(share.leaseMs, null)
  })
)

account(
  'what is closed says so',
  household(async house => {
    const maya = await house.person('maya')
    const share = await lend(maya, 'Garden')
    await maya.close()
    assert.is((await refusal(() => maya.share({ title: 'more' }))).code, 'CLOSED')
    assert.is((await refusal(() => share.doc)).code, 'CLOSED')
    assert.is((await refusal(() => share.synced())).code, 'CLOSED')
  })
)

account.run()
