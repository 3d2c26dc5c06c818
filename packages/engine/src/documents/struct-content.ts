/**
 * What a struct of a Yjs update carries: the part of format V1 that `update.ts` reads for each struct. Values are JSON or
 * lib0's `any`.
 */
import * as decoding from 'lib0/decoding'
import { LendError } from '../errors.ts'
import { NESTING_DEPTH_MAX } from '../limits.ts'

const XML_ELEMENT = 3
const XML_HOOK = 5
const TYPES = 7
/** What an object with such a key would do to code that copies it. */
const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/** @returns how many clocks the content takes */
export function readContent(from: decoding.Decoder, content: number): number {
  switch (content) {
    case 1: // deleted
      return decoding.readVarUint(from)
    case 2: // JSON
      return each(count(from), () => readJson(from, 'undefined'))
    case 3: // binary
      decoding.readVarUint8Array(from)
      return 1
    case 4: // string
      return decoding.readVarString(from).length
    case 5: // embed
      readJson(from)
      return 1
    case 6: // format
      readKey(from)
      readJson(from)
      return 1
    case 7: {
      const type = decoding.readVarUint(from)
      if (type >= TYPES) bad(`type ${type} is unknown`)
      if (type === XML_ELEMENT || type === XML_HOOK) readKey(from)
      return 1
    }
    case 8: // any
      return each(count(from), () => readAny(from, 1))
    case 9: // subdocument
      decoding.readVarString(from)
      readSubdocumentOptions(from)
      return 1
    default:
      return bad(`content ${content} is unknown`)
  }
}

export function bad(what: string, limit?: number): never {
  throw new LendError('BAD_UPDATE', `the update is refused: ${what}`, limit === undefined ? {} : { limit })
}

/** Each of what is counted takes a byte at least, so nothing is counted that can't be there. */
export function count(from: decoding.Decoder): number {
  const n = decoding.readVarUint(from)
  const left = from.arr.length - from.pos
  if (n > left) bad(`${n} parts are announced, ${left} bytes are left`)
  return n
}

function each(n: number, read: () => void): number {
  for (let i = 0; i < n; i++) read()
  return n
}

/** lib0 itself reads on past the end. */
export function byte(from: decoding.Decoder): number {
  if (from.pos >= from.arr.length) bad('it ends too early')
  return decoding.readUint8(from)
}

/** The name of a root, a key, a format or an element. */
export function readKey(from: decoding.Decoder): string {
  const name = decoding.readVarString(from)
  if (FORBIDDEN_KEYS.has(name)) bad(`a name is ${name}`)
  return name
}

function deeper(depth: number): number {
  if (depth > NESTING_DEPTH_MAX) bad(`values are over ${NESTING_DEPTH_MAX} deep`, NESTING_DEPTH_MAX)
  return depth
}

/** @param except a word that stands for what JSON can't say */
function readJson(from: decoding.Decoder, except?: string): void {
  const text = decoding.readVarString(from)
  if (text !== except) checkJson(JSON.parse(text), 0)
}

function checkJson(value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null) return
  deeper(depth + 1)
  if (Object.hasOwn(value, '__proto__')) bad('a name is __proto__')
  for (const inner of Object.values(value)) checkJson(inner, depth + 1)
}

/** lib0's `any`: one byte for the kind, then the value. In an object `__proto__` would set the prototype. */
function readAny(from: decoding.Decoder, depth: number): void {
  const kind = byte(from)
  switch (kind) {
    case 127: // undefined
    case 126: // null
    case 121: // false
    case 120: // true
      return
    case 125: // integer
      byte(from)
      from.pos--
      decoding.readVarInt(from)
      return
    case 124:
      decoding.readFloat32(from)
      return
    case 123:
      decoding.readFloat64(from)
      return
    case 122:
      decoding.readBigInt64(from)
      return
    case 119:
      decoding.readVarString(from)
      return
    case 118: {
      deeper(depth)
      const read = (): void => {
        if (decoding.readVarString(from) === '__proto__') bad('a name is __proto__')
        readAny(from, depth + 1)
      }
      each(count(from), read)
      return
    }
    case 117:
      deeper(depth)
      each(count(from), () => readAny(from, depth + 1))
      return
    case 116:
      decoding.readVarUint8Array(from)
      return
    default:
      bad(`a value of kind ${kind} is unknown`)
  }
}

/** What Yjs writes, and no more: it hands them to the constructor of a document as they are. */
function readSubdocumentOptions(from: decoding.Decoder): void {
  const start = from.pos
  readAny(from, 1)
  const options: unknown = decoding.readAny(decoding.clone(from, start))
  if (typeof options !== 'object' || options === null || Array.isArray(options)) bad('a subdocument has no options')
  for (const [option, value] of Object.entries(options)) {
    const known = option === 'meta' || ((option === 'gc' || option === 'autoLoad') && typeof value === 'boolean')
    if (!known) bad('an option of a subdocument is unknown')
  }
}
