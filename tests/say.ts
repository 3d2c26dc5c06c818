/** What a process under test says before it is killed: at once, and for good. */
import { writeSync } from 'node:fs'

/** Prints a line that is with its reader when this returns. @param line shorter than a pipe's atomic write */
export function sayNow(line: string): void {
  for (;;) {
    try {
      writeSync(1, `${line}\n`)
      return
    } catch (error) {
      // The pipe is full: its reader is slow, and nothing of the line was written.
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
    }
  }
}
