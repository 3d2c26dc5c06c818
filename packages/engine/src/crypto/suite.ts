/**
 * The cryptographic suite of protocol version 1, behind one interface: Ed25519, XChaCha20-Poly1305, X25519 sealed boxes,
 * BLAKE2b. libsodium is the only implementation that ships (one strict verifier everywhere, see docs/PROTOCOL.md, Suite);
 * the interface exists so that simulations can run without paying for it. Randomness always comes in from outside.
 */
import type sodiumModule from 'libsodium-wrappers'
import { concat } from '../bytes/writer.ts'

/** Returns that many fresh random bytes. */
export type Dice = (bytes: number) => Uint8Array

export interface KeyPair {
  readonly publicKey: Uint8Array
  readonly secretKey: Uint8Array
}

export interface Suite {
  /** BLAKE2b-256 over `"lend/1 " label 0x00 ‖ parts`. */
  hash(label: Label, ...parts: readonly Uint8Array[]): Uint8Array
  /** Keyed BLAKE2b-256; also derives keys. `key` is 32 bytes. */
  mac(key: Uint8Array, label: Label, ...parts: readonly Uint8Array[]): Uint8Array
  /** Ed25519 from a 32-byte seed. */
  signingKeys(seed: Uint8Array): KeyPair
  /** @returns 64 bytes over `"lend/1 " label 0x00 ‖ parts`. */
  sign(secretKey: Uint8Array, label: Label, ...parts: readonly Uint8Array[]): Uint8Array
  /** False for a wrong, malleated or small-order signature or key. */
  verify(publicKey: Uint8Array, signature: Uint8Array, label: Label, ...parts: readonly Uint8Array[]): boolean
  /** X25519 from a 32-byte seed. */
  sealingKeys(seed: Uint8Array): KeyPair
  /**
   * Sealed box, 48 bytes longer than `plain`; the ephemeral key comes from `dice`. For a key of small order, to which
   * nothing can be sealed, random bytes: who shows such a key must not keep its owner from sealing to the others.
   */
  sealTo(publicKey: Uint8Array, plain: Uint8Array, dice: Dice): Uint8Array
  /** @returns null when it was not sealed to these keys or was changed. */
  openSealed(keys: KeyPair, sealed: Uint8Array): Uint8Array | null
  /** XChaCha20-Poly1305: nonce(24) ‖ ciphertext ‖ tag(16), 40 bytes longer than `plain`. */
  seal(key: Uint8Array, plain: Uint8Array, associated: Uint8Array, dice: Dice): Uint8Array
  /** @returns null when the key, the associated bytes or any byte is another. */
  open(key: Uint8Array, sealed: Uint8Array, associated: Uint8Array): Uint8Array | null
}

/** A context label for every use of a primitive, so that no output of one use is good for another. */
export type Label =
  | 'account id'
  | 'account root'
  | 'account sealing'
  | 'account signing'
  | 'data key'
  | 'device of account'
  | 'device sealing'
  | 'entry'
  | 'entry id'
  | 'epoch commitment'
  | 'head'
  | 'invite preview'
  | 'invite sealing'
  | 'invite signing'
  | 'invite peek'
  | 'join'
  | 'name key'
  | 'payload'
  | 'previous epoch'
  | 'private document'
  | 'earlier epochs'
  | 'receipt'
  | 'recovery sealing'
  | 'relay greeting'
  | 'reset'
  | 'running hash'
  | 'session'
  | 'share id'
  | 'replica key'
  | 'receipts log'
  | 'membership'

export const SEALED_BOX_BYTES = 48
export const SEALED_BYTES = 40

const prefixes = new Map<Label, Uint8Array>()

function prefix(label: Label): Uint8Array {
  const known = prefixes.get(label)
  if (known) return known
  const bytes = new TextEncoder().encode(`lend/1 ${label}\0`)
  prefixes.set(label, bytes)
  return bytes
}

let loading: Promise<Suite> | null = null

/** Loads libsodium once for this process. */
export function loadSuite(): Promise<Suite> {
  loading ??= import('libsodium-wrappers').then(async module => {
    await module.default.ready
    return sodiumSuite(module.default)
  })
  return loading
}

function sodiumSuite(sodium: typeof sodiumModule): Suite {
  return {
    hash: (label, ...parts) => sodium.crypto_generichash(32, concat(prefix(label), ...parts), null),
    mac: (key, label, ...parts) => sodium.crypto_generichash(32, concat(prefix(label), ...parts), key),
    signingKeys(seed) {
      const { publicKey, privateKey } = sodium.crypto_sign_seed_keypair(seed)
      return { publicKey, secretKey: privateKey }
    },
    sign: (secretKey, label, ...parts) => sodium.crypto_sign_detached(concat(prefix(label), ...parts), secretKey),
    verify: (publicKey, signature, label, ...parts) =>
      sodium.crypto_sign_verify_detached(signature, concat(prefix(label), ...parts), publicKey),
    sealingKeys(seed) {
      const { publicKey, privateKey } = sodium.crypto_box_seed_keypair(seed)
      return { publicKey, secretKey: privateKey }
    },
    sealTo(publicKey, plain, dice) {
      // What crypto_box_seal does, with the ephemeral key from outside: libsodium's own opens it.
      const ephemeral = sodium.crypto_box_seed_keypair(dice(32))
      const nonce = sodium.crypto_generichash(24, concat(ephemeral.publicKey, publicKey), null)
      try {
        return concat(ephemeral.publicKey, sodium.crypto_box_easy(plain, nonce, publicKey, ephemeral.privateKey))
      } catch {
        return dice(plain.length + SEALED_BOX_BYTES)
      }
    },
    openSealed(keys, sealed) {
      if (sealed.length < SEALED_BOX_BYTES) return null
      try {
        return sodium.crypto_box_seal_open(sealed, keys.publicKey, keys.secretKey)
      } catch {
        return null
      }
    },
    seal(key, plain, associated, dice) {
      const nonce = dice(24)
      return concat(nonce, sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, associated, null, nonce, key))
    },
    open(key, sealed, associated) {
      if (sealed.length < SEALED_BYTES) return null
      try {
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
          null,
          sealed.subarray(24),
          associated,
          sealed.subarray(0, 24),
          key
        )
      } catch {
        return null
      }
    }
  }
}
