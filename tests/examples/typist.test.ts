/** The typist is a person with a seed: what comes out is the text, and how it comes is the same every time. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import * as Y from 'yjs'
import { applyEdit, type Edit } from '../../examples/one-share/edit.ts'
import { type Keystroke, typeText, typistEdits } from '../../examples/one-share/typist.ts'

const LINE = 'The quick brown fox jumps over the lazy dog, again and again; nobody knows why it does.\n'
const TEXT = LINE.repeat(40)

const typist = suite('typist')

typist('makes the same edits of the same text and seed', () => {
  assert.equal([...typeText(TEXT, 7)], [...typeText(TEXT, 7)])
  assert.equal(typistEdits(3000, 7), typistEdits(3000, 7))
})

typist('makes other edits with another seed', () => {
  assert.not.equal([...typeText(TEXT, 7)], [...typeText(TEXT, 8)])
  assert.not.equal(typistEdits(3000, 7), typistEdits(3000, 8))
})

typist('ends with exactly the text, whatever slipped', () => {
  for (let seed = 0; seed < 50; seed++) assert.is(textAfter(editsOf(typeText(TEXT, seed))), TEXT)
})

typist('ends with exactly the text when it has no letters, no lines, or letters of other scripts', () => {
  for (const text of [
    '',
    'a',
    '\n\n',
    '1234',
    'ab',
    'no end of line',
    'größer 👋🏽 日本語 e\u0301\r\n',
    'x'.repeat(500)
  ]) {
    for (let seed = 0; seed < 20; seed++) assert.is(textAfter(editsOf(typeText(text, seed))), text)
  }
})

typist('never leaves half of a surrogate pair in the text', () => {
  const text = new Y.Doc().getText('text')
  for (const { edit } of typeText('👋 hello 🌍 world 🎉\n'.repeat(30), 3)) {
    applyEdit(text, edit)
    assert.not.match(text.toString(), /\p{Surrogate}/u)
  }
})

typist('slips about once in thirty letters, and corrects what slipped', () => {
  const strokes = [...typeText(TEXT, 1)]
  const slips = count(strokes, 'slip')
  assert.ok(slips > TEXT.length / 60 && slips < TEXT.length / 10, `${slips} slips in ${TEXT.length} letters`)
  assert.ok(count(strokes, 'correction') >= slips)
  assert.ok(strokes.some(({ what, edit: [, deleted] }) => what === 'correction' && deleted === 1))
})

typist('sees some slips only when the line is done, and goes back for them', () => {
  const strokes = [...typeText(TEXT, 1)]
  const back = strokes.filter(({ edit: [position, , inserted] }, i) => {
    const before = strokes[i - 1]?.edit
    return before !== undefined && inserted === '' && before[0] - position > 10
  })
  assert.ok(back.length > 0)
})

typist('pauses before every key like a person', () => {
  for (const { pauseMs } of typeText(TEXT, 1)) assert.ok(pauseMs >= 60 && pauseMs <= 1000, `${pauseMs} ms`)
})

typist('makes as many edits as are asked for, each within the text as it is by then', () => {
  for (const wanted of [0, 1, 100, 20_000]) {
    const edits = typistEdits(wanted, 5)
    assert.is(edits.length, wanted)
    let length = 0
    for (const [position, deleted, inserted] of edits) {
      assert.ok(position + deleted <= length)
      length += inserted.length - deleted
    }
  }
})

typist.run()

function editsOf(strokes: Iterable<Keystroke>): Edit[] {
  return [...strokes].map(({ edit }) => edit)
}

function textAfter(edits: readonly Edit[]): string {
  const text = new Y.Doc().getText('text')
  for (const edit of edits) applyEdit(text, edit)
  return text.toString()
}

function count(strokes: readonly Keystroke[], what: Keystroke['what']): number {
  return strokes.filter(stroke => stroke.what === what).length
}
