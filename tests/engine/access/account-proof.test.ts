/** Account proofs: a library's entries, shown elsewhere, fold to its list, and nothing else does. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { foldProof, sinceReset } from '../../../packages/engine/src/access/account-proof.ts'
import { copyLibrary } from '../../../packages/engine/src/access/library-list.ts'
import { SHARE_DOCUMENT } from '../../../packages/engine/src/bytes/ids.ts'
import { Refusal } from '../../../packages/engine/src/refusal.ts'
import { Account, crypto, known, seededDice, text } from '../world.ts'

const test = suite('access/account-proof')

const JUDGE = { timeMs: null, signatures: true } as const
const proofOf = (account: Account, proof: readonly Uint8Array[], list = null as Account['library'] | null) =>
  foldProof(crypto, list, account.id, proof, JUDGE)

function refusedProof(account: Account, proof: readonly Uint8Array[], list: Account['library'] | null = null): void {
  const result = proofOf(account, proof, list)
  assert.instance(result, Refusal)
  if (result instanceof Refusal) assert.is(result.code, 'BAD_PROOF')
}

test('a proof folds to the list that the library itself has', () => {
  const account = new Account(seededDice(12))
  const second = account.addDevice()
  account.remove([second])
  account.addDevice()
  const folded = proofOf(account, account.proof)
  assert.is(text(folded), text(account.library))
})

test('a proof may begin anywhere that the list continues, and again from the beginning', () => {
  const account = new Account(seededDice(13))
  account.addDevice()
  const early = copyLibrary(account.library)
  account.addDevice()
  for (const from of [0, 1, early.length - 1, early.length]) {
    assert.is(text(proofOf(account, account.proof.slice(from), early)), text(account.library))
  }
  assert.is(proofOf(account, [], early), early)
  refusedProof(account, account.proof.slice(early.length + 1), early)
  refusedProof(account, [])
})

test('a proof that is cut inside, reordered, changed or of another account is refused', () => {
  const dice = seededDice(14)
  const account = new Account(dice)
  const other = new Account(dice)
  account.addDevice()
  const [create, invite, join] = account.proof
  refusedProof(account, [known(create), known(join)])
  refusedProof(account, [known(invite), known(create)])
  refusedProof(account, [known(create), known(create)])
  refusedProof(account, other.proof)
  refusedProof(account, [...account.proof, ...other.proof])
  refusedProof(account, [dice(300)])
  refusedProof(account, [new Uint8Array(0)])
  for (const at of [0, 1, 2]) {
    const bytes = account.proof.map(entry => entry.slice())
    const changed = known(bytes[at])
    changed[changed.length - 1] = (changed[changed.length - 1] ?? 0) ^ 1
    refusedProof(account, bytes)
  }
})

test('a proof with a data entry in it is refused', () => {
  const account = new Account(seededDice(15))
  const entry = account.scribe.data(account.device, 'update', SHARE_DOCUMENT)
  refusedProof(account, [...account.proof, entry.bytes])
})

test('a proof that is behind brings nothing, and what is folded holds', () => {
  const account = new Account(seededDice(17))
  const second = account.addDevice()
  account.remove([second])
  const list = copyLibrary(account.library)
  const { proof } = account
  for (let from = 0; from < proof.length; from++) {
    for (let to = from + 1; to <= proof.length; to++) assert.is(proofOf(account, proof.slice(from, to), list), list)
  }
})

test('a proof whose known part is not the folded one, in order and whole, is refused', () => {
  const dice = seededDice(18)
  const account = new Account(dice)
  account.addDevice()
  const early = copyLibrary(account.library)
  account.addDevice()
  const [create, invite, join, ...news] = account.proof
  const junk = known(new Account(dice).proof[0])
  for (const before of [[junk], [junk, known(join)], [known(create), junk], [known(create), known(join)]]) {
    refusedProof(account, [...before, ...news], early)
  }
  refusedProof(account, [known(join), known(invite), ...news], early)
  refusedProof(account, [known(join), known(join), ...news], early)
  refusedProof(account, [known(create), known(invite), ...news], early)
  assert.is(text(proofOf(account, [known(join), ...news], early)), text(account.library))
})

test('what is folded is not verified again, and what is new is', () => {
  const account = new Account(seededDice(19))
  account.addDevice()
  const early = copyLibrary(account.library)
  account.addDevice()
  let verified = 0
  const counting = {
    ...crypto,
    verify: (...o: Parameters<typeof crypto.verify>) => {
      verified++
      return crypto.verify(...o)
    }
  }
  const fold = (proof: readonly Uint8Array[]) => {
    verified = 0
    assert.not.instance(foldProof(counting, early, account.id, proof, JUDGE), Refusal)
    return verified
  }
  assert.is(fold(account.proof.slice(0, early.length)), 0)
  const news = fold(account.proof.slice(early.length))
  assert.is(news, 3, 'invite, join, and the join’s proof')
  assert.is(fold(account.proof), news)
})

test('a proof tried on a list leaves it as it was, taken or refused', () => {
  const account = new Account(seededDice(20))
  account.addDevice()
  const early = copyLibrary(account.library)
  const before = text(early)
  const second = account.addDevice()
  account.remove([second])
  assert.is.not(proofOf(account, account.proof, early), early)
  refusedProof(account, [...account.proof, known(account.proof[0])], early)
  assert.is(text(early), before)
})

test('what stands before the last reset is left out of a proof, and passed over in one that has it', () => {
  const dice = seededDice(30)
  const account = new Account(dice)
  assert.is(sinceReset([]).length, 0)
  assert.is(text(sinceReset(account.proof)), text(account.proof))
  account.addDevice()
  account.reset()
  account.addDevice()
  const at = account.proof.length
  account.reset({ timeMs: account.scribe.timeMs + 1 })
  account.addDevice()
  const { proof } = account
  assert.is(text(sinceReset(proof)), text(proof.slice(at)))
  const other = known(new Account(dice).proof[0])
  const folded = proofOf(account, proof.slice(at))
  for (const before of [proof.slice(0, at), proof.slice(1, at), [other], [dice(300)]]) {
    assert.is(text(proofOf(account, [...before, ...proof.slice(at)])), text(folded))
  }
  refusedProof(account, [...proof.slice(at), other])
  refusedProof(account, proof.slice(at + 1))
})

test('a proof from the beginning is good for who has folded a branch that a reset has ended', () => {
  const dice = seededDice(31)
  const account = new Account(dice)
  const branch = new Account(dice, account)
  for (let n = 0; n < 3; n++) branch.addDevice()
  account.addDevice()
  refusedProof(account, account.proof, branch.library)
  account.reset()
  const healed = proofOf(account, account.proof, branch.library)
  account.addDevice()
  if (healed instanceof Refusal) throw healed
  for (const from of [0, 1, account.proof.length - 3, account.proof.length - 2]) {
    const folded = proofOf(account, account.proof.slice(from), healed)
    if (folded instanceof Refusal) throw folded
    assert.equal([...folded.devices.keys()], [...account.library.devices.keys()])
    assert.is(text(folded.head), text(account.library.head))
  }
  assert.is(proofOf(account, account.proof.slice(0, -2), healed), healed)
})

test.run()
