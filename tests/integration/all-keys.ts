/** What somebody has who was given everything of a share: every key of its owner, every entry, every record on a disk. */
import { dataKey, type Entry, epochKeys, hex, type LogId, loadSuite, openContent } from '@lend/engine'
import { ACCOUNT_DATABASE, ACCOUNT_KEY_FILE } from '../../packages/client/src/account/account-store.ts'
import { SealedStore } from '../../packages/client/src/disk/sealed-store.ts'
import { replicaKeyFile, replicaName } from '../../packages/client/src/disk/wipe.ts'
import { AccessHistory } from '../../packages/engine/src/log/history.ts'
import { keysOnDisk } from './keys-on-disk.ts'
import { nodeWorld } from './worlds.ts'

/**
 * The contents of these entries, opened with the keys of the owner, whose account must be closed.
 * @param access the access entries of the log, in order
 */
export async function contentsOf(
  ownerFolder: string,
  log: LogId,
  access: readonly Entry[],
  entries: readonly Entry[]
): Promise<Uint8Array[]> {
  const suite = await loadSuite()
  const { account, sealing } = await keysOnDisk(suite, ownerFolder)
  const history = new AccessHistory(suite)
  for (const [i, entry] of access.entries()) {
    const refusal = history.fold(entry, i + 1, 0, { timeMs: null, signatures: false })
    if (refusal) throw refusal
  }
  const statements = history.records.map(record => record.statement)
  const keys = epochKeys(suite, log, statements, { account, sealingKeys: sealing, invite: null }, new Map())
  return entries.flatMap(entry => {
    if (entry.kind !== 'update' && entry.kind !== 'snapshot') return []
    const key = keys.get(entry.epoch)
    if (!key) throw new Error(`no key of epoch ${entry.epoch}`)
    return [openContent(suite, entry, dataKey(suite, key))]
  })
}

/**
 * Every record of a replica on a disk, opened; its account must be closed.
 * @param log `account`: of the account's own store, which has the library
 */
export async function recordsIn(folder: string, log: LogId | 'account'): Promise<Map<string, Uint8Array>> {
  const place =
    log === 'account'
      ? { name: ACCOUNT_DATABASE, keyFile: ACCOUNT_KEY_FILE }
      : { name: replicaName(hex(log)), keyFile: replicaKeyFile(hex(log)) }
  const store = await SealedStore.open({
    suite: await loadSuite(),
    dice: nodeWorld.dice,
    disk: nodeWorld.disk(folder),
    ...place
  })
  const records = new Map<string, Uint8Array>()
  for await (const { key, value } of store.range('')) records.set(key, value)
  await store.close()
  return records
}

/** Whether a text is anywhere in these bytes, as Yjs writes it. */
export function says(bytes: Iterable<Uint8Array>, text: string): boolean {
  return [...bytes].some(part => Buffer.from(part).includes(text))
}
