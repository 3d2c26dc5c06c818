/**
 * The preview sealed in an invite: what a link's holder sees before anything is accepted, and without an account.
 */
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { pad, unpad } from '../crypto/padding.ts'
import type { Dice, Suite } from '../crypto/suite.ts'
import { KIND_BYTES_MAX, NAME_BYTES_MAX, PREVIEW_BYTES_MAX, TITLE_BYTES_MAX } from '../limits.ts'
import { refuse } from '../refusal.ts'
import type { InviteKeys } from './invite.ts'

export interface Preview {
  readonly owner: string
  readonly title: string
  /** How many items of what kind. */
  readonly items: Readonly<Record<string, number>>
  /** Whether members see who else is here. */
  readonly presence: boolean
}

const KINDS_MAX = 16

export function sealPreview(suite: Suite, keys: InviteKeys, preview: Preview, dice: Dice): Uint8Array {
  const w = new Writer().text(preview.owner).text(preview.title).flag(preview.presence)
  w.list(Object.entries(preview.items).slice(0, KINDS_MAX), ([kind, count]) => w.text(kind).u32(count))
  return suite.seal(keys.previewKey, pad(w.finish()), keys.id, dice)
}

/** @throws Refusal BAD_STATEMENT when it was not sealed by this invite's keys */
export function openPreview(suite: Suite, keys: InviteKeys, sealed: Uint8Array): Preview {
  const padded = suite.open(keys.previewKey, sealed, keys.id)
  const bytes = padded && unpad(padded)
  if (!bytes || bytes.length > PREVIEW_BYTES_MAX) throw refuse('BAD_STATEMENT', 'invite: its preview does not open')
  const r = new Reader(bytes, 'BAD_STATEMENT', 'preview')
  const owner = r.text(NAME_BYTES_MAX)
  const title = r.text(TITLE_BYTES_MAX)
  const presence = r.flag()
  const items = Object.fromEntries(r.list(KINDS_MAX, () => [r.text(KIND_BYTES_MAX), r.u32()] as const))
  r.end()
  return { owner, title, items, presence }
}
