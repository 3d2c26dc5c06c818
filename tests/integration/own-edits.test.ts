/** An owner's own edits pass the checks that its readers make, before anything is published. */
import { LendError } from '@lend/client'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { event, follow, household, lend, textOf, until } from './household.ts'
import { entriesOf } from './relay-log.ts'

const ownEdits = describe('own edits')

ownEdits(
  'an edit that readers would put aside throws BAD_UPDATE, is told, and is never published; the share goes on',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const share = await lend(maya, 'Paper', 'a line')
    const lent = await follow(share, ben)
    const putAside: LendError[] = []
    lent.on('refused', error => putAside.push(error))
    for (const key of ['__proto__', 'constructor', 'prototype']) {
      const told = event(share, 'refused', error => error.code === 'BAD_UPDATE')
      assert.throws(
        () => share.doc.getMap('map').set(key, 1),
        (error: unknown) => error instanceof LendError && error.code === 'BAD_UPDATE'
      )
      await told
    }
    share.doc.getMap('map').set('proto', 1)
    textOf(share).insert(0, 'more of ')
    await share.synced()
    await until(lent.doc, () => textOf(lent).toString() === 'more of a line' && lent.doc.getMap('map').size === 1)
    assert.equal(putAside, [])
  })
)

ownEdits(
  'a whole update that readers would put aside is not kept nor published; opened again, the share is as before it',
  household(async house => {
    const maya = await house.person('Maya')
    const ben = await house.person('Ben')
    const share = await lend(maya, 'Paper', 'a line')
    const lent = await follow(share, ben)
    const putAside: LendError[] = []
    lent.on('refused', error => putAside.push(error))
    const foreign = new Y.Doc()
    foreign.getMap('map').set('__proto__', 1)
    const fine = new Y.Doc()
    fine.getMap('map').set('fine', 1)
    Y.applyUpdate(share.doc, Y.encodeStateAsUpdate(fine))
    Y.applyUpdate(share.doc, Y.encodeStateAsUpdate(foreign))
    await until(share, () => share.status.state === 'failed')
    const { status } = share
    assert.is(status.state === 'failed' && status.error.code, 'BAD_UPDATE')
    assert.is(await share.synced().catch(error => error.code), 'BAD_UPDATE')
    await maya.close()
    const again = await house.person('Maya')
    const [mine] = again.shares
    assert.ok(mine)
    assert.equal(mine.doc.getMap('map').toJSON(), { fine: 1 })
    textOf(mine).insert(0, 'more of ')
    await mine.synced()
    await until(lent.doc, () => textOf(lent).toString() === 'more of a line')
    assert.equal(lent.doc.getMap('map').toJSON(), { fine: 1 })
    assert.equal(putAside, [])
    await house.stopRelay()
    const updates = (await entriesOf(house.relayFolder, share.id)).filter(({ entry }) => entry.kind === 'update')
    assert.ok(updates.length >= 3)
  })
)

ownEdits.run()
