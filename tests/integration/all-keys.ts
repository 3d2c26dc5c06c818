/** What somebody has who was given everything of a share: every key of its owner, every entry, every record on a disk. */
import { dataKey, type Entry, epochKeys, hex, type LogId, loadSuite, openContent, Reader } from '@lend/engine'
import { ACCOUNT_DATABASE, ACCOUNT_KEY_FILE } from '../../packages/client/src/account/account-store.ts'
import { decodeGeneration } from '../../packages/client/src/disk/generations.ts'
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
 * Every record of a replica on a disk, opened, and each that is kept where it rests (`at rest: …`); its account must be closed.
 * @param log `account`: of the account's own store, which has the library
 */
export async function recordsIn(folder: string, log: LogId | 'account'): Promise<Map<string, Uint8Array>> {
  const place =
    log === 'account'
      ? { name: ACCOUNT_DATABASE, keyFile: ACCOUNT_KEY_FILE }
      : { name: replicaName(hex(log)), keyFile: replicaKeyFile(hex(log)) }
  const rests = log === 'account' ? [] : (await restsOf(folder)).filter(rest => rest.log === hex(log))
  const store = await SealedStore.open({
    suite: await loadSuite(),
    dice: nodeWorld.dice,
    disk: nodeWorld.disk(folder),
    ...place
  })
  const records = new Map<string, Uint8Array>()
  for await (const { key, value } of store.range('')) records.set(key, value)
  await store.close()
  for (const { key, opened } of rests) {
    if (!opened) continue
    for (const [name, value] of key.endsWith('/light') ? [['light', opened] as const] : headOf(opened)) {
      records.set(`at rest: ${name}`, value)
    }
  }
  return records
}

const RECORDS_MAX = 1024 * 1024

interface Rested {
  readonly key: string
  /** In hex. */
  readonly log: string
  /** As the account has it. */
  readonly sealed: Uint8Array
  /** Null when the key of its replica is not on the disk. */
  readonly opened: Uint8Array | null
}

/** The records of a head, see resting-store.ts. */
function headOf(opened: Uint8Array): (readonly [string, Uint8Array])[] {
  const r = new Reader(opened, 'BAD_FRAME', 'head')
  r.bytes(16)
  return r.list(RECORDS_MAX, () => [r.text(RECORDS_MAX), r.sized(RECORDS_MAX)] as const)
}

/** What an account keeps of its shares at rest; it must be closed. */
export async function restsOf(folder: string): Promise<Rested[]> {
  const suite = await loadSuite()
  const disk = nodeWorld.disk(folder)
  const place = { suite, dice: nodeWorld.dice, disk, name: ACCOUNT_DATABASE, keyFile: ACCOUNT_KEY_FILE }
  const store = await SealedStore.open(place)
  const rests: Rested[] = []
  for await (const { key, value: sealed } of store.range('rest/')) {
    const log = key.split('/')[1] ?? ''
    const generation = decodeGeneration(await disk.readFile(replicaKeyFile(log)))
    const opened = generation && suite.open(generation.key, sealed, new TextEncoder().encode(key))
    rests.push({ key, log, sealed, opened })
  }
  await store.close()
  return rests
}

/** Whether a text is anywhere in these bytes, as Yjs writes it. */
export function says(bytes: Iterable<Uint8Array>, text: string): boolean {
  return [...bytes].some(part => Buffer.from(part).includes(text))
}
