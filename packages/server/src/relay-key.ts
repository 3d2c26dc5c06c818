/**
 * The relay's identity: a seed in a file of its own, made once. Clients pin the public key that comes from it, and heads
 * carry its MAC, so who loses the file starts a relay that nobody knows.
 */
import { link, open, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type Dice, hex, type KeyPair, type Suite } from '@lend/engine'

const SEED_BYTES = 32

export interface RelayKeys {
  readonly signing: KeyPair
  readonly headKey: Uint8Array
}

/** @param data the relay's directory */
export async function loadRelayKeys(suite: Suite, data: string, dice: Dice): Promise<RelayKeys> {
  const path = join(data, 'relay.key')
  const seed = (await read(path)) ?? (await make(path, dice))
  return {
    signing: suite.signingKeys(suite.mac(seed, 'relay greeting')),
    headKey: suite.mac(seed, 'head')
  }
}

async function read(path: string): Promise<Uint8Array | null> {
  try {
    const seed = await readFile(path)
    if (seed.length === SEED_BYTES) return new Uint8Array(seed)
    throw new Error(`${path} has ${seed.length} bytes, want ${SEED_BYTES}: restore it from a backup`)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  }
}

/** Written and synced under another name, then linked: a crash leaves a whole key or none, and the first one wins. */
async function make(path: string, dice: Dice): Promise<Uint8Array> {
  const draft = `${path}.${hex(dice(4))}`
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(dice(SEED_BYTES))
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    await link(draft, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  } finally {
    await unlink(draft)
  }
  const seed = await read(path)
  if (!seed) throw new Error(`${path} is gone right after it was made`)
  return seed
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
