/**
 * A relay's memory grows with connections, not with documents: the small version of what `npm run bench -- memory` shows
 * with figures. Bounds are several times what was measured.
 */
import { decodeHead, type Incarnation, incarnation, type LogId } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { connectRaw, makeAccount, makeShare, type RawClient, type RawShare, UNSEEN } from './raw-client.ts'
import { type RelayProcess, startRelayProcess } from './relay-process.ts'
import { closeWorlds, newData } from './world.ts'

const memory = suite('relay memory')
const processes = new Set<RelayProcess>()
memory.after.each(async () => {
  await Promise.all([...processes].map(relay => relay.close()))
  processes.clear()
  await closeWorlds()
})

const KB = 1024
const MB = 1024 * KB
const LOGS = 300
const WARM = 100
const BACKLOG_ENTRIES = 100
const ENTRY_BYTES = 240 * KB

memory('logs that nobody follows cost nothing, and a followed one little', async () => {
  const data = await newData()
  const ann = makeAccount('Ann')
  const first = await start(data)
  const empty = await first.held()
  const writer = await connectRaw(first.url, ann.device, first.key)
  const shares = Array.from({ length: LOGS }, () => makeShare(ann, first.key))
  const fill = async (share: RawShare) => {
    const updates = Array.from({ length: 3 }, () => share.update(new Uint8Array(10 * KB)))
    await writer.appended(share.log, UNSEEN, share.create, ...updates)
  }
  await Promise.all(shares.map(fill))
  await stop(first)
  const relay = await start(data)
  const cold = await relay.held()
  assert.ok(cold - empty < 4 * MB, `${LOGS} logs on disk cost ${(cold - empty) / KB} KB`)
  const reader = await connectRaw(relay.url, ann.device, relay.key)
  const heldFollowing = async (some: readonly RawShare[]) => {
    // To its end: what is on its way is another matter.
    await Promise.all(
      some.map(async ({ log }) => reader.readTo(log, decodeHead((await reader.followed(log)).head).seq))
    )
    await reader.settle()
    return relay.held()
  }
  // The first ones bring with them what the relay needs once.
  const warm = await heldFollowing(shares.slice(0, WARM))
  const each = ((await heldFollowing(shares.slice(WARM))) - warm) / (LOGS - WARM)
  assert.ok(each < 60 * KB, `a followed log costs ${each / KB} KB`)
})

memory('what a paused reader has not taken stays on disk, and it gets all of it later', async () => {
  const relay = await start(await newData())
  const ann = makeAccount('Ann')
  const share = makeShare(ann, relay.key)
  const owner = await connectRaw(relay.url, ann.device, relay.key)
  const life = lifeOf(await owner.appended(share.log, UNSEEN, share.create))
  const { entry, keys } = share.invite({ uses: 2 })
  await owner.appended(share.log, life, entry)
  const readers: RawClient[] = []
  for (const account of [makeAccount('Bob'), makeAccount('Cleo')]) {
    const client = await connectRaw(relay.url, account.device, relay.key)
    await client.followed(share.log, { invite: keys })
    const joining = share.join(account, keys)
    await client.appended(share.log, life, joining)
    share.take(joining)
    await client.followed(share.log)
    readers.push(client)
  }
  const [bob, cleo] = readers
  assert.ok(bob && cleo)
  await Promise.all(readers.map(reader => reader.settle()))

  const before = await relay.held()
  bob.webSocket.pause()
  const backlogEntries = Array.from({ length: BACKLOG_ENTRIES }, () => share.update(new Uint8Array(ENTRY_BYTES)))
  for (const one of backlogEntries.slice(0, -1)) owner.append(share.log, life, one)
  const { seq } = decodeHead(await owner.appended(share.log, life, ...backlogEntries.slice(-1)))
  assert.is(await entriesTo(cleo, share.log, seq), BACKLOG_ENTRIES, 'the other reader went on')
  const grown = (await relay.held()) - before
  const backlog = BACKLOG_ENTRIES * ENTRY_BYTES
  assert.ok(grown < backlog / 4, `a backlog of ${backlog / MB} MB costs ${grown / MB} MB`)
  bob.webSocket.resume()
  assert.is(await entriesTo(bob, share.log, seq), BACKLOG_ENTRIES, 'the paused reader got the rest')
})

async function start(data: string): Promise<RelayProcess> {
  const relay = await startRelayProcess(data)
  processes.add(relay)
  return relay
}

async function stop(relay: RelayProcess): Promise<void> {
  processes.delete(relay)
  await relay.close()
}

function lifeOf(head: Uint8Array): Incarnation {
  return incarnation(decodeHead(head).incarnation.slice())
}

/** Reads to that seq. @returns how many of the backlog's entries came */
async function entriesTo(reader: RawClient, log: LogId, seq: number): Promise<number> {
  const entries = await reader.readTo(log, seq)
  return entries.filter(({ bytes }) => bytes.length > ENTRY_BYTES).length
}

memory.run()
