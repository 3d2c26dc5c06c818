/** What a modified client has of its account: all keys that the account's folder gives to who can read it. */
import {
  type AccountId,
  accountSealingKeys,
  type DeviceKeys,
  type KeyPair,
  type LibraryList,
  libraryEpochKeys,
  logId,
  type Suite
} from '@lend/engine'
import { AccountStore } from '../../packages/client/src/account/account-store.ts'
import { Replica } from '../../packages/client/src/log/replica.ts'
import { nodeWorld } from './worlds.ts'

export interface KeysOnDisk {
  readonly account: AccountId
  readonly device: DeviceKeys
  readonly sealing: readonly KeyPair[]
}

/** The account must be closed. */
export async function keysOnDisk(suite: Suite, folder: string): Promise<KeysOnDisk> {
  const disk = nodeWorld.disk(folder)
  const store = await AccountStore.open({ suite, world: nodeWorld, disk }, async (_folder, seeds) => {
    if (!seeds) throw new Error('no account is kept there')
    return seeds
  })
  const { account } = store.seeds
  const { device } = store
  const log = logId(account)
  const library = await Replica.open<LibraryList>({
    kind: 'library',
    suite,
    world: nodeWorld,
    disk,
    log,
    writable: false,
    account: null,
    store: store.sealed,
    openKeys: (statements, known) =>
      libraryEpochKeys(suite, log, statements, { device, recovery: null, invite: null }, known),
    edited: () => {},
    refused: () => {}
  })
  const epochs = [...library.epochKeys.values()]
  await library.close()
  await store.close()
  return { account, device, sealing: epochs.map(key => accountSealingKeys(suite, key)) }
}
