/**
 * The terminal: lines that stay, and below them, on a real terminal, rows that are drawn anew while something goes on.
 * Anywhere else (a pipe, a file, CI) only the lines, without a control character.
 */
import { createLogUpdate } from 'log-update'
import pc from 'picocolors'

const FRAME_MS = 120
const PLAIN_COLUMNS = 80

export interface Screen {
  readonly color: ReturnType<typeof pc.createColors>
  readonly isLive: boolean
  readonly columns: number
  line(text?: string): void
  /** From now on these rows stand at the bottom; null takes them away. */
  rows(draw: (() => string[]) | null): void
}

export function openScreen(out: NodeJS.WriteStream): Screen {
  const isLive = out.isTTY === true && process.env.TERM !== 'dumb'
  // picocolors alone would also color for CI and FORCE_COLOR where nobody can see it.
  const color = pc.createColors(isLive && pc.isColorSupported)
  const live = isLive ? createLogUpdate(out) : null
  let draw: (() => string[]) | null = null
  let timer: NodeJS.Timeout | null = null
  const redraw = () => live?.(draw ? draw().join('\n') : '')
  return {
    color,
    isLive,
    get columns() {
      return out.columns || PLAIN_COLUMNS
    },
    line(text = '') {
      live?.clear()
      out.write(`${text}\n`)
      if (draw) redraw()
    },
    rows(next) {
      draw = next
      if (live === null) return
      if (draw === null) {
        if (timer) clearInterval(timer)
        timer = null
        live.clear()
        live.done()
        return
      }
      timer ??= setInterval(redraw, FRAME_MS)
      redraw()
    }
  }
}

/** A piece of a text that nobody has checked, as one row: what would move the cursor becomes a blank. */
export function oneRow(text: string): string {
  return text.replaceAll('\n', '⏎').replace(/\p{Cc}|\p{Cf}|\p{Surrogate}/gu, ' ')
}
