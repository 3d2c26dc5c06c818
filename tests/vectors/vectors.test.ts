/** The vectors and the tables of docs/PROTOCOL.md say what the code says. */
import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { openEarlier } from '../../packages/engine/src/access/keys.ts'
import { resetParts } from '../../packages/engine/src/access/library-list.ts'
import {
  decodeStatement,
  encodeStatement,
  REASONS,
  STATEMENT_NUMBERS
} from '../../packages/engine/src/access/statement.ts'
import { accountId, hex } from '../../packages/engine/src/bytes/ids.ts'
import { unpad } from '../../packages/engine/src/crypto/padding.ts'
import { openContent } from '../../packages/engine/src/entry/content.ts'
import {
  decodeEntry,
  encodeHeader,
  KINDS,
  PAYLOAD_BYTES_MAX,
  verifyEntry
} from '../../packages/engine/src/entry/entry.ts'
import * as limits from '../../packages/engine/src/limits.ts'
import { HEAD_BYTES, ownHead } from '../../packages/engine/src/log/head.ts'
import { decodeFrame, encodeFrame, FRAME_NUMBERS, STANDINGS } from '../../packages/engine/src/protocol/frames.ts'
import { RECEIPT_REASONS } from '../../packages/engine/src/protocol/receipt.ts'
import { REFUSALS } from '../../packages/engine/src/refusal.ts'
import { crypto, equalBytes, known, statementOf } from '../engine/world.ts'
import { makeVectors, printVectors, type Vectors } from './vectors.ts'

const test = suite('vectors')

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8')
const doc = read('../../docs/PROTOCOL.md')
const file = read('protocol.json')
const vectors: Vectors = makeVectors()

/** A vector's text. */
function vector(group: string, name: string): string {
  return String(known(vectors[group]?.[name]))
}

const bytesOf = (group: string, name: string) => Uint8Array.from(Buffer.from(vector(group, name), 'hex'))

/** The rows of the first table below a heading, without backticks. */
function table(heading: string): string[][] {
  const section = known(doc.split(`\n## ${heading}\n`)[1]).split('\n## ')[0] ?? ''
  const lines = section.split('\n')
  const start = lines.findIndex(line => /^\| ?-/.test(line))
  const end = lines.findIndex((line, i) => i > start && !line.startsWith('|'))
  return lines.slice(start + 1, end === -1 ? undefined : end).map(line =>
    line
      .slice(1, -1)
      .split('|')
      .map(cell => cell.trim().replaceAll('`', ''))
  )
}

const pairs = (heading: string, key: number, value: number) =>
  Object.fromEntries(table(heading).map(row => [row[key], row[value]]))
const texts = (record: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(record).map(([key, n]) => [key, `${n}`]))

test('the vectors in the file are those that the code makes; `npm run vectors` writes them', () => {
  assert.is(file, printVectors(vectors))
})

test('the vectors in docs/PROTOCOL.md are those of the file', () => {
  const rows = table('Vectors')
  assert.ok(rows.length > 20)
  for (const [name = '', value] of rows) {
    const [group = '', key = ''] = name.split('.')
    assert.is(value, vector(group, key), name)
  }
})

test('the table of refusals has every code with its number and retry, and says when', () => {
  const rows = table('Refusals')
  assert.equal(
    rows.map(([code, number, retry]) => [code, number, retry]),
    Object.entries(REFUSALS).map(([code, [number, retry]]) => [code, `${number}`, retry])
  )
  for (const row of rows) assert.ok((row[3] ?? '').length > 5, row[0])
})

test('the table of statements has every number', () => {
  assert.equal(pairs('Access', 1, 0), texts(STATEMENT_NUMBERS))
  const sentence = Object.entries(REASONS)
    .map(([name, n]) => `${n} \`${name}\``)
    .join(', ')
  assert.ok(doc.includes(`Reasons: ${sentence}.`))
})

test('the table of frames has every number', () => {
  assert.equal(pairs('Frames', 1, 0), texts(FRAME_NUMBERS))
  for (const [name, n] of Object.entries(STANDINGS)) assert.ok(doc.includes(`${n} \`${name}\``))
  for (const [name, n] of Object.entries(RECEIPT_REASONS)) assert.match(doc, new RegExp(`${n}\\s+\`${name}\``))
})

test('the table of entry kinds has every number and bound', () => {
  assert.equal(pairs('Entry', 1, 0), texts(KINDS))
  assert.equal(pairs('Entry', 1, 3), texts(PAYLOAD_BYTES_MAX))
  assert.ok(doc.includes(`head(${HEAD_BYTES})`))
})

test('the table of limits has every limit with its value', () => {
  assert.equal(pairs('Limits', 0, 1), texts({ ...limits }))
})

test('the table of labels has every label', () => {
  const source = known(read('../../packages/engine/src/crypto/suite.ts').split('export type Label =')[1])
  const labels = [...known(source.split('\n\n')[0]).matchAll(/'([^']+)'/g)].map(match => known(match[1]))
  assert.ok(labels.length > 20)
  assert.equal(
    table('Suite')
      .map(row => row[0])
      .sort(),
    labels.sort()
  )
})

test('every frame vector decodes and encodes to itself', () => {
  assert.equal(new Set(Object.keys(known(vectors.frames))), new Set(Object.keys(FRAME_NUMBERS)))
  for (const type of Object.keys(FRAME_NUMBERS)) {
    const bytes = bytesOf('frames', type)
    const frame = decodeFrame(bytes)
    assert.is(frame.type, type)
    equalBytes(encodeFrame(frame), bytes)
  }
})

test('every entry vector decodes, is signed and has its id', () => {
  for (const group of [
    'createLibrary',
    'createShare',
    'inviteEntry',
    'join',
    'update',
    'snapshot',
    'drop',
    'removal',
    'reset'
  ]) {
    const entry = decodeEntry(crypto, bytesOf(group, 'bytes'))
    assert.is(hex(entry.id), vector(group, 'id'))
    assert.ok(verifyEntry(crypto, entry))
    equalBytes(encodeHeader(entry, entry.payload.length), entry.header)
    if (entry.kind === 'access') equalBytes(encodeStatement(decodeStatement(entry.payload)), entry.payload)
  }
})

test('the reset vector is of the root key for its device, and holds the key of the epoch before', () => {
  const entry = decodeEntry(crypto, bytesOf('reset', 'bytes'))
  const s = statementOf(entry, 'reset')
  equalBytes(entry.author, bytesOf('keys', 'rootKey'))
  equalBytes(entry.log, bytesOf('keys', 'accountId'))
  equalBytes(s.device, bytesOf('reset', 'deviceId'))
  equalBytes(s.recoverySealingKey, bytesOf('keys', 'recoverySealingKey'))
  assert.ok(crypto.verify(s.device, s.deviceSignature, 'reset', ...resetParts(accountId(entry.log), s)))
  const earlier = known(openEarlier(crypto, entry.log, bytesOf('reset', 'epochKey'), s.earlier))
  assert.equal([...earlier.keys()], [1])
  equalBytes(known(earlier.get(1)), bytesOf('keys', 'libraryEpochKey'))
})

test('the update vector opens under its data key, the padding vector unpads and the head is its relay’s', () => {
  const update = decodeEntry(crypto, bytesOf('update', 'bytes'))
  equalBytes(openContent(crypto, update, bytesOf('keys', 'shareDataKey')), bytesOf('update', 'content'))
  equalBytes(unpad(bytesOf('padding', 'padded')), bytesOf('padding', 'content'))
  assert.is(ownHead(crypto, bytesOf('head', 'bytes'), bytesOf('head', 'macKey'))?.seq, vectors.head?.seq)
})

test.run()
