/** Validity: every rule of data entries with both sides, and what the state is a fold of. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { entryId, hex, SHARE_DOCUMENT } from '../../../packages/engine/src/bytes/ids.ts'
import type { Cover } from '../../../packages/engine/src/entry/content.ts'
import { decodeEntry, type Entry, signEntry } from '../../../packages/engine/src/entry/entry.ts'
import { UNCOVERED_ENTRIES_MAX } from '../../../packages/engine/src/limits.ts'
import { emptyLog, foldStored, step, topOf } from '../../../packages/engine/src/log/step.ts'
import { Refusal } from '../../../packages/engine/src/refusal.ts'
import {
  Account,
  crypto,
  decodedOrRefused,
  dump,
  equalBytes,
  HOUR_MS,
  itemDocument,
  known,
  mutate,
  Share,
  seededDice,
  seededInts
} from '../world.ts'

const test = suite('log/step')

const ITEM = itemDocument(1)

function world(seed: number) {
  const share = new Share(seededDice(seed))
  return { share, scribe: share.scribe, owner: share.owner, bob: new Account(share.dice) }
}

/** A share whose owner has two devices in it. */
function twoDevices(seed: number) {
  const w = world(seed)
  const second = w.owner.addDevice()
  w.scribe.take(w.share.accountEntry(w.owner))
  return { ...w, second }
}

const coverOf = ({ author, ctr, id }: Entry): Cover => ({ author, ctr, id })

/** The same entry under a signature that is not its author's. */
const forged = (entry: Entry) => signEntry(crypto, entry, entry.payload, seededDice(999)(64))

test('an empty log takes a create and nothing else', () => {
  const dice = seededDice(1)
  const share = new Share(dice, new Account(dice), { created: false })
  share.scribe.refuses(share.update(), 'NO_LOG')
  share.scribe.refuses(share.invite().entry, 'NO_LOG')
  share.scribe.take(share.create)
  share.scribe.take(share.update())
})

test('the same bytes again are answered with their seq, access and data alike', () => {
  const { share, scribe } = world(2)
  const update = scribe.take(share.update())
  const invite = scribe.take(share.invite().entry)
  scribe.take(share.update())
  assert.equal(scribe.try(share.create), { taken: false, seq: 1 })
  assert.equal(scribe.try(update), { taken: false, seq: 2 })
  assert.equal(scribe.try(invite), { taken: false, seq: 3 })
})

test('other bytes under a used ctr are refused, even if only the signature differs', () => {
  const { share, scribe } = world(3)
  const entry = scribe.take(share.update())
  scribe.refuses(share.update(share.owner.device, SHARE_DOCUMENT, { ctr: 1 }), 'CTR_REUSED')
  scribe.refuses(forged(entry), 'CTR_REUSED')
  scribe.take(share.update())
})

test('counters go without gaps, each document and device for itself', () => {
  const { share, scribe, owner, second } = twoDevices(4)
  const at = (ctr: number, device = owner.device, document = SHARE_DOCUMENT) => share.update(device, document, { ctr })
  scribe.refuses(at(2), 'CTR_GAP')
  scribe.take(at(1))
  scribe.refuses(at(3), 'CTR_GAP')
  scribe.take(at(2))
  scribe.refuses(at(2, second), 'CTR_GAP')
  scribe.take(at(1, second))
  scribe.refuses(at(2, owner.device, ITEM), 'CTR_GAP')
  scribe.take(at(1, owner.device, ITEM))
})

test('the ctr is judged before the epoch, so that a lost acknowledgement is answered', () => {
  const { share, scribe } = world(5)
  const entry = scribe.take(share.update())
  share.remove()
  assert.equal(scribe.try(entry), { taken: false, seq: 2 })
  scribe.refuses(share.update(share.owner.device, SHARE_DOCUMENT, { ctr: 3, epoch: 1 }), 'CTR_GAP')
  scribe.refuses(share.update(share.owner.device, SHARE_DOCUMENT, { ctr: 2, epoch: 1 }), 'EPOCH_STALE')
})

test('the epoch is the newest, neither before nor after', () => {
  const { share, scribe } = world(6)
  scribe.refuses(share.update(share.owner.device, SHARE_DOCUMENT, { epoch: 2 }), 'EPOCH_UNKNOWN')
  share.remove()
  scribe.refuses(share.update(share.owner.device, SHARE_DOCUMENT, { epoch: 1 }), 'EPOCH_STALE')
  scribe.refuses(share.update(share.owner.device, SHARE_DOCUMENT, { epoch: 3 }), 'EPOCH_UNKNOWN')
  scribe.take(share.update())
})

test('while a rotation is due data is stale, after leave, void and account', () => {
  const { share, scribe, owner, bob } = world(7)
  const due = () => {
    scribe.refuses(share.update(), 'EPOCH_STALE')
    share.remove()
    scribe.take(share.update())
  }
  share.admit(bob)
  share.leave(bob)
  due()
  const keys = share.invited()
  scribe.take(scribe.access(owner.device, { type: 'void', invite: keys.id }))
  due()
  owner.remove([])
  scribe.take(share.accountEntry(owner))
  due()
})

test('an entry that names an unknown access entry has a relay that is behind, whatever its ctr', () => {
  const { share, scribe } = world(8)
  const accessHead = entryId(share.dice(32))
  for (const ctr of [1, 5]) {
    scribe.refuses(share.update(share.owner.device, SHARE_DOCUMENT, { ctr, accessHead }), 'RELAY_BEHIND')
  }
})

test('an older access head is no conflict for data', () => {
  const { share, scribe } = world(9)
  share.invited()
  scribe.take(share.update(share.owner.device, SHARE_DOCUMENT, { accessHead: share.create.id }))
})

test('members, strangers and removed devices write nothing, whatever their ctr', () => {
  const { share, scribe, owner, bob, second } = twoDevices(10)
  share.admit(bob)
  for (const ctr of [1, 2]) scribe.refuses(share.update(bob.device, SHARE_DOCUMENT, { ctr }), 'NOT_OWNER')
  const sent = scribe.take(share.update(second))
  owner.remove([second])
  scribe.take(share.accountEntry(owner))
  share.remove()
  scribe.refuses(share.update(second), 'NOT_OWNER')
  assert.equal(scribe.try(sent).constructor, Object)
})

test('an entry of another log is refused before its ctr is judged', () => {
  const { share, scribe } = world(11)
  const other = new Share(share.dice, share.owner)
  scribe.take(share.update())
  for (const ctr of [1, 2])
    scribe.refuses(share.update(share.owner.device, SHARE_DOCUMENT, { ctr, log: other.log }), 'FOREIGN_LOG')
  scribe.take(share.update())
  const library = share.owner.scribe
  library.refuses(library.data(share.owner.device, 'update', ITEM, { log: share.log }), 'FOREIGN_LOG')
  library.take(library.data(share.owner.device, 'update', ITEM))
})

test('the signature is judged last, and an entry without it is never taken', () => {
  const { share, scribe, owner } = world(12)
  scribe.refuses(forged(share.update()), 'BAD_SIGNATURE')
  scribe.refuses(forged(share.snapshot()), 'BAD_SIGNATURE')
  scribe.refuses(forged(share.drop()), 'BAD_SIGNATURE')
  scribe.refuses(forged(share.update(owner.device, SHARE_DOCUMENT, { ctr: 2 })), 'CTR_GAP')
  scribe.refuses(forged(share.invite().entry), 'BAD_SIGNATURE')
})

test('a snapshot releases exactly what it covers', () => {
  const { share, scribe, owner, second } = twoDevices(13)
  const [a1, a2] = [scribe.take(share.update()), scribe.take(share.update())]
  const b1 = scribe.take(share.update(second))
  const b2 = scribe.take(share.update(second))
  const elsewhere = scribe.take(share.update(owner.device, ITEM))
  const seqOf = (entry: Entry) => known(scribe.all.find(one => one.entry === entry)).place.seq
  const result = scribe.try(share.snapshot(owner.device, SHARE_DOCUMENT, { covers: [coverOf(a2), coverOf(b1)] }))
  assert.equal('taken' in result && result.taken && new Set(result.released), new Set([a1, a2, b1].map(seqOf)))
  assert.ok(scribe.stored.has(seqOf(b2)) && scribe.stored.has(seqOf(elsewhere)))
  assert.is(scribe.state.entries, 3)
  assert.equal(scribe.try(a2), { taken: false, seq: null })
  scribe.refuses(a1, 'COVERED')
  scribe.refuses(share.update(owner.device, SHARE_DOCUMENT, { ctr: 1 }), 'COVERED')
  scribe.refuses(share.update(owner.device, SHARE_DOCUMENT, { ctr: 2 }), 'CTR_REUSED')
  scribe.take(share.update())
})

test('a cover beyond the log is refused, and so is one of itself', () => {
  const { share, scribe, owner, second } = twoDevices(14)
  const one = scribe.take(share.update())
  const covers = (cover: Cover) => share.snapshot(owner.device, SHARE_DOCUMENT, { covers: [cover] })
  scribe.refuses(covers({ ...coverOf(one), ctr: 2 }), 'COVER_AHEAD')
  scribe.refuses(covers({ ...coverOf(one), author: second.id }), 'COVER_AHEAD')
  scribe.refuses(covers({ ...coverOf(one), ctr: Number.MAX_SAFE_INTEGER }), 'COVER_AHEAD')
  scribe.take(covers(coverOf(one)))
})

test('a cover that names another entry under its ctr is refused', () => {
  const { share, scribe, owner } = world(15)
  const one = scribe.take(share.update())
  const two = scribe.take(share.update())
  const covers = (cover: Cover) => share.snapshot(owner.device, SHARE_DOCUMENT, { covers: [cover] })
  scribe.refuses(covers({ ...coverOf(one), ctr: 2 }), 'COVER_MISMATCH')
  scribe.refuses(covers({ ...coverOf(two), id: entryId(share.dice(32)) }), 'COVER_MISMATCH')
  scribe.take(covers(coverOf(two)))
})

test('a snapshot that covers less than one before it is refused, at any device', () => {
  const { share, scribe, owner, second } = twoDevices(16)
  const a1 = scribe.take(share.update())
  const a2 = scribe.take(share.update())
  const b1 = scribe.take(share.update(second))
  const a3 = scribe.take(share.snapshot(owner.device, SHARE_DOCUMENT, { covers: [coverOf(a2), coverOf(b1)] }))
  const by = (covers: Cover[], device = second) => share.snapshot(device, SHARE_DOCUMENT, { covers })
  scribe.refuses(by([coverOf(a1), coverOf(b1)]), 'COVER_BEHIND')
  scribe.refuses(by([coverOf(b1)]), 'COVER_BEHIND')
  scribe.refuses(by([coverOf(a3)], owner.device), 'COVER_BEHIND')
  scribe.refuses(by([]), 'COVER_BEHIND')
  scribe.take(by([coverOf(a2), coverOf(b1)]))
  scribe.take(by([coverOf(a3), coverOf(b1)]))
})

test('a snapshot whose covers cannot be read is refused', () => {
  const { share, scribe, owner } = world(17)
  const good = share.snapshot()
  const bad = signEntry(crypto, good, new Uint8Array(1), owner.device.signing.secretKey)
  scribe.refuses(bad, 'BAD_ENTRY')
  const state = scribe.refold()
  const before = dump(state)
  assert.instance(foldStored(state, bad, { seq: 9, timeMs: 9, runningHash: new Uint8Array(32) }), Refusal)
  assert.is(dump(state), before)
})

test('data with a payload shorter than any envelope is refused, and by a byte more it is not told from content', () => {
  const { share, scribe, owner } = world(17)
  const cut = (entry: Entry, bytes: number) =>
    signEntry(crypto, entry, entry.payload.slice(0, bytes), owner.device.signing.secretKey)
  const [update, snapshot] = [share.update(), share.snapshot()]
  scribe.refuses(cut(update, 0), 'BAD_ENTRY')
  scribe.refuses(cut(update, 103), 'BAD_ENTRY')
  scribe.refuses(cut(snapshot, 105), 'BAD_ENTRY')
  scribe.take(cut(update, 104))
})

test('a drop releases its document for ever and leaves the others', () => {
  const { share, scribe, owner } = world(18)
  const kept = scribe.take(share.update())
  const gone = scribe.take(share.update(owner.device, ITEM))
  const later = share.update(owner.device, ITEM)
  const drop = share.drop(owner.device, ITEM)
  assert.equal(scribe.try(drop), { taken: true, released: [3] })
  assert.is(scribe.state.entries, 1)
  for (const entry of [
    later,
    gone,
    share.update(owner.device, ITEM, { ctr: 1 }),
    share.drop(owner.device, ITEM, { ctr: 3 })
  ]) {
    scribe.refuses(entry, 'DOCUMENT_DROPPED')
  }
  assert.equal(scribe.try(drop), { taken: false, seq: 4 })
  assert.equal(scribe.try(kept), { taken: false, seq: 2 })
  scribe.take(share.update())
})

test('the first document is never dropped, and any other may be', () => {
  const { share, scribe, owner } = world(31)
  scribe.take(share.update())
  scribe.refuses(share.drop(owner.device, SHARE_DOCUMENT), 'BAD_ENTRY')
  scribe.refuses(share.drop(owner.device, SHARE_DOCUMENT, { ctr: 1 }), 'BAD_ENTRY')
  scribe.take(share.drop(owner.device, ITEM))
  scribe.take(share.update())
})

test('the stop releases all content, keeps the access entries and takes no data after', () => {
  const { share, scribe, owner } = world(19)
  scribe.take(share.update())
  scribe.take(share.update(owner.device, ITEM))
  scribe.take(share.drop(owner.device, ITEM))
  const result = scribe.try(scribe.access(owner.device, { type: 'stop' }))
  assert.equal(result, { taken: true, released: [2] })
  assert.equal(
    [...scribe.stored.values()].map(({ entry }) => entry.kind),
    ['access', 'drop', 'access']
  )
  assert.is(scribe.state.entries, 0)
  assert.is(
    scribe.state.bytes,
    [...scribe.stored.values()].reduce((sum, { entry }) => sum + entry.bytes.length, 0)
  )
  scribe.refuses(share.update(), 'STOPPED')
  scribe.refuses(share.drop(), 'STOPPED')
  assert.is(dump(scribe.refold()), dump(scribe.state))
})

test('a log full of uncovered entries takes snapshots and drops, and no more updates', () => {
  const { share, scribe, owner } = world(20)
  scribe.take(share.update())
  scribe.state.entries = UNCOVERED_ENTRIES_MAX - 1
  scribe.take(share.update())
  scribe.refuses(share.update(), 'LIMIT_STORAGE')
  scribe.take(share.snapshot())
  assert.is(scribe.state.entries, UNCOVERED_ENTRIES_MAX - 1)
  scribe.take(share.update())
  scribe.refuses(share.update(), 'LIMIT_STORAGE')
  scribe.take(share.drop(owner.device, ITEM))
})

test('the top is the highest ctr of a device in a document with its id, covered or not', () => {
  const { share, scribe } = world(21)
  assert.is(topOf(scribe.state, share.update()), null)
  const one = scribe.take(share.update())
  const two = scribe.take(share.update())
  assert.is(topOf(scribe.state, one)?.ctr, 2)
  equalBytes(known(topOf(scribe.state, one)).id, two.id)
  const snapshot = scribe.take(share.snapshot())
  equalBytes(known(topOf(scribe.state, one)).id, snapshot.id)
})

test('every mutation of an entry is refused or is what was there', () => {
  const { share, scribe } = world(22)
  scribe.take(share.update())
  const int = seededInts(23)
  for (const entry of [share.update(), share.snapshot(), share.invite().entry, share.drop()]) {
    for (let i = 0; i < 2500; i++) {
      const bytes = mutate(entry.bytes, int)
      if (hex(bytes) === hex(entry.bytes)) continue
      const mutant = decodedOrRefused(() => decodeEntry(crypto, bytes))
      if (mutant instanceof Refusal) continue
      const result = step(scribe.state, mutant, { seq: scribe.state.seq + 1, timeMs: scribe.timeMs })
      assert.instance(result, Refusal)
    }
  }
})

test('in random histories the stored log folds to the live state, whatever of the released is still there', () => {
  for (let seed = 300; seed < 330; seed++) {
    const int = seededInts(seed)
    const { share, scribe, owner } = world(seed)
    const people = [new Account(share.dice), new Account(share.dice)]
    scribe.stride = 1 + int(3)
    let codes = 0
    for (let n = 0; n < 50; n++) {
      scribe.timeMs += int(1000)
      const device = known(owner.devices[int(owner.devices.length)])
      const document = known([SHARE_DOCUMENT, ITEM, itemDocument(2)][int(3)])
      const who = known(people[int(2)])
      const act = int(16)
      if (act < 8) codes += Number(scribe.try(share.update(device, document)) instanceof Refusal)
      else if (act < 11) {
        // Some of what was read, as a device that is behind would cover.
        const covers = scribe.covers(document).filter(() => int(5) > 0)
        codes += Number(scribe.try(share.snapshot(device, document, { covers })) instanceof Refusal)
      } else if (act === 11 && n > 35) scribe.try(share.drop(device, document))
      else if (act === 12 && owner.devices.length < 3) {
        owner.addDevice()
        scribe.take(share.accountEntry(owner))
      } else if (act === 13) {
        if (!share.list.members.has(hex(who.id))) share.admit(who, { expiresMs: scribe.timeMs + HOUR_MS })
        else if (int(2) === 0) share.leave(who)
        else share.remove(who)
      } else if (act === 14) share.remove()
      else if (act === 15 && n === 49) scribe.take(scribe.access(owner.device, { type: 'stop' }))
    }
    const live = dump(scribe.state)
    assert.is(dump(scribe.refold()), live, `seed ${seed}: what a compacted store holds`)
    assert.is(dump(scribe.refold(scribe.all)), live, `seed ${seed}: nothing forgotten yet`)
    const some = scribe.all.filter(({ place }) => scribe.stored.has(place.seq) || int(2) === 0)
    assert.is(dump(scribe.refold(some)), live, `seed ${seed}: a crash between forgets`)
    const bytes = [...scribe.stored.values()].reduce((sum, { entry }) => sum + entry.bytes.length, 0)
    assert.is(scribe.state.bytes, bytes)
    const there = [...scribe.stored.values()].filter(
      ({ entry }) => entry.kind === 'update' || entry.kind === 'snapshot'
    )
    assert.is(scribe.state.entries, there.length)
    assert.ok(codes < 50)
  }
})

test('an empty log is the same every time', () => {
  assert.is(dump(emptyLog(crypto)), dump(emptyLog(crypto)))
})

test.run()
