/**
 * Keeps a document that this device writes within what its readers take: the size of one snapshot, and what check.ts lets
 * pass. Anything else is refused at the edit, by an error in the app's own call, and not at a compaction hours later or
 * by readers who put it aside, when nothing can be done about it any more.
 */
import * as encoding from 'lib0/encoding'
import * as Y from 'yjs'
import { LendError } from '../errors.ts'
import { SNAPSHOT_BYTES_MAX } from '../limits.ts'
import { checkUpdate } from './check.ts'
import { bounds, wrapYjs } from './writes.ts'

/** What a struct takes beside its content: ids, parent, key. */
const STRUCT_BYTES = 64
/** Bytes that a state may grow by for one byte of an update: a deleted range of three bytes makes two structs more. */
const SPLITS = 8

/**
 * Bounds a document for as long as it lives: a local edit throws DOCUMENT_TOO_BIG or BAD_UPDATE and changes nothing. Whole
 * updates of other documents (`Y.applyUpdate`) are not looked at here.
 * @param onRefused told before the same error is thrown at the writer: Yjs swallows what is thrown while it fills a new
 *   nested Y.Text, so there this is the only word
 * @param bytesMax of its state as one update
 */
export function boundDocument(
  doc: Y.Doc,
  onRefused: (error: LendError) => void,
  bytesMax: number = SNAPSHOT_BYTES_MAX
): void {
  wrapYjs()
  // Never under what the state takes: an edit also splits what stands there, a range that was deleted twice.
  let bytes = Y.encodeStateAsUpdate(doc).length
  let inTransaction = 0
  doc.on('update', (update: Uint8Array) => {
    bytes += inTransaction + SPLITS * update.length
    inTransaction = 0
  })
  const refuse = (error: LendError): never => {
    onRefused(error)
    throw error
  }
  bounds.set(doc, item => {
    const size = contentBytes(item.content) + STRUCT_BYTES
    if (bytes + inTransaction + size > bytesMax) {
      bytes = Y.encodeStateAsUpdate(doc).length
      inTransaction = 0
      if (bytes + size > bytesMax) refuse(tooBig(bytes, size, bytesMax))
    }
    const judged = checkUpdate(updateOf(item), doc)
    if (judged.verdict === 'bad') refuse(judged.error)
    inTransaction += size
  })
}

/** The update that would bring this item alone. */
function updateOf(item: Y.Item): Uint8Array {
  const encoder = new Y.UpdateEncoderV1()
  const { client, clock } = item.id
  for (const n of [1, 1, client, clock]) encoding.writeVarUint(encoder.restEncoder, n)
  item.write(encoder, 0)
  encoding.writeVarUint(encoder.restEncoder, 0)
  return encoder.toUint8Array()
}

function contentBytes(content: Y.Item['content']): number {
  if (content instanceof Y.ContentString) return utf8Bytes(content.str)
  const encoder = new Y.UpdateEncoderV1()
  content.write(encoder, 0)
  return encoder.toUint8Array().length
}

function utf8Bytes(text: string): number {
  return text.length < 1024 ? text.length * 3 : new TextEncoder().encode(text).length
}

function tooBig(bytes: number, size: number, bytesMax: number): LendError {
  const message = `a document of ${bytes} bytes can't take an edit of ${size}: at most ${bytesMax}; use a second one`
  return new LendError('DOCUMENT_TOO_BIG', message, { retry: 'after-change', limit: bytesMax })
}
