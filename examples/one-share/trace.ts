/**
 * An editing trace: what somebody really did to a text, as `[position, deleted, inserted]` in order. The file is JSON,
 * packed with gzip or not: a list of edits, or `{ "edits": [...], "finalText": "..." }`.
 */
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { z } from 'zod'
import type { Edit } from './edit.ts'
import { BadInput, decodeText, readInput } from './file.ts'

export interface Trace {
  readonly edits: readonly Edit[]
  /** The text that comes out, if the file says so. */
  readonly finalText: string | null
}

/** Packed, and unpacked: many times the largest trace that is published. */
const FILE_BYTES_MAX = 64 * 1024 * 1024
const JSON_BYTES_MAX = 256 * 1024 * 1024
/** An entry must hold it. */
const INSERTED_MAX = 64 * 1024

const count = z.number().int().min(0)
// Half of a surrogate pair is no text: documents would not agree on what it is.
const inserted = z
  .string()
  .max(INSERTED_MAX)
  .regex(/^\P{Surrogate}*$/u, 'half of a surrogate pair')
const shape = z.object({
  edits: z.array(z.tuple([count, count, inserted])).min(1),
  finalText: z.string().optional()
})

/** @throws BadInput, which says what is wrong and where */
export async function readTrace(path: string): Promise<Trace> {
  const json = parseJson(decodeText(await unpack(await readInput(path, FILE_BYTES_MAX), path), path), path)
  const trace = shape.safeParse(Array.isArray(json) ? { edits: json } : json)
  if (!trace.success) throw new BadInput(`${path}: ${sentenceOf(trace.error)}`)
  const { edits, finalText = null } = trace.data
  checkPlaces(edits, path)
  return { edits, finalText }
}

async function unpack(bytes: Uint8Array, path: string): Promise<Uint8Array> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: JSON_BYTES_MAX })
  } catch {
    throw new BadInput(`${path}: gzip can't unpack it (cut off, damaged, or over ${JSON_BYTES_MAX} bytes)`)
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new BadInput(`${path}: this is no JSON; a trace is { "edits": [[position, deleted, "inserted"], ...] }`)
  }
}

function sentenceOf({ issues: [first] }: z.ZodError): string {
  if (first === undefined) return 'this is no trace'
  const [list, index, part] = first.path
  const where = list !== 'edits' ? 'a trace' : index === undefined ? 'its list of edits' : `edit ${Number(index) + 1}`
  const which = part === undefined ? '' : `, ${['position', 'deleted', 'inserted'][Number(part)]}`
  return `${where}${which}: ${first.message}; want { "edits": [[position, deleted, "inserted"], ...] }`
}

/** Every edit must lie within the text as it is by then. */
function checkPlaces(edits: readonly Edit[], path: string): void {
  let length = 0
  for (const [i, [position, deleted, inserted]] of edits.entries()) {
    if (position + deleted > length) {
      throw new BadInput(
        `${path}: edit ${i + 1} reaches to ${position + deleted}, and the text ends at ${length} by then`
      )
    }
    length += inserted.length - deleted
  }
}
