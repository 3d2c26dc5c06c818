/** The rows at the bottom of the terminal: who does what just now, and where in the text. */
import type { Status } from '@lend/client'
import { number } from './measure.ts'
import { oneRow, type Screen } from './screen.ts'

export interface Row {
  readonly who: string
  readonly does: string
  /** What this person sees, up to the place where Maya types. */
  readonly sees: string
  readonly note: string
}

const WHO = 6
const DOES = 16
const NOTE = 32
const BAR = 24

export function rowOf({ color, columns }: Screen, { who, does, sees, note }: Row): string {
  const room = Math.max(0, columns - WHO - DOES - NOTE - 4)
  const text = oneRow(sees).slice(-room).padStart(room)
  return `  ${color.bold(who.padEnd(WHO))}${color.cyan(does.padEnd(DOES))}${text}  ${color.dim(note.slice(0, NOTE))}`
}

export function bar({ color }: Screen, part: number): string {
  const full = Math.round(part * BAR)
  return `  ${color.green('█'.repeat(full))}${color.dim('░'.repeat(BAR - full))} ${Math.floor(part * 100)} %`
}

/** What of a share is done and what still waits, in words. */
export function inWords(status: Status): string {
  switch (status.state) {
    case 'saving':
      return `${number(status.unsynced)} not saved yet`
    case 'saved':
      return `saved here, ${number(status.unsynced)} on their way`
    case 'syncing':
      return `${number(status.progress.entries)} of ${number(status.progress.entriesTotal)} entries`
    case 'synced':
      return 'all at the relay'
    case 'ended':
      return `ended: ${status.reason}`
    case 'failed':
      return `failed: ${status.error.code}`
    default:
      return status.state
  }
}
