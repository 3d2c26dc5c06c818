/** What someone who is out can learn of what goes on: nothing after the entry that ended it. */
import { decodeHead } from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { connectRaw, type RawClient } from './raw-client.ts'
import { closeWorlds, newMember, newWorld, type World } from './world.ts'

const formerTest = describe('relay former')
formerTest.after.each(closeWorlds)

/** Bob was removed, and the share goes on: one more update each time. @returns the seq of his removal, and his session */
async function removed(world: World) {
  const { share, owner, life } = world
  const { bob, client } = await newMember(world)
  const join = share.entries.at(-1)
  assert.ok(join)
  const ended = decodeHead(await owner.appended(share.log, life, share.remove(bob))).seq
  await owner.appended(share.log, life, share.update(), share.update())
  await client.close()
  const again = await connectRaw(world.relay.url, bob.device)
  return { join, ended, again }
}

formerTest('its own old join is acknowledged again with the head of its removal, whatever came after', async () => {
  const world = await newWorld()
  const { share, owner, life } = world
  const { join, ended, again } = await removed(world)
  const heads = [await again.appended(share.log, life, join)]
  await owner.appended(share.log, life, share.invite().entry, share.update())
  heads.push(await again.appended(share.log, life, join))
  const said = heads
    .map(head => decodeHead(head))
    .map(({ seq, runningHash, accessHead }) => ({
      seq,
      runningHash,
      accessHead
    }))
  assert.is(said[0]?.seq, ended)
  assert.equal(said[0], said[1])
})

formerTest('a cursor beyond its removal is answered like one beyond the end of the log', async () => {
  const world = await newWorld()
  const { share, life } = world
  const { ended, again } = await removed(world)
  const from = async (client: RawClient, seq: number) => {
    const following = await client.followed(share.log, { cursor: { incarnation: life, seq } })
    assert.is(following.standing, 'former')
    assert.is(decodeHead(following.head).seq, ended)
    return { from: following.from, entries: following.entriesTotal }
  }
  const all = share.entries.length
  assert.equal(await from(again, ended - 1), { from: ended - 1, entries: 1 })
  assert.equal(await from(again, ended), { from: ended, entries: 0 })
  for (const beyond of [ended + 1, ended + 2, ended + 3, ended + 1000]) {
    assert.equal(await from(again, beyond), { from: 0, entries: all })
  }
})

formerTest('one whose membership has run out gets no live head for what it wrote once', async () => {
  let offsetMs = 0
  const world = await newWorld({ clock: () => Date.now() + offsetMs })
  const { share, owner, life } = world
  const { bob, client } = await newMember(world)
  const join = share.entries.at(-1)
  assert.ok(join)
  const until = share.write({ type: 'until', member: bob.account, untilMs: Date.now() + 60_000 })
  await owner.appended(share.log, life, until, share.update())
  assert.is(decodeHead(await client.appended(share.log, life, join)).seq, 5, 'a member hears of the end')
  offsetMs = 60_001
  const { seq } = decodeHead(await client.appended(share.log, life, join))
  assert.is(seq, 3, 'the seq of its join')
})

formerTest.run()
