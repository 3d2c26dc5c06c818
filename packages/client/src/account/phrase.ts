/**
 * The recovery phrase: 24 words of the BIP-39 English list for the 32 bytes that the root key comes from. The device that
 * made the account keeps them until its user has confirmed the words, sealed under a key in a file of its own: with that
 * file's 32 bytes what is left of them anywhere on the disk is gone.
 */
import { accountOfRootKey, LendError, rootKeys, type Suite, same } from '@lend/engine'
import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import type { Change } from '../disk/sealed-store.ts'
import { del, put } from '../log/records.ts'
import type { Disk, World } from '../world.ts'
import type { Home } from './account-store.ts'

const ENTROPY_BYTES = 32
const KEY_FILE = 'keys/phrase'
const RECORD = 'phrase'

/** @param entropy 32 bytes */
function encodePhrase(entropy: Uint8Array): string {
  return entropyToMnemonic(entropy, wordlist)
}

/** @param words in any case, with any space between them. @throws LendError PHRASE_WRONG */
export function decodePhrase(words: string): Uint8Array {
  let entropy: Uint8Array
  try {
    entropy = mnemonicToEntropy(words.toLowerCase().trim().split(/\s+/).join(' '), wordlist)
  } catch {
    // What the library says may quote a word.
    throw phraseWrong('a word is not of the list, or one is missing or in another’s place')
  }
  if (entropy.length !== ENTROPY_BYTES) throw phraseWrong('it has 24 words')
  return entropy
}

/** Before the account is written: with its first records goes what is returned. */
export async function keepEntropy(
  { suite, world, disk }: { suite: Suite; world: World; disk: Disk },
  entropy: Uint8Array
): Promise<Change> {
  const key = world.dice(32)
  await disk.writeFile(KEY_FILE, key)
  return put(RECORD, suite.seal(key, entropy, NOTHING, world.dice))
}

export class Phrase {
  readonly #home: Home
  #forgetting: Promise<void> = Promise.resolve()

  constructor(home: Home) {
    this.#home = home
  }

  /** Of the account, not of this device: confirmed once on any of its devices. */
  get state(): 'unconfirmed' | 'confirmed' {
    return this.#home.library.index.phraseConfirmed ? 'confirmed' : 'unconfirmed'
  }

  /** @throws LendError PHRASE_GONE */
  async show(): Promise<string> {
    const { suite, disk, store } = this.#home
    if (this.state === 'confirmed') throw phraseGone('it was confirmed, and is kept nowhere since')
    const key = await disk.readFile(KEY_FILE)
    const sealed = await store.sealed.get(RECORD)
    const entropy = key && sealed && suite.open(key, sealed, NOTHING)
    if (!entropy) throw phraseGone('this device never had it; ask the one that made the account')
    return encodePhrase(entropy)
  }

  /** Any device can tell whether they are the account's words. @throws LendError PHRASE_WRONG */
  async confirm(words: string): Promise<void> {
    const { suite, library } = this.#home
    const { signing } = rootKeys(suite, decodePhrase(words))
    if (!same(accountOfRootKey(suite, signing.publicKey), library.account)) {
      throw phraseWrong('they are another account’s words')
    }
    await library.edit(index => index.confirmPhrase())
    await this.forget()
  }

  /** What is kept here goes, once the words are confirmed. */
  forget(): Promise<void> {
    this.#forgetting = this.#forgetting.catch(() => {}).then(() => this.#forget())
    return this.#forgetting
  }

  /** Resolves when nothing of it is on its way any more. */
  async close(): Promise<void> {
    await this.#forgetting.catch(() => {})
  }

  async #forget(): Promise<void> {
    const { disk, store } = this.#home
    if (this.state !== 'confirmed' || !(await store.sealed.get(RECORD))) return
    // The key first: cut off behind it, the record says nothing any more.
    await disk.destroyFile(KEY_FILE)
    await store.sealed.write([del(RECORD)], { durable: true })
  }
}

const NOTHING = new Uint8Array(0)

function phraseWrong(why: string): LendError {
  return new LendError('PHRASE_WRONG', `these are not the 24 words of the account: ${why}`, { retry: 'after-change' })
}

function phraseGone(why: string): LendError {
  return new LendError('PHRASE_GONE', `the phrase is not here: ${why}`)
}
