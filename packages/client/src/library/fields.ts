/** What an item may be made of: its kind, its fields, and the name that a list shows. */
import { LendError, limits } from '@lend/engine'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
export type Fields = Readonly<Record<string, Json>>

/** Names that would reach into the prototypes of who reads them as an object, Yjs among them. */
const NAMES_REFUSED: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])
/** Of roots that are not the app's. */
const RESERVED = 'lend.'

const utf8 = new TextEncoder()
const text = new TextDecoder()

/** @throws LendError BAD_FIELD */
export function checkKind(kind: string): void {
  if (typeof kind !== 'string' || kind === '') throw badItem('kind: want a word, as `camera`')
  if (kind.startsWith(RESERVED)) throw badItem(`kind: names that begin with ${RESERVED} are reserved`)
  checkName('kind', kind, limits.KIND_BYTES_MAX)
}

/** @param what they are called in the error; @throws LendError BAD_FIELD */
export function checkFields(what: string, fields: Fields): void {
  if (!isPlain(fields)) throw badItem(`${what}: want an object with names and values`)
  for (const [name, value] of Object.entries(fields)) {
    checkName(`${what}: a name`, name, limits.NAME_BYTES_MAX)
    checkValue(`${what}.${name}`, value, 1)
  }
  checkBytes(what, JSON.stringify(fields), limits.FIELDS_BYTES_MAX)
}

/** What the fields say the item is called, cut to what the index takes. */
export function nameIn({ name }: { readonly name?: unknown }): string {
  if (typeof name !== 'string') return ''
  const bytes = utf8.encode(name)
  if (bytes.length <= limits.NAME_BYTES_MAX) return name
  // A character that is cut in two is left out.
  let end: number = limits.NAME_BYTES_MAX
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return text.decode(bytes.subarray(0, end))
}

export function badItem(why: string, limit?: number): LendError {
  return new LendError('BAD_FIELD', why, { retry: 'after-change', ...(limit === undefined ? {} : { limit }) })
}

function checkName(what: string, name: string, bytesMax: number): void {
  if (NAMES_REFUSED.has(name)) throw badItem(`${what} is ${name}, which readers refuse; choose another`)
  checkBytes(what, name, bytesMax)
}

function checkBytes(what: string, written: string, bytesMax: number): void {
  const bytes = utf8.encode(written).length
  if (bytes > bytesMax) throw badItem(`${what} has ${bytes} bytes, at most ${bytesMax}`, bytesMax)
}

/** Only what comes back from JSON as it was: everybody must read the same. */
function checkValue(where: string, value: unknown, depth: number): void {
  if (depth > limits.FIELD_DEPTH_MAX) {
    throw badItem(`${where} is over ${limits.FIELD_DEPTH_MAX} values deep`, limits.FIELD_DEPTH_MAX)
  }
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (typeof value === 'number' && Number.isFinite(value)) return
  if (Array.isArray(value)) for (const one of value) checkValue(where, one, depth + 1)
  else if (isPlain(value)) {
    for (const [name, one] of Object.entries(value)) {
      checkName(`${where}: a name`, name, limits.FIELDS_BYTES_MAX)
      checkValue(where, one, depth + 1)
    }
  } else throw badItem(`${where} is no JSON value`)
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.getPrototypeOf(value) === Object.prototype
}
