/** The access list with its past: each data entry is judged at its own place, now and years later. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { copyList } from '../../../packages/engine/src/access/standing.ts'
import { SHARE_DOCUMENT } from '../../../packages/engine/src/bytes/ids.ts'
import { signEntry } from '../../../packages/engine/src/entry/entry.ts'
import { AccessHistory } from '../../../packages/engine/src/log/history.ts'
import { Account, crypto, known, Share, seededDice, seededInts, text } from '../world.ts'

const test = suite('log/history')

const READER = { timeMs: null, signatures: true } as const

/** A reader that comes new: all access entries first, then the data. */
function readerOf(share: Share): AccessHistory {
  const history = new AccessHistory(crypto)
  for (const { entry, place } of share.scribe.all) {
    if (entry.kind === 'access') assert.is(history.fold(entry, place.seq, place.timeMs, READER), null)
  }
  return history
}

test('a data entry is judged by who could write at its place, not by who can now', () => {
  const share = new Share(seededDice(1))
  const second = share.owner.addDevice()
  share.scribe.take(share.accountEntry(share.owner))
  const before = share.scribe.take(share.update(second))
  const beforeSeq = share.scribe.state.seq
  share.owner.remove([second])
  share.scribe.take(share.accountEntry(share.owner))
  const reader = readerOf(share)
  assert.is(reader.judgeData(before, beforeSeq), null)
  assert.is(reader.judgeData(before, share.scribe.state.seq + 1)?.code, 'NOT_OWNER')
})

test('one account entry that puts a device out and lets another in changes who may write', () => {
  const share = new Share(seededDice(6))
  const { owner, scribe } = share
  const old = owner.addDevice()
  scribe.take(share.accountEntry(owner))
  owner.remove([old])
  const fresh = owner.addDevice()
  scribe.take(share.accountEntry(owner))
  share.remove()
  scribe.refuses(share.update(old), 'NOT_OWNER')
  scribe.take(share.update(fresh))
})

test('the list is one object that each entry advances, and a copy of it stays as it was', () => {
  const share = new Share(seededDice(7))
  const { owner, list } = share
  const library = owner.library
  const bob = new Account(share.dice)
  const copies = [list, library].map(one => [copyList(one), text(one)] as const)
  const second = owner.addDevice()
  share.scribe.take(share.accountEntry(owner))
  share.admit(bob)
  share.invited()
  share.remove(bob)
  share.admit(new Account(share.dice))
  owner.remove([second])
  share.scribe.take(share.accountEntry(owner))
  assert.is(share.list, list)
  assert.is(owner.library, library)
  for (const [copy, before] of copies) assert.is(text(copy), before)
  assert.is.not(text(list), copies[0]?.[1])
})

test('an entry that names an access entry after its place is refused', () => {
  const share = new Share(seededDice(2))
  const old = share.scribe.take(share.update())
  const seq = share.scribe.state.seq
  share.invited()
  const later = share.update()
  const reader = readerOf(share)
  assert.is(reader.judgeData(later, seq)?.code, 'HEAD_AFTER')
  assert.is(reader.judgeData(later, share.scribe.state.seq + 1), null)
  assert.is(reader.judgeData(old, seq), null)
  assert.is(reader.judgeData(old, 0)?.code, 'NO_LOG')
})

test('an unknown access head shows a relay that withholds', () => {
  const share = new Share(seededDice(3))
  const reader = readerOf(share)
  share.invited()
  assert.is(reader.judgeData(share.update(), 9)?.code, 'RELAY_BEHIND')
})

test('a refused access entry leaves list and records as they were, and one that is there is a conflict', () => {
  const share = new Share(seededDice(4))
  const history = readerOf(share)
  const before = text([history.list, history.records.length])
  assert.is(history.fold(share.create, 5, 5, READER)?.code, 'ACCESS_CONFLICT')
  const garbage = signEntry(crypto, share.create, Uint8Array.of(99), share.owner.device.signing.secretKey)
  assert.is(history.fold(garbage, 5, 5, READER)?.code, 'BAD_STATEMENT')
  const keys = share.invite()
  const unsigned = signEntry(crypto, keys.entry, keys.entry.payload, share.dice(64))
  assert.is(history.fold(unsigned, 5, 5, READER)?.code, 'BAD_SIGNATURE')
  assert.is(text([history.list, history.records.length]), before)
})

test('the records are the access entries in order, found by id', () => {
  const share = new Share(seededDice(5))
  share.admit(new Account(share.dice))
  const { records } = share.scribe.state.access
  for (const [i, record] of records.entries()) assert.is(share.scribe.state.access.indexOf(record.entry.id), i)
  assert.equal(
    records.map(record => record.statement.type),
    ['create-share', 'invite', 'join-share']
  )
  assert.not(share.scribe.state.access.has(share.update().id))
})

test('in random histories a new reader takes each data entry that the relay took, and refuses each that it refused', () => {
  for (let seed = 200; seed < 215; seed++) {
    const int = seededInts(seed)
    const share = new Share(seededDice(seed))
    share.scribe.stride = 1 + int(4)
    const { owner, scribe } = share
    const people = [new Account(share.dice), new Account(share.dice)]
    const refused: { entry: ReturnType<Share['update']>; seq: number; code: string }[] = []
    const heads = [scribe.head]
    for (let n = 0; n < 40; n++) {
      const who = known(people[int(2)])
      const act = int(12)
      if (act === 0 && owner.devices.length < 3) {
        owner.addDevice()
        scribe.take(share.accountEntry(owner))
      } else if (act === 1 && owner.devices.length > 1) {
        owner.remove([known(owner.devices[1])])
        scribe.take(share.accountEntry(owner))
      } else if (act === 2) {
        if (share.list.members.has(text(who.id).slice(1, -1))) share.leave(who)
        else share.admit(who)
      } else if (act === 3) share.remove()
      const everyone = [...owner.devices, ...people.map(person => person.device)]
      const author = known(everyone[int(everyone.length)])
      const accessHead = known(heads[int(heads.length)])
      const epoch = Math.max(1, share.list.epoch - (int(4) === 0 ? 1 : 0) + (int(6) === 0 ? 1 : 0))
      const entry = share.update(author, SHARE_DOCUMENT, { accessHead, epoch })
      const result = scribe.try(entry)
      if (!('taken' in result)) refused.push({ entry, seq: scribe.state.seq, code: result.code })
      heads.push(scribe.head)
    }
    const reader = readerOf(share)
    let taken = 0
    for (const { entry, place } of scribe.all) {
      if (entry.kind === 'access') continue
      assert.is(reader.judgeData(entry, place.seq), null)
      taken++
    }
    for (const { entry, seq, code } of refused) {
      if (!code.startsWith('CTR_')) assert.is(reader.judgeData(entry, seq)?.code, code, `seed ${seed}`)
    }
    assert.ok(taken > 3 && refused.length > 3, `seed ${seed}: ${taken} taken, ${refused.length} refused`)
  }
})

test.run()
