/**
 * An invite: a key pair named in an access entry, whose secret travels in the fragment of a link. Here are the keys that
 * come from the secret, the state an access list keeps, and the link. Source: docs/PROTOCOL.md, Invites.
 */
import { crc32 } from '../bytes/crc32.ts'
import { type AccountId, hex, type InviteId, inviteId, type LogId, logId } from '../bytes/ids.ts'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import type { KeyPair, Suite } from '../crypto/suite.ts'
import { type Refusal, refuse } from '../refusal.ts'

/** An invite as the access list knows it. */
export interface Invite {
  readonly id: InviteId
  readonly sealingKey: Uint8Array
  readonly uses: number
  readonly left: number
  readonly expiresMs: number
  /** The membership that it gives ends here. */
  readonly untilMs: number | null
  /** Only this account may join by it: a rule of access, not encryption. */
  readonly bound: AccountId | null
  readonly state: 'open' | 'used' | 'void'
}

/** The keys that come from an invite's 32-byte secret. */
export interface InviteKeys {
  readonly id: InviteId
  readonly signing: KeyPair
  readonly sealing: KeyPair
  readonly previewKey: Uint8Array
}

/** What a link carries. */
export interface Link {
  readonly kind: 'share' | 'device'
  readonly relayUrl: string
  readonly relayKey: Uint8Array
  readonly log: LogId
  readonly secret: Uint8Array
}

const LINK_VERSION = 1
const URL_BYTES_MAX = 1024

export function inviteKeys(suite: Suite, secret: Uint8Array): InviteKeys {
  const signing = suite.signingKeys(suite.mac(secret, 'invite signing'))
  return {
    id: inviteId(signing.publicKey),
    signing,
    sealing: suite.sealingKeys(suite.mac(secret, 'invite sealing')),
    previewKey: suite.mac(secret, 'invite preview')
  }
}

/**
 * The invite if it can still be used.
 * @param timeMs the ordering relay's time, or null not to judge its expiry
 */
export function openInvite(
  invites: ReadonlyMap<string, Invite>,
  id: InviteId,
  timeMs: number | null
): Invite | Refusal {
  const invite = invites.get(hex(id))
  if (!invite) return refuse('INVITE_UNKNOWN', 'join: there is no such invite')
  if (invite.state === 'used') return refuse('INVITE_USED', 'join: this invite is used up; ask for a new one')
  if (invite.state === 'void') return refuse('INVITE_VOID', 'join: this invite was taken back; ask for a new one')
  if (timeMs !== null && timeMs >= invite.expiresMs) {
    return refuse('INVITE_EXPIRED', 'join: this invite has expired; ask for a new one')
  }
  return invite
}

/** The fragment of a link, base64url. @param link its relay's address is at most 1,024 bytes */
export function encodeLink(link: Link): string {
  const bytes = new Writer()
    .u8(LINK_VERSION)
    .u8(link.kind === 'share' ? 0 : 1)
    .text(link.relayUrl)
    .bytes(link.relayKey)
    .bytes(link.log)
    .bytes(link.secret)
    .finish()
  return toBase64Url(new Writer().bytes(bytes).u32(crc32(bytes)).finish())
}

/**
 * Reads a link, or only its fragment.
 * @throws Refusal BAD_FRAME when it is cut off, miscopied, of another version or not in its one encoding
 */
export function decodeLink(text: string): Link {
  const fragment = text.slice(text.indexOf('#') + 1).trim()
  const bytes = fromBase64Url(fragment)
  const r = new Reader(bytes, 'BAD_FRAME', 'link')
  if (r.u8() !== LINK_VERSION) r.fail('it is of another version')
  const kind = r.flag() ? 'device' : 'share'
  const link: Link = {
    kind,
    relayUrl: r.text(URL_BYTES_MAX),
    relayKey: r.bytes(32),
    log: logId(r.bytes(32)),
    secret: r.bytes(32)
  }
  const checksum = r.u32()
  r.end()
  if (checksum !== crc32(bytes.subarray(0, -4))) r.fail('a letter of it is wrong')
  if (!/^wss?:\/\/[^\s#]+$/.test(link.relayUrl)) r.fail('its relay address is not ws:// or wss://')
  return link
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

function toBase64Url(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    held = (held << 8) | byte
    bits += 8
    while (bits >= 6) {
      bits -= 6
      text += alphabet[(held >> bits) & 63]
    }
    held &= (1 << bits) - 1
  }
  return bits > 0 ? text + alphabet[(held << (6 - bits)) & 63] : text
}

/** What is not the one encoding of its bytes becomes an empty result, which no reader takes. */
function fromBase64Url(text: string): Uint8Array {
  const bytes: number[] = []
  let bits = 0
  let held = 0
  for (const char of text) {
    const value = alphabet.indexOf(char)
    if (value < 0) return new Uint8Array(0)
    held = (held << 6) | value
    bits += 6
    if (bits >= 8) {
      bits -= 8
      bytes.push(held >> bits)
      held &= (1 << bits) - 1
    }
  }
  if (bits >= 6 || held !== 0) return new Uint8Array(0)
  return Uint8Array.from(bytes)
}
