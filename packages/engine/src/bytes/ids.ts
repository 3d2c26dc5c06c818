/**
 * The identifiers of the protocol: fixed-length byte strings, branded so that one kind is never passed for another.
 * Not here: how they come to be (an account id is a hash, a device id is a public key; see access/ and crypto/).
 */
declare const brand: unique symbol
type Bytes<Name extends string> = Uint8Array & { readonly [brand]: Name }

/** 32 bytes: the hash of an account's root public key; also the log id of its library. */
export type AccountId = Bytes<'AccountId'>
/** 32 bytes: a device's Ed25519 public key. */
export type DeviceId = Bytes<'DeviceId'>
/** 32 bytes: names one log, a library or a share. */
export type LogId = Bytes<'LogId'>
/** 16 bytes: names one document in a log. Zero stands for "access entries", one for `share.doc`. */
export type DocumentId = Bytes<'DocumentId'>
/** 32 bytes: the hash of an entry. */
export type EntryId = Bytes<'EntryId'>
/** 32 bytes: an invite's Ed25519 public key. */
export type InviteId = Bytes<'InviteId'>
/** 16 bytes: names one life of a log at its relay; a new one begins after the relay lost part of it. */
export type Incarnation = Bytes<'Incarnation'>

const lengths = {
  AccountId: 32,
  DeviceId: 32,
  LogId: 32,
  DocumentId: 16,
  EntryId: 32,
  InviteId: 32,
  Incarnation: 16
} as const

function of<Name extends keyof typeof lengths>(name: Name) {
  return (bytes: Uint8Array): Bytes<Name> => {
    if (bytes.length !== lengths[name]) throw new RangeError(`${name}: ${bytes.length} bytes, want ${lengths[name]}`)
    return bytes as Bytes<Name>
  }
}

export const accountId = of('AccountId')
export const deviceId = of('DeviceId')
export const logId = of('LogId')
export const documentId = of('DocumentId')
export const entryId = of('EntryId')
export const inviteId = of('InviteId')
export const incarnation = of('Incarnation')

/** The document id that every access entry carries. */
export const NO_DOCUMENT = documentId(new Uint8Array(16))
/** The document id of `share.doc`. */
export const SHARE_DOCUMENT = documentId(Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? 1 : 0)))

/** True when both hold the same bytes. Not constant-time: ids are public. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

const digits = new TextEncoder().encode('0123456789abcdef')
const ascii = new TextDecoder()

/**
 * Bytes as lower-case hexadecimal: the key of every map by id. Made in one piece: text put together digit by digit is a rope
 * of ten times the memory, which the map it becomes a key of must flatten first.
 */
export function hex(bytes: Uint8Array): string {
  const text = new Uint8Array(bytes.length * 2)
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0
    text[2 * i] = digits[byte >> 4] ?? 0
    text[2 * i + 1] = digits[byte & 15] ?? 0
  }
  return ascii.decode(text)
}

/** The first eight digits of an id, as error sentences and log lines show it. */
export function short(id: Uint8Array): string {
  return hex(id.subarray(0, 4))
}
