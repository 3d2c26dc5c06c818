/** Standing: what a device may ask of a log. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { standingOf, writers } from '../../../packages/engine/src/access/standing.ts'
import { hex } from '../../../packages/engine/src/bytes/ids.ts'
import { Account, HOUR_MS, Share, seededDice, text } from '../world.ts'

const test = suite('access/standing')

function world(seed: number) {
  const dice = seededDice(seed)
  const share = new Share(dice)
  const bob = new Account(dice)
  return {
    share,
    scribe: share.scribe,
    owner: share.owner,
    bob,
    of: (account: Account) => standingOf(share.list, account.device.id)
  }
}

test('the owner’s devices are owners, members’ are members with their until, all others strangers', () => {
  const { share, scribe, owner, bob, of } = world(1)
  assert.is(of(bob).is, 'stranger')
  share.admit(bob, { untilMs: scribe.timeMs + HOUR_MS })
  assert.is(text(of(bob)), text({ is: 'member', account: bob.id, untilMs: scribe.timeMs + HOUR_MS }))
  assert.is(text(of(owner)), text({ is: 'owner', account: owner.id }))
  const second = bob.addDevice()
  assert.is(standingOf(share.list, second.id).is, 'stranger')
  scribe.take(share.accountEntry(bob))
  assert.is(standingOf(share.list, second.id).is, 'member')
})

test('who was removed or left is former, up to the entry that put it out, and for ever', () => {
  const { share, scribe, bob, of } = world(2)
  share.admit(bob)
  share.remove(bob)
  const ended = scribe.head
  share.remove()
  assert.is(text(of(bob)), text({ is: 'former', account: bob.id, ended }))
  share.admit(bob)
  assert.is(of(bob).is, 'member')
  share.leave(bob)
  assert.is(text(of(bob)), text({ is: 'former', account: bob.id, ended: scribe.head }))
})

test('after the stop every member is former up to it, and the owner stays the owner', () => {
  const { share, scribe, owner, bob, of } = world(3)
  const eve = new Account(share.dice)
  share.admit(bob)
  share.admit(eve)
  share.remove(eve)
  const removed = scribe.head
  scribe.take(scribe.access(owner.device, { type: 'stop' }))
  assert.is(text(of(bob)), text({ is: 'former', account: bob.id, ended: scribe.head }))
  assert.is(text(of(eve)), text({ is: 'former', account: eve.id, ended: removed }))
  assert.is(of(owner).is, 'owner')
})

test('a device that its own account put out is former in the library and in the share', () => {
  const { share, scribe, bob, owner } = world(4)
  for (const account of [bob, owner]) {
    const second = account.addDevice()
    if (account === bob) share.admit(bob)
    else scribe.take(share.accountEntry(owner))
    account.remove([second], 'device-removed')
    assert.is(
      text(standingOf(account.library, second.id)),
      text({ is: 'former', account: account.id, ended: account.scribe.head })
    )
    assert.is.not(standingOf(share.list, second.id).is, 'former')
    scribe.take(share.accountEntry(account))
    assert.is(standingOf(share.list, second.id).is, 'former')
  }
  assert.is(standingOf(owner.library, bob.device.id).is, 'stranger')
})

test('a former device is shown the entries up to the one that put it out, and none that came later', () => {
  const { share, scribe, bob, owner } = world(6)
  for (const account of [bob, owner]) {
    const second = account.addDevice()
    if (account === bob) share.admit(bob)
    else scribe.take(share.accountEntry(owner))
    account.remove([second])
    scribe.take(share.accountEntry(account))
    const former = { is: 'former', account: account.id, ended: scribe.head }
    share.remove()
    share.invited()
    assert.is(text(standingOf(share.list, second.id)), text(former))
    if (account === bob) {
      // What becomes of its account later is not its business.
      share.leave(bob)
      share.remove()
      assert.is(text(standingOf(share.list, second.id)), text(former))
      share.admit(bob)
    }
    assert.is(text(standingOf(share.list, second.id)), text(former))
  }
})

test('a device that was out before its account came is a stranger, and one out between two stays is shown both ends', () => {
  const { share, scribe, bob } = world(7)
  const [early, later] = [bob.addDevice(), bob.addDevice()]
  bob.remove([early])
  share.admit(bob)
  assert.is(standingOf(share.list, early.id).is, 'stranger')
  share.leave(bob)
  const left = scribe.head
  bob.remove([later])
  assert.is(text(standingOf(share.list, later.id)), text({ is: 'former', account: bob.id, ended: left }))
  share.admit(bob)
  assert.is(text(standingOf(share.list, later.id)), text({ is: 'former', account: bob.id, ended: scribe.head }))
})

test('writers are the devices of the owner by what the log has folded', () => {
  const { share, scribe, owner, bob } = world(5)
  share.admit(bob)
  const second = owner.addDevice()
  assert.equal([...writers(share.list)], [hex(owner.device.id)])
  assert.equal([...writers(owner.library)], [hex(owner.device.id), hex(second.id)])
  scribe.take(share.accountEntry(owner))
  assert.equal([...writers(share.list)], [hex(owner.device.id), hex(second.id)])
})

test.run()
