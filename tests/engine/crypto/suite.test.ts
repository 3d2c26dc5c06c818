/** The suite: every use under its own label, one strict verifier, and no exception for hostile bytes. */
import { createHash, createPrivateKey, createPublicKey, verify as nodeVerify } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SEALED_BOX_BYTES, SEALED_BYTES } from '../../../packages/engine/src/crypto/suite.ts'
import { crypto, equalBytes, seededDice } from '../world.ts'

const test = suite('crypto/suite')

const dice = seededDice(11)
const keys = crypto.signingKeys(dice(32))
const content = dice(50)

/** The order of the Ed25519 base point, little-endian. */
const L = Uint8Array.from(Buffer.from('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010', 'hex'))

/** Points of small order, canonical and not, from libsodium's own list. */
const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'
].map(text => Uint8Array.from(Buffer.from(text, 'hex')))

/** X25519 public keys to which every secret is zero. */
const SMALL_ORDER_SEALING = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'
].map(text => Uint8Array.from(Buffer.from(text, 'hex')))

test('a signature is good for its key, label and parts, and for no other', () => {
  const signature = crypto.sign(keys.secretKey, 'entry', content)
  assert.ok(crypto.verify(keys.publicKey, signature, 'entry', content))
  assert.ok(crypto.verify(keys.publicKey, signature, 'entry', content.subarray(0, 9), content.subarray(9)))
  assert.not(crypto.verify(keys.publicKey, signature, 'session', content))
  assert.not(crypto.verify(crypto.signingKeys(dice(32)).publicKey, signature, 'entry', content))
  for (let bit = 0; bit < 64 * 8; bit++) {
    const changed = signature.slice()
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.not(crypto.verify(keys.publicKey, changed, 'entry', content))
  }
})

test('a signature is plain Ed25519 over "lend/1 label", a zero byte and the parts', () => {
  const signature = crypto.sign(keys.secretKey, 'entry', content)
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), keys.publicKey])
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  assert.ok(nodeVerify(null, Buffer.concat([Buffer.from('lend/1 entry\0'), content]), publicKey, signature))
})

test('a sealing key pair is X25519 with the first half of the SHA-512 of its seed', () => {
  const seed = dice(32)
  const secret = createHash('sha512').update(seed).digest().subarray(0, 32)
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), secret])
  const key = createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }))
  const pair = crypto.sealingKeys(seed)
  equalBytes(pair.secretKey, secret)
  equalBytes(pair.publicKey, key.export({ format: 'der', type: 'spki' }).subarray(12))
})

test('a malleated signature, S + L, is refused', () => {
  const signature = crypto.sign(keys.secretKey, 'entry', content)
  const malleated = signature.slice()
  let carry = 0
  for (let i = 0; i < 32; i++) {
    const sum = (signature[32 + i] ?? 0) + (L[i] ?? 0) + carry
    malleated[32 + i] = sum & 255
    carry = sum >> 8
  }
  assert.is(carry, 0)
  assert.not(crypto.verify(keys.publicKey, malleated, 'entry', content))
})

test('small-order keys and small-order signatures are refused', () => {
  const zero = new Uint8Array(32)
  for (const point of SMALL_ORDER) {
    for (const sign of [0, 0x80]) {
      const key = point.slice()
      key[31] = (key[31] ?? 0) | sign
      for (const r of SMALL_ORDER) {
        assert.not(crypto.verify(key, Uint8Array.of(...r, ...zero), 'entry', content))
      }
      assert.not(crypto.verify(key, crypto.sign(keys.secretKey, 'entry', content), 'entry', content))
      assert.not(crypto.verify(keys.publicKey, Uint8Array.of(...key, ...zero), 'entry', content))
    }
  }
})

test('hashes and MACs differ by label and by key', () => {
  const outputs = new Set(
    [
      crypto.hash('entry id', content),
      crypto.hash('payload', content),
      crypto.mac(dice(32), 'payload', content),
      crypto.mac(dice(32), 'payload', content),
      crypto.hash('payload', content, Uint8Array.of(0))
    ].map(bytes => Buffer.from(bytes).toString('hex'))
  )
  assert.is(outputs.size, 5)
  for (const output of outputs) assert.is(output.length, 64)
})

test('a sealed box opens for its recipient and nobody else, changed nowhere', () => {
  const to = crypto.sealingKeys(dice(32))
  const sealed = crypto.sealTo(to.publicKey, content, dice)
  assert.is(sealed.length, content.length + SEALED_BOX_BYTES)
  equalBytes(crypto.openSealed(to, sealed), content)
  assert.is(crypto.openSealed(crypto.sealingKeys(dice(32)), sealed), null)
  for (let at = 0; at < sealed.length; at++) {
    const changed = sealed.slice()
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.is(crypto.openSealed(to, changed), null)
    assert.is(crypto.openSealed(to, sealed.slice(0, at)), null)
  }
})

test('a sealed box with a small-order ephemeral key does not open and does not throw', () => {
  const to = crypto.sealingKeys(dice(32))
  for (const point of SMALL_ORDER_SEALING) assert.is(crypto.openSealed(to, Uint8Array.of(...point, ...dice(48))), null)
})

test('sealing to a small-order key gives as many bytes as any box, from the dice', () => {
  for (const point of SMALL_ORDER_SEALING) {
    const one = crypto.sealTo(point, content, seededDice(3))
    assert.is(one.length, content.length + SEALED_BOX_BYTES)
    assert.not.equal(one, crypto.sealTo(point, content, seededDice(4)))
    assert.not(Buffer.from(one).includes(Buffer.from(content)))
  }
})

test('an envelope opens with its key and its associated bytes, changed nowhere', () => {
  const key = dice(32)
  const associated = dice(20)
  const sealed = crypto.seal(key, content, associated, dice)
  assert.is(sealed.length, content.length + SEALED_BYTES)
  equalBytes(crypto.open(key, sealed, associated), content)
  assert.is(crypto.open(dice(32), sealed, associated), null)
  assert.is(crypto.open(key, sealed, dice(20)), null)
  for (let at = 0; at < sealed.length; at++) {
    const changed = sealed.slice()
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.is(crypto.open(key, changed, associated), null)
    assert.is(crypto.open(key, sealed.slice(0, at), associated), null)
  }
})

test('an envelope of nothing opens to nothing', () => {
  const key = dice(32)
  const sealed = crypto.seal(key, new Uint8Array(0), new Uint8Array(0), dice)
  assert.is(sealed.length, SEALED_BYTES)
  equalBytes(crypto.open(key, sealed, new Uint8Array(0)), new Uint8Array(0))
})

test('with the same dice everything comes out the same', () => {
  const to = crypto.sealingKeys(new Uint8Array(32)).publicKey
  const run = () => {
    const same = seededDice(5)
    return [crypto.sealTo(to, content, same), crypto.seal(new Uint8Array(32), content, content, same)]
  }
  assert.equal(run(), run())
})

test.run()
