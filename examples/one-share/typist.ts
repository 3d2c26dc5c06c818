/**
 * A person at a keyboard: turns a text into the edits by which somebody would type it, with slips that are noticed at
 * once, some letters later, or at the end of the line. Pure: the same text and seed give the same edits, and all of them
 * together give exactly the text. Pauses are data; whoever plays the edits keeps them, shortens them or leaves them out.
 */
import * as prng from 'lib0/prng'
import type { Edit } from './edit.ts'

export interface Keystroke {
  readonly edit: Edit
  /** How long the person waits before this key. */
  readonly pauseMs: number
  readonly what: 'letter' | 'slip' | 'correction'
}

interface Slip {
  /** What the fingers did. */
  readonly typed: string
  /** What they should have done. */
  readonly wanted: string
}

/** One letter in so many goes wrong. */
const LETTERS_PER_SLIP = 30
/** One slip in so many is seen only when the line is read again. */
const SLIPS_PER_OVERSIGHT = 5
/** How far the fingers run on before a slip is noticed. */
const RUN_ON_MAX = 6

const BACKSPACE_MS = 70
const NOTICE_MS = 300
const READ_AGAIN_MS = 700
const WORD_LETTERS_MAX = 9
const LINE_WORDS_MAX = 14

const ROWS = ['qwertyuiop', 'asdfghjkl', 'zxcvbnm']

/** @param seed any integer */
export function* typeText(text: string, seed: number): Generator<Keystroke> {
  const random = prng.create(seed)
  // Code points: half of a surrogate pair is no text.
  const keys = [...text]
  let end = 0
  let overlooked: { readonly at: number; readonly slip: Slip }[] = []

  const press = (key: string, what: Keystroke['what']): Keystroke => {
    const edit = [end, 0, key] as const
    end += key.length
    return { edit, pauseMs: rhythm(random, key), what }
  }

  for (let next = 0; next < keys.length; ) {
    const slip = slipAt(keys, next, random)
    if (slip === null) {
      const key = keys[next++] ?? ''
      yield press(key, 'letter')
      if (key === '\n') yield* readAgain()
      continue
    }
    const at = end
    for (const key of slip.typed) yield press(key, 'slip')
    if (prng.int32(random, 1, SLIPS_PER_OVERSIGHT) === 1) {
      overlooked.push({ at, slip })
      next += slip.wanted.length
    } else {
      // Noticed: back to where it went wrong, and the same letters once more.
      for (const key of runOn(keys, next + slip.wanted.length, random)) yield press(key, 'letter')
      for (let pauseMs = NOTICE_MS; end > at; pauseMs = BACKSPACE_MS) {
        yield { edit: [--end, 1, ''], pauseMs, what: 'correction' }
      }
      for (const key of slip.wanted) yield press(key, 'letter')
      next += slip.wanted.length
    }
  }
  yield* readAgain()

  /** Corrects what was overlooked, the last first: so the places of the others stay where they are. */
  function* readAgain(): Generator<Keystroke> {
    for (const { at, slip } of overlooked.reverse()) {
      let pauseMs = READ_AGAIN_MS
      for (let i = slip.typed.length; i > 0; i--) {
        yield { edit: [at + i - 1, 1, ''], pauseMs, what: 'correction' }
        pauseMs = BACKSPACE_MS
      }
      for (const [i, key] of [...slip.wanted].entries()) {
        yield { edit: [at + i, 0, key], pauseMs: pauseMs + rhythm(random, key), what: 'correction' }
        pauseMs = 0
      }
      end += slip.wanted.length - slip.typed.length
    }
    overlooked = []
  }
}

/** So many edits of somebody who types words that mean nothing: for tests that need edits and no text. */
export function typistEdits(count: number, seed: number): Edit[] {
  const edits: Edit[] = []
  // Each letter is an edit at least, so as many letters are enough.
  for (const { edit } of typeText(inventText(count, seed), seed)) {
    if (edits.length === count) break
    edits.push(edit)
  }
  return edits
}

/** Lines of words, at least `length` letters long. */
function inventText(length: number, seed: number): string {
  const random = prng.create(seed)
  let text = ''
  while (text.length < length) {
    const words = Array.from({ length: prng.int32(random, 1, LINE_WORDS_MAX) }, () =>
      prng.word(random, 1, WORD_LETTERS_MAX)
    )
    text += `${words.join(' ')}.\n`
  }
  return text
}

/** How the fingers go wrong at this letter; null when they don't. Only a to z slip. */
function slipAt(keys: readonly string[], at: number, random: prng.PRNG): Slip | null {
  const key = keys[at]
  const after = keys[at + 1]
  if (!isLetter(key) || prng.int32(random, 1, LETTERS_PER_SLIP) !== 1) return null
  switch (prng.oneOf(random, ['neighbour', 'neighbour', 'swapped', 'doubled', 'missed'] as const)) {
    case 'neighbour':
      return { typed: neighbour(key, random), wanted: key }
    case 'doubled':
      return { typed: key + key, wanted: key }
    case 'missed':
      return isLetter(after) ? { typed: after, wanted: key + after } : null
    case 'swapped':
      return isLetter(after) && after !== key ? { typed: after + key, wanted: key + after } : null
  }
}

/** The letters typed before a slip is noticed; never past the end of the line. */
function runOn(keys: readonly string[], from: number, random: prng.PRNG): string[] {
  const more = keys.slice(from, from + prng.int32(random, 0, RUN_ON_MAX))
  const end = more.findIndex(key => !isLetter(key) && key !== ' ')
  return end < 0 ? more : more.slice(0, end)
}

function neighbour(key: string, random: prng.PRNG): string {
  const row = ROWS.find(letters => letters.includes(key)) ?? key
  const at = row.indexOf(key)
  return prng.oneOf(random, [row[at - 1], row[at + 1]].filter(isLetter))
}

function isLetter(key: string | undefined): key is string {
  return key !== undefined && /^[a-z]$/.test(key)
}

/** The time before a key, in ms: steady within a word, longer where one thinks. */
function rhythm(random: prng.PRNG, key: string): number {
  const steady = prng.int32(random, 60, 180)
  if (key === '\n') return steady + 400
  if (/[.,;:!?(]/.test(key)) return steady + 120
  return key === ' ' ? steady + 40 : steady
}
