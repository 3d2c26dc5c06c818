/** The first run: a folder without an account gets one, made here, with this device as its first. */
import { LendError } from '@lend/engine'
import { admittedBefore } from '../joining/candidate.ts'
import { isRelayUrl } from '../relay/relay-url.ts'
import { newSeeds } from './account-keys.ts'
import { accountRecords, type Begin } from './account-store.ts'
import { keepEntropy } from './phrase.ts'

export interface FirstRun {
  readonly name: string
  readonly deviceName: string
  readonly relayUrl: string | undefined
}

/**
 * Opens what is there; else looks for a device that was cut off on its way into an account, see candidate.ts; else makes one.
 * @throws LendError when it begins: BAD_FIELD without a relay, NO_ACCESS and OFFLINE for a device that was cut off
 */
export function firstRun({ name, deviceName, relayUrl }: FirstRun): Begin {
  return async (folder, kept) => {
    const before = kept ?? (await admittedBefore(folder))
    if (before) return before
    if (!relayUrl || !isRelayUrl(relayUrl)) {
      throw new LendError('BAD_FIELD', 'relay: wanted on the first run, as ws://… or wss://…', {
        retry: 'after-change'
      })
    }
    const { suite, world, store } = folder
    const { seeds, entropy } = newSeeds({ suite, dice: world.dice, name, deviceName, relayUrl })
    const phrase = await keepEntropy(folder, entropy)
    await store.write([...accountRecords(seeds, null), phrase], { durable: true })
    return seeds
  }
}
