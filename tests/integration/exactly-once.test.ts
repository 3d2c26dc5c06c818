// limit: 240 s
/**
 * Offline edits reach the relay exactly once: through lost acknowledgements, lost appends, restarts on both sides, and
 * when the epoch changed meanwhile. What counts is the relay's own store, read while it is stopped.
 */
import { type Account, LendError, type LentShare, type Share } from '@lend/client'
import { decodeEntry, decodeStatement, hex, loadSuite, logId } from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import { type Household, household, linkTo, memberOf, until } from './household.ts'
import { either, isAbout, type LossyLine, openLossyLine, passAll } from './lossy-line.ts'
import { ctrsOf, entriesOf, seededDie } from './relay-log.ts'

const SYNC_MS = 30_000
const crypto = await loadSuite()

const once = describe('exactly once')

interface Scene {
  readonly house: Household
  /** The owner’s line. */
  readonly line: LossyLine
  /** The line of those who are lent to: it loses nothing, and shows what they are told. */
  readonly eyes: LossyLine
  /** Their number: each is pushed once. */
  edits: number
  owner: Account
  share: Share
}

/** A test on a stage of its own, which is closed whatever happens in it. */
function staged(run: (scene: Scene) => Promise<void>): () => Promise<void> {
  return household(async house => {
    const [line, eyes] = [await openLossyLine(() => house.relay.url), await openLossyLine(() => house.relay.url)]
    for (const kept of [line, eyes]) house.keep(kept)
    const owner = await house.person('maya', { relay: line.url })
    const share = await owner.share({ title: 'Counted' })
    await Promise.all([owner.synced(), synced(share)])
    line.only = share.id
    await run({ house, line, eyes, owner, share, edits: 0 })
  })
}

async function joinBy(scene: Scene, name: string): Promise<{ account: Account; lent: LentShare }> {
  const account = await scene.house.person(name, { relay: scene.eyes.url })
  const lent = await acceptAny(scene, account)
  await synced(lent)
  return { account, lent }
}

/** Somebody's leave may still be on its way, and voids the links that were made before it arrives. */
async function acceptAny(scene: Scene, account: Account): Promise<LentShare> {
  try {
    return await account.accept(scene.eyes.via(await linkTo(scene.share, { name: account.name })))
  } catch (error) {
    if (error instanceof LendError && error.code === 'INVITE_VOID') return acceptAny(scene, account)
    throw error
  }
}

function edit(scene: Scene): void {
  scene.edits++
  numbers(scene.share).push([scene.edits])
}

function numbers(share: Share | LentShare) {
  return share.doc.getArray<number>('edits')
}

function synced(share: Share | LentShare): Promise<void> {
  return share.synced({ signal: AbortSignal.timeout(SYNC_MS) })
}

function saved({ share }: Scene): Promise<unknown> {
  return until(share, () => share.status.state === 'saved' || share.status.state === 'synced')
}

/** Ends the owner's process, as far as its account goes, and begins another on the same folder. */
async function reopen(scene: Scene): Promise<void> {
  await scene.owner.close()
  scene.owner = await scene.house.person('maya')
  const [share] = scene.owner.shares
  if (!share) throw new Error('the share is not in the list')
  scene.share = share
}

/** Waits until the owner is synced, then compares relay, wire, owner and a reader who comes new. */
async function checkOnce(scene: Scene): Promise<void> {
  const { house, line } = scene
  line.judge = passAll
  line.mend()
  await synced(scene.share)
  const wanted = Array.from({ length: scene.edits }, (_, i) => i + 1)
  assert.equal(numbers(scene.share).toArray(), wanted, 'owner')
  const late = await joinBy(scene, 'late')
  assert.equal(numbers(late.lent).toArray(), wanted, 'late reader')
  await scene.owner.synced({ signal: AbortSignal.timeout(SYNC_MS) })
  await house.stopRelay()
  // The account's library has gone through the same losses.
  for (const log of [scene.share.id, logId(scene.owner.id)]) {
    const ctrs = ctrsOf(await entriesOf(house.relayFolder, log))
    assert.ok(ctrs.size > 0, 'the log is at the relay')
    for (const found of ctrs.values()) {
      assert.equal(
        found,
        Array.from(found, (_, i) => i + 1),
        'ctrs at the relay'
      )
    }
  }
  checkWire(line)
  await house.startRelay()
}

/** Other bytes under a ctr go out only after the client has heard EPOCH_STALE for exactly those before. */
function checkWire(line: LossyLine): void {
  const current = new Map<string, string>()
  const stale = new Set<string>()
  for (const { from, frame, fate } of line.sent) {
    const isHeard = fate === 'pass' || fate === 'last'
    if (from === 'relay' && frame.type === 'refused' && frame.entry && frame.code === 'EPOCH_STALE' && isHeard) {
      stale.add(hex(frame.entry))
    }
    if (from !== 'client' || frame.type !== 'append') continue
    for (const bytes of frame.entries) {
      const entry = decodeEntry(crypto, bytes)
      if (entry.kind === 'access') continue
      const place = `${hex(entry.log)}/${hex(entry.document)}/${entry.ctr}`
      const before = current.get(place)
      const id = hex(entry.id)
      if (before && before !== id) assert.ok(stale.has(before), `ctr ${entry.ctr} changed without EPOCH_STALE`)
      current.set(place, id)
    }
  }
}

once(
  'an edit is in the log once after its acknowledgement was lost with the connection, many times',
  staged(async scene => {
    const { line } = scene
    for (let round = 0; round < 40; round++) {
      const { dialed } = line
      line.judge = (frame, from) => (from === 'relay' && frame.type === 'ack' ? 'cut' : 'pass')
      edit(scene)
      await until(line, () => line.dialed > dialed)
      // Then it is sent again, and this time the acknowledgement passes.
      line.judge = passAll
      if (round % 3 === 0) await synced(scene.share)
    }
    await checkOnce(scene)
  })
)

once(
  'edits go on while acknowledgements are swallowed, and all are in the log once after the cut',
  staged(async scene => {
    const { line } = scene
    for (let round = 0; round < 10; round++) {
      let swallowed = 0
      line.judge = (frame, from) => {
        if (from !== 'relay' || frame.type !== 'ack') return 'pass'
        swallowed++
        return 'lose'
      }
      for (let i = 1; i <= 3; i++) {
        edit(scene)
        await until(line, () => swallowed >= i)
      }
      line.judge = passAll
      line.cut()
      edit(scene)
    }
    await checkOnce(scene)
  })
)

once(
  'an edit is in the log once after its append was lost with the connection',
  staged(async scene => {
    const { line } = scene
    for (let round = 0; round < 20; round++) {
      const { dialed } = line
      line.judge = frame => (frame.type === 'append' ? (round % 2 ? 'cut' : 'last') : 'pass')
      edit(scene)
      await until(line, () => line.dialed > dialed)
      line.judge = passAll
      edit(scene)
    }
    await checkOnce(scene)
  })
)

/** Leaves, and waits until the relay has said so to a member. */
async function leave(scene: Scene, leaver: LentShare): Promise<void> {
  const before = leavesTold(scene)
  await leaver.leave()
  await until(scene.eyes, () => leavesTold(scene) > before)
}

function leavesTold({ eyes, share }: Scene): number {
  const told = new Set<string>()
  for (const { from, frame } of eyes.sent) {
    if (from !== 'relay' || frame.type !== 'entries' || !isAbout(frame, share.id)) continue
    for (const { bytes } of frame.entries) {
      const entry = decodeEntry(crypto, bytes)
      if (entry.kind === 'access' && decodeStatement(entry.payload).type === 'leave') told.add(hex(entry.id))
    }
  }
  return told.size
}

for (const isTaken of [true, false]) {
  const what = isTaken ? 'was lost' : 'never came, because the edit was lost'
  once(
    `edits whose acknowledgement ${what}, and edits never sent, survive two leaves meanwhile`,
    staged(async scene => {
      const { line } = scene
      const ben = await joinBy(scene, 'ben')
      const cid = await joinBy(scene, 'cid')
      const dan = await joinBy(scene, 'dan')
      edit(scene)
      await synced(scene.share)
      line.judge = (frame, from) => {
        if (isTaken) return from === 'relay' && frame.type === 'ack' ? 'cut' : 'pass'
        return frame.type === 'append' ? 'cut' : 'pass'
      }
      edit(scene)
      await until(line, () => line.sent.some(({ fate }) => fate === 'cut'))
      line.cut({ down: true })
      edit(scene)
      await saved(scene)
      await leave(scene, ben.lent)
      edit(scene)
      await leave(scene, cid.lent)
      edit(scene)
      await checkOnce(scene)
      assert.is(memberOf(scene.share, ben.account).state, 'left')
      assert.is(memberOf(scene.share, cid.account).state, 'left')
      assert.is(numbers(dan.lent).length, scene.edits)
    })
  )
}

once(
  'a snapshot that was sent in an old epoch is sealed anew and covers what it covered',
  staged(async scene => {
    const { line } = scene
    const ben = await joinBy(scene, 'ben')
    const dan = await joinBy(scene, 'dan')
    let snapshots = 0
    line.judge = frame => {
      if (frame.type !== 'append' || !frame.entries.some(bytes => decodeEntry(crypto, bytes).kind === 'snapshot'))
        return 'pass'
      // The first is taken, so that the second must cover at least as much.
      return ++snapshots === 2 ? 'cut' : 'pass'
    }
    for (let round = 0; snapshots < 2; round++) {
      edit(scene)
      scene.share.doc.getMap('bulk').set('overwritten', `${round}`.repeat(60_000).slice(0, 60_000))
      await until(either(line, scene.share), () => snapshots >= 2 || scene.share.status.state === 'synced')
    }
    line.cut({ down: true })
    edit(scene)
    await saved(scene)
    await leave(scene, ben.lent)
    edit(scene)
    line.judge = passAll
    line.mend()
    await synced(scene.share)
    const late = await joinBy(scene, 'late')
    for (const share of [scene.share, late.lent]) assert.is(numbers(share).length, scene.edits)
    await until(dan.lent.doc, () => numbers(dan.lent).length === scene.edits)
    checkWire(line)
  })
)

once(
  'a removal wanted offline goes out before the edits that came after it, and each edit once',
  staged(async scene => {
    const { line } = scene
    const ben = await joinBy(scene, 'ben')
    const cid = await joinBy(scene, 'cid')
    line.judge = frame => (frame.type === 'append' ? 'cut' : 'pass')
    edit(scene)
    await until(line, () => line.sent.some(({ fate }) => fate === 'cut'))
    line.cut({ down: true })
    edit(scene)
    await scene.share.remove(memberOf(scene.share, ben.account))
    edit(scene)
    await saved(scene)
    await reopen(scene)
    edit(scene)
    await scene.share.remove(memberOf(scene.share, cid.account))
    edit(scene)
    const gone = until(ben.account, () => ben.account.sharedWithMe.length === 0)
    await checkOnce(scene)
    await gone
    assert.is(memberOf(scene.share, ben.account).state, 'removed')
    assert.is(memberOf(scene.share, cid.account).state, 'removed')
  })
)

once(
  'many entries that were sent in an old epoch are sealed anew one by one, without a storm',
  staged(async scene => {
    const { line } = scene
    const ben = await joinBy(scene, 'ben')
    await joinBy(scene, 'dan')
    // Each of these may have been sent, so none may be merged.
    line.cut({ down: true })
    const entries = 40
    for (let i = 0; i < entries; i++) {
      edit(scene)
      await saved(scene)
      await reopen(scene)
    }
    await leave(scene, ben.lent)
    const before = line.sent.length
    await checkOnce(scene)
    const appended = line.sent.slice(before).filter(({ frame }) => isAbout(frame, scene.share.id))
    const sendings = appended.reduce((sum, { frame }) => sum + (frame.type === 'append' ? frame.entries.length : 0), 0)
    assert.ok(sendings <= 6 * entries, `${entries} entries were sent ${sendings} times`)
  })
)

const SEEDS = Number(process.env.LEND_ONCE_SEEDS ?? 2)
const FIRST_SEED = Number(process.env.LEND_ONCE_FIRST ?? 1)

for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
  once(
    `edits, losses, restarts, leaves and removals in any order leave each edit once: seed ${seed}`,
    staged(async scene => {
      await play(scene, seededDie(seed))
      await checkOnce(scene)
    })
  )
}

async function play(scene: Scene, die: (sides: number) => number): Promise<void> {
  const { line, house } = scene
  const members = new Map<string, { account: Account; lent: LentShare }>()
  for (const name of ['ann', 'ben', 'cid', 'dan']) members.set(name, await joinBy(scene, name))
  const takeMember = () => {
    const name = [...members.keys()][die(Math.max(1, members.size))]
    const member = name === undefined ? undefined : members.get(name)
    if (name !== undefined) members.delete(name)
    return member
  }
  for (let step = 0; step < 40; step++) {
    switch (die(12)) {
      case 0:
        line.judge = (frame, from) => (from === 'relay' && frame.type === 'ack' ? 'cut' : 'pass')
        break
      case 1:
        line.judge = frame => (frame.type === 'append' ? 'cut' : 'pass')
        break
      case 2:
        line.judge = (frame, from) => (from === 'relay' && frame.type === 'ack' && die(2) ? 'lose' : 'pass')
        break
      case 3:
        line.judge = passAll
        line.cut({ down: true })
        break
      case 4:
        line.judge = passAll
        line.cut()
        if (die(2)) await synced(scene.share)
        break
      case 5:
        await reopen(scene)
        break
      case 6:
        if (die(2)) {
          await house.stopRelay()
          await house.startRelay()
        }
        break
      case 7:
        await takeMember()?.lent.leave()
        break
      case 8: {
        const member = takeMember()
        if (member && scene.share.members.length > 0) await scene.share.remove(memberOf(scene.share, member.account))
        break
      }
      default:
        for (let i = die(4); i >= 0; i--) edit(scene)
        if (die(2)) await saved(scene)
    }
  }
  line.cut()
}

once(
  'who asks for synced right after an edit waits for that edit',
  staged(async scene => {
    const { line } = scene
    const ana = await joinBy(scene, 'ana')
    for (let round = 0; round < 30; round++) {
      edit(scene)
      // Saved at once, so that the next edit comes while the flush of the first is still planned.
      if (round % 3 === 0) await scene.share.rename(`Counted ${round}`)
      if (round % 3 !== 2) edit(scene)
      await synced(scene.share)
      const { edits } = scene
      line.cut({ down: true })
      await until(ana.lent.doc, () => numbers(ana.lent).length >= edits)
      line.mend()
    }
    await checkOnce(scene)
  })
)

once.run()
