// limit: 240 s
/**
 * A relay that was put back to an older copy of its data, or to none, gets everything back from its people's devices; one
 * damaged log harms no other; an owner's replica that is gone comes back from the relay; a cloned owner is noticed.
 */
import { cp, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account, LentShare, Share } from '@lend/client'
import { concat, hex } from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { openDatabase } from '../../packages/server/src/store/level-store.ts'
import {
  event,
  follow,
  type Household,
  linkTo,
  memberOf,
  openHousehold,
  replicaOf,
  takeOut,
  until
} from './household.ts'
import { either, type LossyLine, openLossyLine } from './lossy-line.ts'
import { ctrsOf, entriesOf } from './relay-log.ts'

const SYNC_MS = 30_000

const tail = describe('lost tail')

function edits(share: Share | LentShare) {
  return share.doc.getArray<string>('edits')
}

function synced(share: Share | LentShare): Promise<void> {
  return share.synced({ signal: AbortSignal.timeout(SYNC_MS) })
}

async function edit(share: Share, ...words: string[]): Promise<void> {
  edits(share).push(words)
  await synced(share)
}

function reads(lent: LentShare, words: readonly string[]): Promise<unknown> {
  return until(lent, () => lent.status.state === 'synced').then(() =>
    until(lent.doc, () => edits(lent).toArray().join() === words.join())
  )
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false
  )
}

/** Copies the relay's data while it is stopped. */
async function backUp(household: Household): Promise<string> {
  const copy = join(household.dir, 'backup')
  await household.stopRelay()
  await rm(copy, { recursive: true, force: true })
  await cp(household.relayFolder, copy, { recursive: true })
  await household.startRelay()
  return copy
}

/** Stops the relay and puts its data back to the copy; with none, to nothing but its key. */
async function putBack(household: Household, copy: string | null): Promise<void> {
  await household.stopRelay()
  const key = join(household.dir, 'relay.key')
  await cp(join(household.relayFolder, 'relay.key'), key)
  await rm(household.relayFolder, { recursive: true })
  if (copy) await cp(copy, household.relayFolder, { recursive: true })
  else {
    await mkdir(household.relayFolder)
    await rename(key, join(household.relayFolder, 'relay.key'))
  }
}

async function lent(owner: Account, title = 'Kept'): Promise<Share> {
  const share = await owner.share({ title })
  await edit(share, 'one')
  return share
}

function shareOf(owner: Account): Share {
  const [share] = owner.shares
  if (!share) throw new Error('the share is not in the list')
  return share
}

function lentTo(member: Account): LentShare {
  const [share] = member.sharedWithMe
  if (!share) throw new Error('the share is not in the list')
  return share
}

for (const isEmpty of [false, true]) {
  const state = isEmpty ? 'empty' : 'older'

  tail(`a relay that comes back ${state} gets edits and members back from a connected owner`, async () => {
    const household = await openHousehold()
    const maya = await household.person('maya')
    const ana = await household.person('ana')
    const share = await lent(maya)
    const toAna = await follow(share, ana)
    const copy = await backUp(household)
    await until(share, () => share.status.state === 'synced')
    await edit(share, 'two', 'three')
    const ben = await household.person('ben')
    const toBen = await follow(share, ben)
    await edit(share, 'four')
    await putBack(household, isEmpty ? null : copy)
    edits(share).push(['five'])
    await household.startRelay()
    await synced(share)
    const words = ['one', 'two', 'three', 'four', 'five']
    await Promise.all([reads(toAna, words), reads(toBen, words)])
    assert.equal(edits(share).toArray(), words)
    assert.equal(
      share.members.map(({ name, state }) => [name, state]),
      [
        ['ana', 'joined'],
        ['ben', 'joined']
      ]
    )
    assert.is(household.relay.metrics().incarnations, 1)
    await edit(share, 'six')
    await Promise.all([reads(toAna, [...words, 'six']), reads(toBen, [...words, 'six'])])
    const late = await household.person('late')
    await reads(await follow(share, late), [...words, 'six'])
    await household.stopRelay()
    for (const ctrs of ctrsOf(await entriesOf(household.relayFolder, share.id)).values()) {
      assert.equal(
        ctrs,
        Array.from(ctrs, (_, i) => i + 1)
      )
    }
    await household.close()
  })

  tail(
    `a member that was removed stays out of a relay that comes back ${state}, and does not get in between`,
    async () => {
      const household = await openHousehold()
      const maya = await household.person('maya')
      const ana = await household.person('ana')
      const ben = await household.person('ben')
      const share = await lent(maya)
      const toAna = await follow(share, ana)
      const toBen = await follow(share, ben)
      const benId = ben.id
      const copy = await backUp(household)
      await Promise.all([synced(share), synced(toAna), synced(toBen)])
      // Off since before the removal, and not told of it.
      await ben.close()
      await takeOut(share, ben)
      await edit(share, 'not for ben')
      await maya.close()
      await putBack(household, isEmpty ? null : copy)
      await household.startRelay()
      // The removed one is there first; the relay may still have it as a member.
      const benAgain = await household.person('ben')
      const toBenAgain = lentTo(benAgain)
      const seen: string[] = []
      toBenAgain.doc.on('update', () => seen.push(...edits(toBenAgain).toArray()))
      await until(benAgain, () => benAgain.status.state !== 'offline' && toBenAgain.status.state !== 'offline')
      await until(toAna, () => ['connecting', 'synced', 'offline', 'locked'].includes(toAna.status.state))
      const ended = event(benAgain, 'ended', ({ wiped }) => wiped)
      const mayaAgain = await household.person('maya')
      const shareAgain = shareOf(mayaAgain)
      await synced(shareAgain)
      assert.equal((await ended).reason, 'removed')
      assert.not.ok(await exists(replicaOf(household.folder('ben'), share).directory))
      assert.not.ok(seen.includes('not for ben'))
      assert.equal(hex(benId), hex(benAgain.id))
      assert.is(memberOf(shareAgain, benAgain).state, 'removed')
      await edit(shareAgain, 'after')
      await reads(toAna, ['one', 'not for ben', 'after'])
      assert.not.ok(seen.includes('after'))
      await household.close()
    }
  )

  tail(`members at a relay that is ${state} keep what they have until the owner comes, then are current`, async () => {
    const household = await openHousehold()
    const maya = await household.person('maya')
    const share = await lent(maya)
    const lines = new Map<string, LossyLine>()
    const open = async (name: string) => {
      const line = lines.get(name) ?? (await openLossyLine(() => household.relay.url))
      lines.set(name, line)
      return { line, account: await household.person(name, { relay: line.url }) }
    }
    const join = async (name: string) => {
      const { line, account } = await open(name)
      const toMember = await account.accept(line.via(await linkTo(share, { name })))
      await synced(toMember)
      return { account, toMember }
    }
    const early = [await join('ana')]
    const copy = await backUp(household)
    await synced(share)
    early.push(await join('ben'))
    await edit(share, 'two')
    for (const { toMember } of early) await reads(toMember, ['one', 'two'])
    for (const { account } of early) await account.close()
    await maya.close()
    await putBack(household, isEmpty ? null : copy)
    await household.startRelay()
    for (const round of [0, 1, 2, 3, 4, 5]) {
      const name = round % 2 ? 'ben' : 'ana'
      const before = lines.get(name)?.sent.length ?? 0
      const { line, account } = await open(name)
      const toMember = lentTo(account)
      // The first two of each are cut off before their offer gets there.
      line.judge = frame => (round < 4 && frame.type === 'offer' ? 'cut' : 'pass')
      const told = () =>
        line.sent.slice(before).map(({ frame }) => (frame.type === 'following' ? frame.standing : frame.type))
      await until(line, () => told().includes('waiting') || told().includes('refused'))
      assert.not.ok(told().includes('refused'), `${told()}`)
      assert.equal(edits(toMember).toArray(), ['one', 'two'])
      await account.close()
    }
    const [ana, ben] = [(await open('ana')).account, (await open('ben')).account]
    const [toAna, toBen] = [lentTo(ana), lentTo(ben)]
    const mayaAgain = await household.person('maya')
    const shareAgain = shareOf(mayaAgain)
    await synced(shareAgain)
    await edit(shareAgain, 'three')
    await Promise.all([reads(toAna, ['one', 'two', 'three']), reads(toBen, ['one', 'two', 'three'])])
    assert.equal(
      shareAgain.members.map(({ state }) => state),
      ['joined', 'joined']
    )
    await household.close()
    for (const line of lines.values()) await line.close()
  })

  tail(`the owner’s connection may be cut at any frame while a relay comes back ${state}`, async () => {
    const household = await openHousehold()
    const line = await openLossyLine(() => household.relay.url)
    let maya = await household.person('maya', { relay: line.url })
    let share = await lent(maya)
    // Nobody else is there to bring the list back.
    const join = async (name: string) => {
      const account = await household.person(name)
      const toMember = await account.accept(line.past(await linkTo(share, { name })))
      await synced(toMember)
      await account.close()
      return account
    }
    await join('ana')
    const ben = await join('ben')
    const copy = await backUp(household)
    await synced(share)
    await takeOut(share, ben)
    await join('cid')
    const words = ['one']
    for (let frames = 1; frames <= 24; frames++) {
      words.push(`${frames}`, `offline ${frames}`)
      await edit(share, `${frames}`)
      line.cut({ down: true })
      await putBack(household, isEmpty ? null : copy)
      edits(share).push([`offline ${frames}`])
      let passed = 0
      line.judge = () => (++passed === frames ? 'cut' : 'pass')
      await household.startRelay()
      line.mend()
      const { status } = share
      await until(
        either(line, share),
        () => passed >= frames || (share.status !== status && share.status.state === 'synced')
      )
      if (frames % 2) {
        line.cut({ down: true })
        await maya.close()
        line.mend()
        maya = await household.person('maya')
        share = shareOf(maya)
      }
      await synced(share)
      assert.equal(
        share.members.map(({ name, state }) => `${name} ${state}`).sort(),
        ['ana joined', 'ben removed', 'cid joined'],
        `cut at frame ${frames}`
      )
    }
    await reads(lentTo(await household.person('ana')), words)
    await reads(lentTo(await household.person('cid')), words)
    const benAgain = await household.person('ben')
    await until(benAgain, () => benAgain.sharedWithMe.length === 0)
    await household.close()
    await line.close()
  })

  tail(`a void and a stop are not undone by a relay that comes back ${state}`, async () => {
    const household = await openHousehold()
    const maya = await household.person('maya')
    const share = await lent(maya)
    const link = await linkTo(share)
    const other = await lent(maya, 'Stopped')
    const ana = await household.person('ana')
    const toOther = await follow(other, ana)
    const copy = await backUp(household)
    await Promise.all([synced(share), synced(other), synced(toOther)])
    await ana.close()
    await share.invites[0]?.void()
    await synced(share)
    await other.stop()
    await until(other, () => other.status.state === 'ended')
    await maya.close()
    await putBack(household, isEmpty ? null : copy)
    await household.startRelay()
    const anaAgain = await household.person('ana')
    const ended = event(anaAgain, 'ended', ({ wiped }) => wiped)
    const mayaAgain = await household.person('maya')
    const kept = mayaAgain.shares.find(({ title }) => title === 'Kept')
    if (!kept) throw new Error('the share is not in the list')
    await synced(kept)
    assert.equal(
      kept.invites.map(({ state }) => state),
      ['void']
    )
    const code = await anaAgain.accept(link).then(
      () => 'accepted',
      error => error.code
    )
    assert.is(code, 'INVITE_VOID')
    assert.is((await ended).reason, 'stopped')
    await household.close()
  })
}

tail('a relay that lost its tail twice, with restarts of the owner in between, has everything', async () => {
  const household = await openHousehold()
  let maya = await household.person('maya')
  let share = await lent(maya)
  const ana = await household.person('ana')
  const toAna = await follow(share, ana)
  const words = ['one']
  const copy = await backUp(household)
  for (let round = 0; round < 4; round++) {
    await synced(share)
    const word = `round ${round}`
    words.push(word)
    await edit(share, word)
    await putBack(household, round % 2 ? null : copy)
    if (round > 1) {
      await maya.close()
      maya = await household.person('maya')
      share = shareOf(maya)
    }
    words.push(`offline ${round}`)
    edits(share).push([`offline ${round}`])
    await household.startRelay()
    await synced(share)
    await reads(toAna, words)
  }
  await reads(await follow(share, await household.person('late')), words)
  await household.close()
})

tail(
  'a log damaged at the relay is STORE_CORRUPT alone: another share goes on, and nobody deletes anything',
  async () => {
    const household = await openHousehold()
    const line = await openLossyLine(() => household.relay.url)
    const maya = await household.person('maya', { relay: line.url })
    const ana = await household.person('ana')
    const damaged = await lent(maya, 'Damaged')
    const sound = await lent(maya, 'Sound')
    const toDamaged = await ana.accept(line.past(await linkTo(damaged)))
    const toSound = await ana.accept(line.past(await linkTo(sound)))
    await Promise.all([reads(toDamaged, ['one']), reads(toSound, ['one'])])
    await household.stopRelay()
    await flipByteOf(household.relayFolder, damaged.id)
    await household.startRelay()
    await edit(sound, 'two')
    await reads(toSound, ['one', 'two'])
    edits(damaged).push(['two'])
    const corrupt = () =>
      line.sent.flatMap(({ frame }) => (frame.type === 'refused' && frame.code === 'STORE_CORRUPT' ? [frame.log] : []))
    await until(line, () => corrupt().length > 0)
    for (const log of corrupt()) assert.is(log && hex(log), hex(damaged.id))
    await until(damaged, () => damaged.status.state === 'saved')
    assert.equal(edits(toDamaged).toArray(), ['one'])
    assert.ok(await exists(replicaOf(household.folder('ana'), damaged).directory))
    assert.is(ana.sharedWithMe.length, 2)
    await edit(sound, 'three')
    await reads(toSound, ['one', 'two', 'three'])
    await household.close()
    await line.close()
  }
)

tail('an owner’s damaged replica is STORE_CORRUPT alone: it is not touched, and the other share goes on', async () => {
  const household = await openHousehold()
  const maya = await household.person('maya')
  const damaged = await lent(maya, 'Damaged')
  const sound = await lent(maya, 'Sound')
  await maya.close()
  // A record that is sealed under another key does not open: as good as any other damage.
  const { keyFile, directory } = replicaOf(household.folder('maya'), damaged)
  const key = await readFile(keyFile)
  await writeFile(keyFile, new Uint8Array(32))
  const mayaAgain = await household.person('maya')
  assert.equal(
    mayaAgain.shares.map(({ id }) => hex(id)),
    [hex(sound.id)]
  )
  assert.ok(await exists(directory))
  await edit(shareOf(mayaAgain), 'two')
  await mayaAgain.close()
  // Restored, it goes on.
  await writeFile(keyFile, key)
  const mayaThird = await household.person('maya')
  const restored = mayaThird.shares.find(({ id }) => hex(id) === hex(damaged.id))
  if (!restored) throw new Error('the share is not in the list')
  await edit(restored, 'two')
  assert.equal(edits(restored).toArray(), ['one', 'two'])
  await household.close()
})

tail('an owner’s replica that was deleted is read anew from the relay and can be written again', async () => {
  const household = await openHousehold()
  const maya = await household.person('maya')
  const ana = await household.person('ana')
  const share = await lent(maya)
  const toAna = await follow(share, ana)
  await edit(share, 'two')
  await maya.close()
  await rm(replicaOf(household.folder('maya'), share).directory, { recursive: true })
  const mayaAgain = await household.person('maya')
  const shareAgain = shareOf(mayaAgain)
  // Before the first word of the relay, and after it.
  edits(shareAgain).push(['early'])
  await synced(shareAgain)
  await edit(shareAgain, 'late')
  const words = edits(shareAgain).toArray()
  assert.equal([...words].sort(), ['early', 'late', 'one', 'two'])
  await reads(toAna, words)
  await mayaAgain.close()
  const mayaThird = await household.person('maya')
  const shareThird = shareOf(mayaThird)
  await edit(shareThird, 'third')
  await reads(toAna, [...words, 'third'])
  assert.equal(
    shareThird.members.map(({ state }) => state),
    ['joined']
  )
  await takeOut(shareThird, ana)
  await household.stopRelay()
  for (const ctrs of ctrsOf(await entriesOf(household.relayFolder, share.id)).values()) {
    assert.equal(
      ctrs,
      Array.from(ctrs, (_, i) => i + 1)
    )
  }
  await household.close()
})

tail(
  'edits into a replica that was deleted are kept, also when it is closed before the relay was reached',
  async () => {
    const household = await openHousehold()
    const maya = await household.person('maya')
    const share = await lent(maya)
    await maya.close()
    await household.stopRelay()
    await rm(replicaOf(household.folder('maya'), share).directory, { recursive: true })
    for (const word of ['two', 'three']) {
      const offline = await household.person('maya')
      edits(shareOf(offline)).push([word])
      assert.is(shareOf(offline).status.state, 'saving')
      await offline.close()
    }
    await household.startRelay()
    const mayaAgain = await household.person('maya')
    await synced(shareOf(mayaAgain))
    assert.equal(edits(shareOf(mayaAgain)).toArray().sort(), ['one', 'three', 'two'])
    const late = await household.person('late')
    await reads(await follow(shareOf(mayaAgain), late), edits(shareOf(mayaAgain)).toArray())
    await household.close()
  }
)

tail('an owner’s replica that was deleted together with its key is read anew too', async () => {
  const household = await openHousehold()
  const maya = await household.person('maya')
  const share = await lent(maya)
  await maya.close()
  const { directory, keyFile } = replicaOf(household.folder('maya'), share)
  await rm(directory, { recursive: true })
  await rm(keyFile)
  const mayaAgain = await household.person('maya')
  const shareAgain = shareOf(mayaAgain)
  await synced(shareAgain)
  await edit(shareAgain, 'two')
  assert.equal(edits(shareAgain).toArray(), ['one', 'two'])
  await household.close()
})

for (const isEdited of [true, false]) {
  const how = isEdited ? 'after an edit of its own' : 'before it writes'
  tail(`a cloned owner is told so ${how}, and nothing is lost or overwritten at the relay`, async () => {
    const household = await openHousehold()
    const maya = await household.person('maya')
    const ana = await household.person('ana')
    const share = await lent(maya)
    const toAna = await follow(share, ana)
    await maya.close()
    await cp(household.folder('maya'), household.folder('clone'), { recursive: true })
    const original = await household.person('maya')
    const originalShare = shareOf(original)
    await edit(originalShare, 'original')
    await edit(originalShare, 'original again')
    await original.close()
    if (isEdited) {
      await household.stopRelay()
      const early = await household.person('clone')
      edits(shareOf(early)).push(['clone'])
      await early.close()
      await household.startRelay()
    }
    const clone = await household.person('clone')
    const cloneShare = shareOf(clone)
    await until(cloneShare, () => cloneShare.status.state === 'failed')
    const { status } = cloneShare
    assert.is(status.state === 'failed' && status.error.code, 'DEVICE_CLONED')
    // Its unsent edit stays with it.
    if (isEdited) assert.ok(edits(cloneShare).toArray().includes('clone'))
    await clone.close()
    const again = await household.person('maya')
    const againShare = shareOf(again)
    await edit(againShare, 'still here')
    const words = ['one', 'original', 'original again', 'still here']
    assert.equal(edits(againShare).toArray(), words)
    await reads(toAna, words)
    await reads(await follow(againShare, await household.person('late')), words)
    await household.close()
  })
}

/** Flips one byte of a record of this log in the relay's database. */
async function flipByteOf(relayFolder: string, log: Uint8Array): Promise<void> {
  const database = await openDatabase(join(relayFolder, 'store'))
  const seq = new Uint8Array(8)
  seq[7] = 2
  const key = concat(log, seq)
  const record = Uint8Array.from((await database.get(key)) ?? [])
  record[record.length >> 1] = (record[record.length >> 1] ?? 0) ^ 1
  await database.put(key, record)
  await database.close()
}

tail.run()
