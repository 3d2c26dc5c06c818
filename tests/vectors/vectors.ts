/**
 * The test vectors of docs/PROTOCOL.md: one account, one share, and one of everything that travels, from fixed seeds.
 * Run as a program it writes protocol.json; vectors.test.ts fails when that file and the code differ.
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { encodeLink, inviteKeys } from '../../packages/engine/src/access/invite.ts'
import { accountSealingKeys, commitment, dataKey, rootKeys } from '../../packages/engine/src/access/keys.ts'
import { hex, incarnation, SHARE_DOCUMENT } from '../../packages/engine/src/bytes/ids.ts'
import { pad } from '../../packages/engine/src/crypto/padding.ts'
import type { Entry } from '../../packages/engine/src/entry/entry.ts'
import { encodeHead } from '../../packages/engine/src/log/head.ts'
import { encodeFrame, type Frame } from '../../packages/engine/src/protocol/frames.ts'
import { signGreeting, signPeek, signSession } from '../../packages/engine/src/protocol/handshake.ts'
import { signReceipt } from '../../packages/engine/src/protocol/receipt.ts'
import { Account, crypto, itemDocument, known, Share, START_MS, seededDice } from '../engine/world.ts'

const FILE = fileURLToPath(new URL('protocol.json', import.meta.url))

export type Vectors = Record<string, Record<string, string | number>>

export function makeVectors(): Vectors {
  const dice = seededDice(1)
  const owner = new Account(dice)
  const bob = new Account(dice)
  const share = new Share(dice, owner)
  const { scribe } = share
  const { keys, entry: invite } = share.invite({ bound: bob.id, untilMs: START_MS + 1000 })
  scribe.take(invite)
  const join = scribe.take(share.joining(keys, bob))
  const content = Uint8Array.of(1, 2, 3)
  const updateEntry = scribe.take(share.update(owner.device, SHARE_DOCUMENT, { content }))
  const snapshot = scribe.take(share.snapshot(owner.device, SHARE_DOCUMENT, { content }))
  const drop = scribe.take(share.drop(owner.device, itemDocument(1)))
  share.remove(bob)
  const removal = known(scribe.all.at(-1)).entry
  const { runningHash } = scribe.state
  const life = incarnation(dice(16))
  const macKey = dice(32)
  const relay = crypto.signingKeys(dice(32))
  const secret = dice(32)
  const nonces = { client: dice(32), relay: dice(32), relayKey: relay.publicKey }
  const receipt = signReceipt(
    crypto,
    share.log,
    { device: bob.device.id, accessHead: removal.id, reason: 'removed', timeMs: START_MS },
    bob.device.signing.secretKey
  )
  const { log } = share
  const head = encodeHead(
    crypto,
    { log, incarnation: life, seq: scribe.state.seq, runningHash, accessHead: scribe.head, timeMs: START_MS },
    macKey
  )
  const root = rootKeys(crypto, owner.entropy)
  const reset = owner.resetting()
  const linked = inviteKeys(crypto, secret)
  const placed = { seq: 4, timeMs: START_MS, bytes: updateEntry.bytes }
  const frames: Record<Frame['type'], Frame> = {
    hello: { type: 'hello', nonce: nonces.client },
    greeting: signGreeting(crypto, relay, nonces, START_MS),
    prove: { type: 'prove', device: owner.device.id, signature: signSession(crypto, owner.device, nonces) },
    welcome: { type: 'welcome', timeMs: START_MS },
    follow: {
      type: 'follow',
      log,
      cursor: { incarnation: life, seq: 3 },
      head,
      invite: { id: linked.id, signature: signPeek(crypto, linked, log, nonces) },
      accountProof: bob.proof
    },
    following: {
      type: 'following',
      log,
      standing: 'member',
      incarnation: life,
      from: 3,
      entriesTotal: 2,
      bytesTotal: 999,
      head
    },
    unfollow: { type: 'unfollow', log },
    entries: { type: 'entries', log, incarnation: life, upTo: 4, head, entries: [placed] },
    append: { type: 'append', log, incarnation: life, entries: [updateEntry.bytes] },
    ack: { type: 'ack', log, head, ids: [updateEntry.id] },
    offer: { type: 'offer', log, incarnation: life, entries: [invite.bytes] },
    ready: { type: 'ready', log, incarnation: life },
    refused: {
      type: 'refused',
      log,
      entry: updateEntry.id,
      code: 'CTR_GAP',
      retryAfterMs: 500,
      sentence: 'entry: ctr 3, want 2',
      top: { ctr: 1, id: updateEntry.id }
    },
    receipts: { type: 'receipts', log, receipts: [receipt] },
    'receipts-stored': { type: 'receipts-stored', log, devices: [bob.device.id] },
    ping: { type: 'ping' },
    pong: { type: 'pong', timeMs: START_MS }
  }
  return {
    keys: {
      entropy: hex(owner.entropy),
      rootKey: hex(root.signing.publicKey),
      recoverySealingKey: hex(root.recovery.publicKey),
      accountId: hex(owner.id),
      deviceId: hex(owner.device.id),
      deviceSealingKey: hex(owner.device.sealing.publicKey),
      libraryEpochKey: hex(owner.epochKey),
      accountSealingKey: hex(accountSealingKeys(crypto, owner.epochKey).publicKey),
      shareNonce: hex(share.nonce),
      shareLogId: hex(log),
      shareEpochKey: hex(known(share.epochKeys[0])),
      shareCommitment: hex(commitment(crypto, log, 1, known(share.epochKeys[0]))),
      shareDataKey: hex(dataKey(crypto, known(share.epochKeys[0]))),
      shareEpochKey2: hex(known(share.epochKeys[1]))
    },
    invite: {
      secret: hex(secret),
      id: hex(linked.id),
      sealingKey: hex(linked.sealing.publicKey),
      previewKey: hex(linked.previewKey),
      link: encodeLink({ kind: 'share', relayUrl: 'wss://relay.example', relayKey: relay.publicKey, log, secret })
    },
    padding: { content: hex(content), padded: hex(pad(content)) },
    createLibrary: ofEntry(known(owner.scribe.all[0]).entry),
    createShare: ofEntry(share.create),
    inviteEntry: ofEntry(invite),
    join: ofEntry(join),
    update: { content: hex(content), ...ofEntry(updateEntry) },
    snapshot: ofEntry(snapshot),
    drop: ofEntry(drop),
    removal: ofEntry(removal),
    reset: { epochKey: hex(reset.epochKey), deviceId: hex(reset.device.id), ...ofEntry(reset.entry) },
    head: { macKey: hex(macKey), seq: scribe.state.seq, runningHash: hex(runningHash), bytes: hex(head) },
    frames: Object.fromEntries(Object.entries(frames).map(([type, frame]) => [type, hex(encodeFrame(frame))]))
  }
}

/** As the file holds it. */
export function printVectors(vectors: Vectors): string {
  return `${JSON.stringify(vectors, null, 2)}\n`
}

function ofEntry(entry: Entry): Record<string, string | number> {
  return { id: hex(entry.id), bytes: hex(entry.bytes) }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(FILE, printVectors(makeVectors()))
  console.log(`wrote ${FILE}`)
}
