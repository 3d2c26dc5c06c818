// limit: 240 s
/**
 * A relay that was put back to an older copy of its data, or to none, gets everything back from its people's devices; one
 * damaged log harms no other; an owner's replica that is gone comes back from the relay.
 */
import { cp, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Account, type LentShare, pairDevice, type Share } from '@lend/client'
import { concat, hex, type LogId, logId } from '@lend/engine'
import { type LogStore, openLevelStore, StoreCorrupt } from '@lend/server'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { openDatabase } from '../../packages/server/src/store/level-store.ts'
import { event, follow, type Household, household, linkTo, memberOf, replicaOf, takeOut, until } from './household.ts'
import { either, isAbout, type LossyLine, openLossyLine } from './lossy-line.ts'
import { ctrsOf, entriesOf, isNewLife, type LoggedEntry, recordsOf } from './relay-log.ts'
import { nodeWorld } from './worlds.ts'

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
async function backUp(house: Household): Promise<string> {
  const copy = join(house.dir, 'backup')
  await house.stopRelay()
  await rm(copy, { recursive: true, force: true })
  await cp(house.relayFolder, copy, { recursive: true })
  await house.startRelay()
  return copy
}

/** Stops the relay and puts its data back to the copy; with none, to nothing but its key. */
async function putBack(house: Household, copy: string | null): Promise<void> {
  await house.stopRelay()
  const key = join(house.dir, 'relay.key')
  await cp(join(house.relayFolder, 'relay.key'), key)
  await rm(house.relayFolder, { recursive: true })
  if (copy) await cp(copy, house.relayFolder, { recursive: true })
  else {
    await mkdir(house.relayFolder)
    await rename(key, join(house.relayFolder, 'relay.key'))
  }
}

async function lent(owner: Account, title = 'Kept'): Promise<Share> {
  const share = await owner.share({ title })
  await edit(share, 'one')
  return share
}

/** How often the relay has begun this log anew. It must be stopped. */
async function livesAfterLoss(house: Household, log: LogId): Promise<number> {
  return (await recordsOf(house.relayFolder, log)).filter(isNewLife).length
}

/** Of each device and document, from 1 on, without gaps. */
function checkCtrs(entries: readonly LoggedEntry[]): void {
  const found = ctrsOf(entries)
  assert.ok(found.size > 0, 'the log is at the relay')
  for (const ctrs of found.values()) {
    assert.equal(
      ctrs,
      Array.from(ctrs, (_, i) => i + 1)
    )
  }
}

/** What the relay said that the client on this line is in the log, each time that it was asked. */
function standings({ sent }: LossyLine, log: LogId): string[] {
  return sent.flatMap(({ frame }) => (frame.type === 'following' && isAbout(frame, log) ? [frame.standing] : []))
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

  tail(
    `a relay that comes back ${state} gets edits and members back from a connected owner`,
    household(async house => {
      const maya = await house.person('maya')
      const ana = await house.person('ana')
      const share = await lent(maya)
      const toAna = await follow(share, ana)
      const copy = await backUp(house)
      await until(share, () => share.status.state === 'synced')
      await edit(share, 'two', 'three')
      const ben = await house.person('ben')
      const toBen = await follow(share, ben)
      await edit(share, 'four')
      await putBack(house, isEmpty ? null : copy)
      edits(share).push(['five'])
      await house.startRelay()
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
      await edit(share, 'six')
      await Promise.all([reads(toAna, [...words, 'six']), reads(toBen, [...words, 'six'])])
      const late = await house.person('late')
      await reads(await follow(share, late), [...words, 'six'])
      await Promise.all([maya, ana, ben].map(person => person.synced()))
      const { incarnations } = house.relay.metrics()
      await house.stopRelay()
      // Each log that lost something began anew once: the share, and the libraries of those who wrote since the copy.
      const lives: number[] = []
      for (const log of [share.id, ...[maya, ana, ben].map(({ id }) => logId(id))]) {
        lives.push(await livesAfterLoss(house, log))
        checkCtrs(await entriesOf(house.relayFolder, log))
      }
      assert.is(lives[0], 1)
      assert.is(Math.max(...lives), 1)
      assert.is(
        lives.reduce((sum, n) => sum + n),
        incarnations
      )
    })
  )

  tail(
    `a member that was removed stays out of a relay that comes back ${state}, and does not get in between`,
    household(async house => {
      const maya = await house.person('maya')
      const ana = await house.person('ana')
      const ben = await house.person('ben')
      const share = await lent(maya)
      const toAna = await follow(share, ana)
      const toBen = await follow(share, ben)
      const benId = ben.id
      const copy = await backUp(house)
      await Promise.all([synced(share), synced(toAna), synced(toBen)])
      // Off since before the removal, and not told of it.
      await ben.close()
      await takeOut(share, ben)
      await edit(share, 'not for ben')
      await maya.close()
      await putBack(house, isEmpty ? null : copy)
      await house.startRelay()
      // The removed one is there first; the relay may still have it as a member.
      const benAgain = await house.person('ben')
      const toBenAgain = lentTo(benAgain)
      const seen: string[] = []
      toBenAgain.doc.on('update', () => seen.push(...edits(toBenAgain).toArray()))
      await until(benAgain, () => benAgain.status.state !== 'offline' && toBenAgain.status.state !== 'offline')
      await until(toAna, () => ['connecting', 'synced', 'offline', 'locked'].includes(toAna.status.state))
      const ended = event(benAgain, 'ended', ({ wiped }) => wiped)
      const mayaAgain = await house.person('maya')
      const shareAgain = shareOf(mayaAgain)
      await synced(shareAgain)
      assert.equal((await ended).reason, 'removed')
      assert.not.ok(await exists(replicaOf(house.folder('ben'), share).directory))
      assert.not.ok(seen.includes('not for ben'))
      assert.equal(hex(benId), hex(benAgain.id))
      assert.is(memberOf(shareAgain, benAgain).state, 'removed')
      await edit(shareAgain, 'after')
      await reads(toAna, ['one', 'not for ben', 'after'])
      assert.not.ok(seen.includes('after'))
    })
  )

  tail(
    `members at a relay that is ${state} keep what they have until the owner comes, then are current`,
    household(async house => {
      const maya = await house.person('maya')
      const share = await lent(maya)
      const lines = new Map<string, LossyLine>()
      const open = async (name: string) => {
        const line = lines.get(name) ?? house.keep(await openLossyLine(() => house.relay.url))
        lines.set(name, line)
        return { line, account: await house.person(name, { relay: line.url }) }
      }
      const join = async (name: string) => {
        const { line, account } = await open(name)
        const toMember = await account.accept(line.via(await linkTo(share, { name })))
        await synced(toMember)
        return { account, toMember }
      }
      const early = [await join('ana')]
      const copy = await backUp(house)
      await synced(share)
      early.push(await join('ben'))
      await edit(share, 'two')
      for (const { toMember } of early) await reads(toMember, ['one', 'two'])
      for (const { account } of early) await account.close()
      await maya.close()
      await putBack(house, isEmpty ? null : copy)
      await house.startRelay()
      for (const round of [0, 1, 2, 3, 4, 5]) {
        const name = round % 2 ? 'ben' : 'ana'
        const before = lines.get(name)?.sent.length ?? 0
        const { line, account } = await open(name)
        const toMember = lentTo(account)
        // The first two of each are cut off before their offer gets there.
        line.only = share.id
        line.judge = frame => (round < 4 && frame.type === 'offer' ? 'cut' : 'pass')
        const told = () =>
          line.sent
            .slice(before)
            .filter(({ frame }) => isAbout(frame, share.id))
            .map(({ frame }) => (frame.type === 'following' ? frame.standing : frame.type))
        await until(line, () => told().includes('waiting') || told().includes('refused'))
        assert.not.ok(told().includes('refused'), `${told()}`)
        assert.equal(edits(toMember).toArray(), ['one', 'two'])
        await account.close()
      }
      const [ana, ben] = [(await open('ana')).account, (await open('ben')).account]
      const [toAna, toBen] = [lentTo(ana), lentTo(ben)]
      const mayaAgain = await house.person('maya')
      const shareAgain = shareOf(mayaAgain)
      await synced(shareAgain)
      await edit(shareAgain, 'three')
      await Promise.all([reads(toAna, ['one', 'two', 'three']), reads(toBen, ['one', 'two', 'three'])])
      assert.equal(
        shareAgain.members.map(({ state }) => state),
        ['joined', 'joined']
      )
    })
  )

  tail(
    `the owner’s connection may be cut at any frame while a relay comes back ${state}`,
    household(async house => {
      const line = house.keep(await openLossyLine(() => house.relay.url))
      let maya = await house.person('maya', { relay: line.url })
      let share = await lent(maya)
      // Nobody else is there to bring the list back.
      const join = async (name: string) => {
        const account = await house.person(name)
        const toMember = await account.accept(line.past(await linkTo(share, { name })))
        await synced(toMember)
        await account.close()
        return account
      }
      await join('ana')
      const ben = await join('ben')
      const copy = await backUp(house)
      await synced(share)
      await takeOut(share, ben)
      await join('cid')
      const words = ['one']
      // Of the share and of the library, which loses something each time too, until a contact has no more.
      let isCut = true
      let frames = 0
      while (isCut) {
        frames++
        words.push(`${frames}`, `offline ${frames}`)
        await Promise.all([edit(share, `${frames}`), maya.rename(`Maya ${frames}`)])
        await maya.synced()
        line.cut({ down: true })
        await putBack(house, isEmpty ? null : copy)
        edits(share).push([`offline ${frames}`])
        await maya.rename(`Maya, offline ${frames}`)
        let passed = 0
        line.judge = () => (++passed === frames ? 'cut' : 'pass')
        await house.startRelay()
        line.mend()
        await until(either(line, maya), () => passed >= frames || maya.status.state === 'synced')
        isCut = passed >= frames
        if (frames % 2) {
          line.cut({ down: true })
          await maya.close()
          line.mend()
          maya = await house.person('maya')
          share = shareOf(maya)
        }
        await Promise.all([synced(share), maya.synced()])
        assert.equal(
          share.members.map(({ name, state }) => `${name} ${state}`).sort(),
          ['ana joined', 'ben removed', 'cid joined'],
          `cut at frame ${frames}`
        )
      }
      assert.ok(frames > 16, `${frames - 1} frames`)
      await reads(lentTo(await house.person('ana')), words)
      await reads(lentTo(await house.person('cid')), words)
      const benAgain = await house.person('ben')
      await until(benAgain, () => benAgain.sharedWithMe.length === 0)
      // A device that comes new reads from the relay what the library says.
      const { link } = await maya.inviteDevice()
      await maya.synced()
      const laptop = house.keep(await pairDevice(link ?? '', { path: house.folder('laptop'), world: nodeWorld }))
      await laptop.synced()
      assert.is(laptop.name, `Maya, offline ${frames}`)
      await until(laptop, () => laptop.shares.map(({ title }) => title).join() === 'Kept')
    })
  )

  tail(
    `a void and a stop are not undone by a relay that comes back ${state}`,
    household(async house => {
      const maya = await house.person('maya')
      const share = await lent(maya)
      const link = await linkTo(share)
      const other = await lent(maya, 'Stopped')
      const ana = await house.person('ana')
      const toOther = await follow(other, ana)
      const copy = await backUp(house)
      await Promise.all([synced(share), synced(other), synced(toOther)])
      await ana.close()
      await share.invites[0]?.void()
      await synced(share)
      await other.stop()
      await until(other, () => other.status.state === 'ended')
      await maya.close()
      await putBack(house, isEmpty ? null : copy)
      await house.startRelay()
      const anaAgain = await house.person('ana')
      const ended = event(anaAgain, 'ended', ({ wiped }) => wiped)
      const mayaAgain = await house.person('maya')
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
    })
  )
}

tail(
  'who had left, joined again and comes to a relay that lost the second joining waits for the owner and is in again',
  household(async house => {
    const line = house.keep(await openLossyLine(() => house.relay.url))
    const maya = await house.person('maya')
    const ben = await house.person('ben', { relay: line.url })
    const share = await lent(maya)
    const join = async () => {
      const toBen = await ben.accept(line.via(await linkTo(share)))
      await synced(toBen)
      return toBen
    }
    await join()
    const left = event(ben, 'ended', ({ wiped }) => wiped)
    await takeOut(share, ben)
    await left
    const copy = await backUp(house)
    await synced(share)
    const toBen = await join()
    await edit(share, 'two')
    await reads(toBen, ['one', 'two'])
    await maya.close()
    const ends: unknown[] = []
    ben.on('ended', end => ends.push(end))
    await putBack(house, copy)
    const before = standings(line, share.id).length
    await house.startRelay()
    // To the relay it is a former member, until it has brought its own joining back.
    await until(line, () => standings(line, share.id).length >= before + 2)
    assert.equal(standings(line, share.id).slice(before), ['former', 'waiting'])
    await until(toBen, () => toBen.status.state === 'connecting')
    assert.equal(edits(toBen).toArray(), ['one', 'two'])
    const mayaAgain = await house.person('maya')
    await edit(shareOf(mayaAgain), 'three')
    await reads(toBen, ['one', 'two', 'three'])
    assert.is(memberOf(shareOf(mayaAgain), ben).state, 'joined')
    assert.equal(ends, [])
    await house.stopRelay()
    assert.is(await livesAfterLoss(house, share.id), 1)
  })
)

tail(
  'a relay that lost its tail twice, with restarts of the owner in between, has everything',
  household(async house => {
    let maya = await house.person('maya')
    let share = await lent(maya)
    const ana = await house.person('ana')
    const toAna = await follow(share, ana)
    const words = ['one']
    const copy = await backUp(house)
    for (let round = 0; round < 4; round++) {
      await synced(share)
      const word = `round ${round}`
      words.push(word)
      await edit(share, word)
      await putBack(house, round % 2 ? null : copy)
      if (round > 1) {
        await maya.close()
        maya = await house.person('maya')
        share = shareOf(maya)
      }
      words.push(`offline ${round}`)
      edits(share).push([`offline ${round}`])
      await house.startRelay()
      await synced(share)
      await reads(toAna, words)
    }
    await reads(await follow(share, await house.person('late')), words)
  })
)

tail(
  'a log damaged at the relay is STORE_CORRUPT alone: another share goes on, and nobody deletes anything',
  household(async house => {
    const line = house.keep(await openLossyLine(() => house.relay.url))
    const maya = await house.person('maya', { relay: line.url })
    const ana = await house.person('ana')
    const damaged = await lent(maya, 'Damaged')
    const sound = await lent(maya, 'Sound')
    const toDamaged = await ana.accept(line.past(await linkTo(damaged)))
    const toSound = await ana.accept(line.past(await linkTo(sound)))
    await Promise.all([reads(toDamaged, ['one']), reads(toSound, ['one'])])
    await house.stopRelay()
    await flipByteOf(house.relayFolder, damaged.id)
    await house.startRelay()
    await edit(sound, 'two')
    await reads(toSound, ['one', 'two'])
    edits(damaged).push(['two'])
    const corrupt = () =>
      line.sent.flatMap(({ frame }) => (frame.type === 'refused' && frame.code === 'STORE_CORRUPT' ? [frame.log] : []))
    await until(line, () => corrupt().length > 0)
    for (const log of corrupt()) assert.is(log && hex(log), hex(damaged.id))
    await until(damaged, () => damaged.status.state === 'saved')
    assert.equal(edits(toDamaged).toArray(), ['one'])
    assert.ok(await exists(replicaOf(house.folder('ana'), damaged).directory))
    assert.is(ana.sharedWithMe.length, 2)
    await edit(sound, 'three')
    await reads(toSound, ['one', 'two', 'three'])
  })
)

tail(
  'an edit that came while its log was damaged is there when the relay is whole again, without a new start',
  household(async house => {
    let isDamaged = false
    const open = async (): Promise<LogStore> => {
      const store = await openLevelStore({ path: join(house.relayFolder, 'store'), dice: nodeWorld.dice })
      return {
        append(log, entries, expected) {
          if (isDamaged) throw new StoreCorrupt(log, 'a record is damaged')
          return store.append(log, entries, expected)
        },
        read: (...o) => store.read(...o),
        forget: (...o) => store.forget(...o),
        drop: (...o) => store.drop(...o),
        head: (...o) => store.head(...o),
        close: () => store.close()
      }
    }
    await house.stopRelay()
    await house.startRelay({ store: await open() })
    const maya = await house.person('maya')
    const share = await lent(maya)
    isDamaged = true
    const told = event(share, 'refused')
    edits(share).push(['two'])
    assert.is((await told).code, 'STORE_CORRUPT')
    await house.stopRelay()
    isDamaged = false
    await house.startRelay({ store: await open() })
    await synced(share)
    const ana = await follow(share, await house.person('ana'))
    assert.equal(edits(ana).toArray(), ['one', 'two'])
  })
)

tail(
  'an owner’s damaged replica is STORE_CORRUPT alone: it is not touched, and the other share goes on',
  household(async house => {
    const maya = await house.person('maya')
    const damaged = await lent(maya, 'Damaged')
    const sound = await lent(maya, 'Sound')
    await maya.close()
    // A record that is sealed under another key does not open: as good as any other damage.
    const { keyFile, directory } = replicaOf(house.folder('maya'), damaged)
    const key = await readFile(keyFile)
    await writeFile(keyFile, new Uint8Array(32))
    const mayaAgain = await house.person('maya')
    const [failed, going] = [damaged, sound].map(share => mayaAgain.shares.find(({ id }) => hex(id) === hex(share.id)))
    if (!failed || !going) throw new Error('a share is not in the list')
    const { status } = failed
    assert.is(status.state === 'failed' && status.error.code, 'STORE_CORRUPT')
    assert.ok(await exists(directory))
    await edit(going, 'two')
    await mayaAgain.close()
    // Restored, it goes on.
    await writeFile(keyFile, key)
    const mayaThird = await house.person('maya')
    const restored = mayaThird.shares.find(({ id }) => hex(id) === hex(damaged.id))
    if (!restored) throw new Error('the share is not in the list')
    await edit(restored, 'two')
    assert.equal(edits(restored).toArray(), ['one', 'two'])
  })
)

tail(
  'an owner’s replica that was deleted is read anew from the relay and can be written again',
  household(async house => {
    const maya = await house.person('maya')
    const ana = await house.person('ana')
    const share = await lent(maya)
    const toAna = await follow(share, ana)
    await edit(share, 'two')
    await maya.close()
    await rm(replicaOf(house.folder('maya'), share).directory, { recursive: true })
    const mayaAgain = await house.person('maya')
    const shareAgain = shareOf(mayaAgain)
    // Before the first word of the relay, and after it.
    edits(shareAgain).push(['early'])
    await synced(shareAgain)
    await edit(shareAgain, 'late')
    const words = edits(shareAgain).toArray()
    assert.equal([...words].sort(), ['early', 'late', 'one', 'two'])
    await reads(toAna, words)
    await mayaAgain.close()
    const mayaThird = await house.person('maya')
    const shareThird = shareOf(mayaThird)
    await edit(shareThird, 'third')
    await reads(toAna, [...words, 'third'])
    assert.equal(
      shareThird.members.map(({ state }) => state),
      ['joined']
    )
    await takeOut(shareThird, ana)
    await house.stopRelay()
    checkCtrs(await entriesOf(house.relayFolder, share.id))
  })
)

tail(
  'edits into a replica that was deleted are kept, also when it is closed before the relay was reached',
  household(async house => {
    const maya = await house.person('maya')
    const share = await lent(maya)
    await maya.close()
    await house.stopRelay()
    await rm(replicaOf(house.folder('maya'), share).directory, { recursive: true })
    for (const word of ['two', 'three']) {
      const offline = await house.person('maya')
      edits(shareOf(offline)).push([word])
      assert.is(shareOf(offline).status.state, 'saving')
      await offline.close()
    }
    await house.startRelay()
    const mayaAgain = await house.person('maya')
    await synced(shareOf(mayaAgain))
    assert.equal(edits(shareOf(mayaAgain)).toArray().sort(), ['one', 'three', 'two'])
    const late = await house.person('late')
    await reads(await follow(shareOf(mayaAgain), late), edits(shareOf(mayaAgain)).toArray())
  })
)

tail(
  'an owner’s replica that was deleted together with its key is read anew too',
  household(async house => {
    const maya = await house.person('maya')
    const share = await lent(maya)
    await maya.close()
    const { directory, keyFile } = replicaOf(house.folder('maya'), share)
    await rm(directory, { recursive: true })
    await rm(keyFile)
    const mayaAgain = await house.person('maya')
    const shareAgain = shareOf(mayaAgain)
    await synced(shareAgain)
    await edit(shareAgain, 'two')
    assert.equal(edits(shareAgain).toArray(), ['one', 'two'])
  })
)

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
