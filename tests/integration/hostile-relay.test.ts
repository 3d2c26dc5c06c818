/**
 * What a relay that lies can do to a member's device, alone or with another member: it can lock the replica, never delete
 * it. And what it can't: keep a device busy.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Account, type LentShare, openAccount } from '@lend/client'
import {
  AccessHistory,
  authorInvite,
  decodeEntry,
  type Entry,
  type EntryId,
  encodeHead,
  encodeLink,
  type Frame,
  hex,
  incarnation,
  type LogId,
  type Placed,
  same
} from '@lend/engine'
import { suite as describe } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { endCounts, NO_PAST, pastOf } from '../../packages/client/src/log/retelling.ts'
import {
  accessEntry,
  connectRaw,
  dice,
  makeAccount,
  makeShare,
  type RawAccount,
  type RawClient,
  type RawShare,
  suite
} from '../server/raw-client.ts'
import { event, follow, type Household, household, lend, replicaOf, textOf, until } from './household.ts'
import { isAbout } from './lossy-line.ts'
import { openWiretap, type Wiretap } from './wiretap.ts'
import { nodeWorld, noNetwork } from './worlds.ts'

const hostile = describe('hostile relay')

/** A share whose owner and first member hold nothing back, and a wiretap for the device under test. */
interface Stage {
  readonly share: RawShare
  readonly owner: RawClient
  readonly maya: RawAccount
  readonly ana: RawAccount
  readonly line: Wiretap
  /** Appends to the relay what the owner writes. */
  append(...entries: readonly Entry[]): Promise<void>
  /** Lets the account in by an invite of its own. */
  admit(account: Account): Promise<LentShare>
}

async function openStage(house: Household): Promise<Stage> {
  const [maya, ana] = [makeAccount('Maya'), makeAccount('Ana')]
  const owner = house.keep(await rawClient(house.relay.url, maya))
  const share = makeShare(maya, house.relay.key)
  await owner.appended(share.log, incarnation(new Uint8Array(16)), share.create)
  const { incarnation: life } = await owner.followed(share.log)
  const append = async (...entries: readonly Entry[]) => {
    await owner.appended(share.log, life, ...entries)
  }
  const invited = share.invite()
  await append(invited.entry)
  const member = house.keep(await rawClient(house.relay.url, ana))
  await member.followed(share.log, { invite: invited.keys })
  const joined = share.join(ana, invited.keys)
  await member.appended(share.log, life, joined)
  share.take(joined)
  const line = house.keep(await openWiretap(house.relay.url))
  return {
    share,
    owner,
    maya,
    ana,
    line,
    append,
    async admit(account) {
      const secret = dice(32)
      const preview = { owner: 'Maya', title: 'House', items: {}, presence: false }
      const wanted = { secret, uses: 1, expiresMs: Date.now() + 60_000, untilMs: null, bound: null, preview }
      await append(share.write(authorInvite(suite, { ...wanted, epochKey: share.epochKey }, dice)))
      const link = { kind: 'share', relayUrl: line.url, relayKey: house.relay.key, log: share.log, secret } as const
      const lent = await account.accept(`lend://invite#${encodeLink(link)}`)
      await lent.synced()
      const entry = toldEntries(line, share.log).find(({ accessHead }) => same(accessHead, share.list.head))
      assert.ok(entry, 'its join')
      share.take(entry)
      return lent
    }
  }
}

async function rawClient(url: string, { device }: RawAccount): Promise<RawClient & { close(): Promise<unknown> }> {
  return connectRaw(url, device)
}

/** All access entries that the relay has told the client. */
function toldEntries(line: Wiretap, log: LogId): Entry[] {
  const told = new Map<string, Entry>()
  for (const { passed } of line.passages) {
    for (const { from, frame } of passed) {
      if (from !== 'relay' || frame.type !== 'entries' || !same(frame.log, log)) continue
      for (const { bytes } of frame.entries) {
        const entry = decodeEntry(suite, bytes)
        if (entry.kind === 'access') told.set(hex(entry.id), entry)
      }
    }
  }
  return [...told.values()]
}

/** The relay tells the list anew, in another incarnation, and says what this device is in it. */
function tell(line: Wiretap, log: LogId, standing: 'former' | 'member', entries: readonly Entry[]): void {
  const last = entries.at(-1)
  assert.ok(last)
  const life = incarnation(dice(16))
  const told = { log, incarnation: life, seq: entries.length, runningHash: dice(32), timeMs: Date.now() }
  const head = encodeHead(suite, { ...told, accessHead: last.id }, dice(32))
  const placed: Placed[] = entries.map(({ bytes }, i) => ({ seq: i + 1, timeMs: Date.now(), bytes }))
  const totals = { entriesTotal: placed.length, bytesTotal: 1 }
  const upTo = standing === 'member' ? placed.length : 0
  slipIn(line, log, { type: 'following', log, standing, incarnation: life, from: 0, ...totals, head })
  slipIn(line, log, { type: 'entries', log, incarnation: life, upTo, head, entries: placed })
}

/** Into the connection on which the replica is kept: an accept may use one of its own. */
function slipIn(line: Wiretap, log: LogId, frame: Frame): void {
  const passage = line.passages.findLast(({ passed }) =>
    passed.some(({ frame: asked }) => asked.type === 'follow' && !asked.invite && isAbout(asked, log))
  )
  assert.ok(passage)
  passage.slipIn(frame)
}

function upTo(entries: readonly Entry[], id: EntryId): Entry[] {
  return entries.slice(0, entries.findIndex(entry => same(entry.id, id)) + 1)
}

function keeps(house: Household, share: RawShare, ben: Account, lent: LentShare): void {
  const { directory, keyFile } = replicaOf(house.folder('Ben'), { id: share.log })
  assert.ok(existsSync(join(directory, 'CURRENT')) && existsSync(keyFile), 'nothing is deleted')
  assert.is(ben.sharedWithMe[0], lent)
}

for (const inTwoSteps of [false, true]) {
  const how = inTwoSteps ? ', first to before it, then to it' : ''
  hostile(
    `a relay and a member that go back to an earlier removal${how} lock, delete nothing, and the next removal does`,
    household(async house => {
      const { share, append, admit, ana, line } = await openStage(house)
      const ben = await house.person('Ben', { relay: line.url })
      await admit(ben)
      const beforeRemoval = share.list.head
      const gone = event(ben, 'ended', ({ wiped }) => wiped)
      const removal = share.remove({ ...ana, account: ben.id })
      await append(removal)
      assert.is((await gone).reason, 'removed')
      const lent = await admit(ben)
      const edited = new Y.Doc()
      edited.getText('text').insert(0, 'a line')
      await append(share.update(Y.encodeStateAsUpdate(edited)))
      await until(lent.doc, () => textOf(lent).toString() === 'a line')

      const ends: string[] = []
      ben.on('ended', ({ reason }) => ends.push(reason))
      const history = upTo(share.entries, removal.id)
      if (inTwoSteps) {
        const back = upTo(share.entries, beforeRemoval)
        const fork = accessEntry(share.log, beforeRemoval, ana.device, { type: 'leave' })
        tell(line, share.log, 'member', [...back, fork])
        await until(lent, () => lent.status.state === 'synced')
        tell(line, share.log, 'former', history)
      } else {
        const fork = accessEntry(share.log, removal.id, ana.device, { type: 'leave' })
        tell(line, share.log, 'former', [...history, fork])
      }
      await until(lent, () => lent.status.state === 'locked' || ends.length > 0)
      assert.equal(ends, [])
      keeps(house, share, ben, lent)

      // Neither does it after a new start, and the true relay unlocks.
      await ben.close()
      const alone = await openAccount({ path: house.folder('Ben'), world: { ...nodeWorld, ...noNetwork } })
      assert.is(alone.sharedWithMe.length, 1)
      await alone.close()
      const again = await house.person('Ben', { relay: line.url })
      const [still] = again.sharedWithMe
      assert.ok(still)
      await until(still, () => still.status.state === 'synced')
      assert.is(textOf(still).toString(), 'a line')
      keeps(house, share, again, still)

      const wiped = event(again, 'ended', ended => ended.wiped)
      await append(share.remove({ ...ana, account: again.id }))
      assert.is((await wiped).reason, 'removed')
      assert.not.ok(existsSync(replicaOf(house.folder('Ben'), { id: share.log }).directory))
    })
  )
}

hostile(
  'a removal that this device had not seen deletes, also on a list that forks from its own',
  household(async house => {
    const { share, admit, ana, line } = await openStage(house)
    const ben = await house.person('Ben', { relay: line.url })
    await admit(ben)
    const wiped = event(ben, 'ended', ended => ended.wiped)
    const fork = share.remove({ ...ana, account: ben.id })
    tell(line, share.log, 'former', upTo(share.entries, fork.id))
    assert.is((await wiped).reason, 'removed')
  })
)

hostile(
  'an end by a device that was out already is none; by one that is in, of the newest membership, it is',
  household(async house => {
    const { share, admit, ana, maya, line } = await openStage(house)
    const ben = await house.person('Ben', { relay: line.url })
    await admit(ben)
    share.remove({ ...ana, account: ben.id })
    const told = new AccessHistory(suite)
    for (const [i, entry] of share.entries.entries()) {
      assert.is(told.fold(entry, i + 1, 0, { timeMs: null, signatures: true }), null)
    }
    const out = new Set([hex(maya.device.id)])
    assert.is(endCounts(NO_PAST, told, ben.id), true)
    assert.is(endCounts({ ...NO_PAST, devicesOut: out }, told, ben.id), false)
    assert.is(endCounts({ ...NO_PAST, devicesOut: out }, told, ana.account), true, 'who is in is not ended')
    assert.equal(pastOf(NO_PAST, told, ben.id), NO_PAST, 'its only membership is its newest')
  })
)

hostile(
  'a relay that says “former” without an entry locks and deletes nothing, and is asked again',
  household(async house => {
    const { share, admit, line } = await openStage(house)
    const ben = await house.person('Ben', { relay: line.url })
    const lent = await admit(ben)
    tell(line, share.log, 'former', share.entries)
    await until(lent, () => lent.status.state === 'locked')
    keeps(house, share, ben, lent)
    line.cut()
    line.mend()
    await until(lent, () => lent.status.state === 'synced')
  })
)

hostile(
  'a log with an entry that no reader takes is read again once for it, however often the line is lost',
  household(async house => {
    const { share, append, admit, line } = await openStage(house)
    const ben = await house.person('Ben', { relay: line.url })
    const lent = await admit(ben)
    const doc = new Y.Doc()
    await append(share.update(new Uint8Array([255])))
    doc.getText('text').insert(0, 'after')
    await append(share.update(Y.encodeStateAsUpdate(doc)))
    await until(lent.doc, () => textOf(lent).toString() === 'after')
    const fromStart = () =>
      line.passages
        .flatMap(({ passed }) => passed)
        .filter(({ frame }) => isAbout(frame, share.log) && frame.type === 'follow' && !frame.cursor && !frame.invite)
        .length
    const before = fromStart()
    for (let i = 0; i < 4; i++) {
      const passages = line.passages.length
      line.cut()
      line.mend()
      await until(line, () => line.passages.length > passages)
      await until(lent, () => lent.status.state === 'synced')
    }
    assert.is(fromStart() - before, 1)
    assert.is(textOf(lent).toString(), 'after')
  })
)

hostile(
  'an owner whose relay says again and again that it is behind asks less and less often, and goes on when it is not',
  household(async house => {
    const line = house.keep(await openWiretap(house.relay.url))
    const waits: number[] = []
    // Full jitter at its widest; time runs fifty times as fast.
    const world = {
      ...nodeWorld,
      jitter: () => 1,
      timer(ms: number, run: () => void) {
        waits.push(ms)
        return nodeWorld.timer(ms / 50, run)
      }
    }
    const maya = await house.person('Maya', { relay: line.url, world })
    const share = await lend(maya, 'Paper', 'a line')
    const none = { retryAfterMs: null, sentence: 'behind', top: null }
    let lies = 0
    line.twist = ({ from, frame }) => {
      if (from !== 'relay' || frame.type !== 'ack' || lies === 5 || !isAbout(frame, share.id)) return frame
      lies++
      const [entry = null] = frame.ids
      return { type: 'refused', log: frame.log, entry, code: 'RELAY_BEHIND', ...none }
    }
    waits.length = 0
    textOf(share).insert(0, 'more of ')
    await until(share, () => lies === 5 && share.status.state === 'synced')
    const again = waits.filter(ms => [250, 500, 1000, 2000, 4000].includes(ms) && ms >= 250)
    assert.equal([...new Set(again)], [250, 500, 1000, 2000, 4000])
    const reader = await house.person('Reader')
    line.twist = ({ frame }) => frame
    assert.is(textOf(await follow(share, reader)).toString(), 'more of a line')
  })
)

hostile.run()
