/** Invites: the keys of a secret, what becomes of uses, and links in their one encoding. */
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  decodeLink,
  encodeLink,
  type Invite,
  inviteKeys,
  type Link,
  openInvite
} from '../../../packages/engine/src/access/invite.ts'
import { spend } from '../../../packages/engine/src/access/invites.ts'
import { openPreview, sealPreview } from '../../../packages/engine/src/access/preview.ts'
import { hex, logId } from '../../../packages/engine/src/bytes/ids.ts'
import { concat } from '../../../packages/engine/src/bytes/writer.ts'
import { Refusal } from '../../../packages/engine/src/refusal.ts'
import { crypto, decodedOrRefused, mutate, seededDice, seededInts, text, throwsRefusal } from '../world.ts'

const test = suite('access/invite')

const dice = seededDice(51)
const keys = inviteKeys(crypto, dice(32))
const link: Link = {
  kind: 'share',
  relayUrl: 'wss://relay.example/lend',
  relayKey: dice(32),
  log: logId(dice(32)),
  secret: dice(32)
}
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

function inviteOf(left: number): ReadonlyMap<string, Invite> {
  const { id } = keys
  const invite: Invite = {
    id,
    sealingKey: dice(32),
    uses: 3,
    left,
    expiresMs: 1000,
    untilMs: null,
    bound: null,
    state: 'open'
  }
  return new Map([[hex(id), invite]])
}

test('the keys come from the secret alone, each from its own label', () => {
  const secret = dice(32)
  const one = inviteKeys(crypto, secret)
  assert.is(text(one), text(inviteKeys(crypto, secret)))
  const all = [one.signing.secretKey.subarray(0, 32), one.sealing.secretKey, one.previewKey, secret].map(hex)
  assert.is(new Set(all).size, 4)
})

test('an invite is open until its uses are spent', () => {
  const list = { invites: new Map(inviteOf(2)), open: new Set([hex(keys.id)]), rotationDue: false }
  const use = () => {
    const invite = openInvite(list.invites, keys.id, 0)
    if (!(invite instanceof Refusal)) spend(list, invite)
    return invite instanceof Refusal ? invite.code : invite.left
  }
  assert.equal([use(), list.open.size], [2, 1])
  assert.equal([use(), list.open.size], [1, 0])
  assert.equal([use(), list.open.size], ['INVITE_USED', 0])
})

test('an invite expires at exactly its time, for who judges time', () => {
  const invites = inviteOf(1)
  assert.not.instance(openInvite(invites, keys.id, 999), Refusal)
  const expired = openInvite(invites, keys.id, 1000)
  assert.is(expired instanceof Refusal && expired.code, 'INVITE_EXPIRED')
  assert.not.instance(openInvite(invites, keys.id, null), Refusal)
})

test('a link comes back, alone, behind an address, and with spaces around it', () => {
  for (const kind of ['share', 'device'] as const) {
    for (const relayUrl of ['wss://relay.example', 'ws://localhost:1234/a?b=c', `wss://${'a'.repeat(1018)}`]) {
      const fragment = encodeLink({ ...link, kind, relayUrl })
      assert.ok([...fragment].every(char => alphabet.includes(char)))
      for (const whole of [fragment, `https://app.example/x#${fragment}`, ` #${fragment}\n`]) {
        assert.is(text(decodeLink(whole)), text({ ...link, kind, relayUrl }))
      }
    }
  }
})

test('a link with an address that is too long or is no relay’s is refused', () => {
  for (const relayUrl of [
    `wss://${'a'.repeat(1019)}`,
    'https://relay.example',
    'wss://',
    'javascript:0',
    'wss://a b',
    'wss://a#b',
    ''
  ]) {
    throwsRefusal(() => decodeLink(encodeLink({ ...link, relayUrl })), 'BAD_FRAME')
  }
})

test('a link cut off anywhere, or longer, is refused', () => {
  const fragment = encodeLink(link)
  for (let length = 0; length < fragment.length; length++) {
    throwsRefusal(() => decodeLink(fragment.slice(0, length)), 'BAD_FRAME')
  }
  for (const char of alphabet) throwsRefusal(() => decodeLink(fragment + char), 'BAD_FRAME')
})

test('a link with any one letter changed is refused', () => {
  const fragment = encodeLink(link)
  for (let i = 0; i < fragment.length; i++) {
    for (const char of alphabet) {
      if (char === fragment[i]) continue
      throwsRefusal(() => decodeLink(fragment.slice(0, i) + char + fragment.slice(i + 1)), 'BAD_FRAME')
    }
  }
})

test('every text that is a link is the one encoding of it', () => {
  for (const relayUrl of ['wss://a', 'wss://ab', 'wss://abc']) {
    const fragment = encodeLink({ ...link, relayUrl })
    const taken = [...alphabet].filter(char => {
      const other = decodedOrRefused(() => decodeLink(fragment.slice(0, -1) + char))
      if (!(other instanceof Refusal)) assert.is(encodeLink(other), fragment.slice(0, -1) + char)
      return !(other instanceof Refusal)
    })
    assert.ok(taken.length >= 1)
  }
  throwsRefusal(() => decodeLink(`${encodeLink(link)}=`), 'BAD_FRAME')
})

test('no text makes the link reader throw anything but a Refusal', () => {
  fc.assert(fc.property(fc.string(), s => void decodedOrRefused(() => decodeLink(s))))
  const int = seededInts(5)
  const bytes = new TextEncoder().encode(encodeLink(link))
  for (let i = 0; i < 10_000; i++) {
    const mutant = Buffer.from(mutate(bytes, int)).toString('latin1')
    const other = decodedOrRefused(() => decodeLink(mutant))
    if (!(other instanceof Refusal)) assert.is(encodeLink(other), mutant.slice(mutant.indexOf('#') + 1).trim())
  }
})

test('a preview opens for who has the link, and for nobody else', () => {
  const preview = { owner: 'Ada', title: 'Küche', items: { camera: 3, hub: 1 }, presence: true }
  const sealed = sealPreview(crypto, keys, preview, dice)
  assert.equal(openPreview(crypto, keys, sealed), preview)
  throwsRefusal(() => openPreview(crypto, inviteKeys(crypto, dice(32)), sealed), 'BAD_STATEMENT')
  for (let at = 0; at < sealed.length; at += 7) {
    throwsRefusal(() => openPreview(crypto, keys, sealed.slice(0, at)), 'BAD_STATEMENT')
    throwsRefusal(() => openPreview(crypto, keys, concat(sealed, dice(1))), 'BAD_STATEMENT')
  }
})

test('a preview with a kind called __proto__ changes no object', () => {
  const items = JSON.parse('{"__proto__": 7}') as Record<string, number>
  const opened = openPreview(
    crypto,
    keys,
    sealPreview(crypto, keys, { owner: '', title: '', items, presence: false }, dice)
  )
  assert.equal(Object.keys(opened.items), ['__proto__'])
  assert.is(Object.getPrototypeOf(opened.items), Object.prototype)
})

test.run()
