/** Edits at random under a seed, in every type of Yjs. */
import * as Y from 'yjs'

export type Dice = (below: number) => number

/** mulberry32 */
export function dice(seed: number): Dice {
  let state = seed
  return below => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

const words = ['a', 'some words ', '\u{1f600}', 'x\u{1f468}\u{1f469}y']
const attributes = [{ bold: true }, { bold: null }, { em: {} }, { em: null, bold: true }]

/** One edit at random, somewhere in the document; now and then one that changes nothing. */
export function edit(doc: Y.Doc, roll: Dice): void {
  const types: unknown[] = [doc.getMap('map'), doc.getArray('array'), doc.getText('text'), doc.getXmlFragment('xml')]
  for (const [, structs] of [...doc.store.clients].sort(([a], [b]) => a - b)) {
    for (const struct of structs) {
      if (!(struct instanceof Y.Item) || struct.deleted || !(struct.content instanceof Y.ContentType)) continue
      types.push(struct.content.type)
    }
  }
  const type = types[roll(types.length)]
  const value = (): unknown => {
    const text = new Y.Text(words[roll(words.length)])
    return [
      roll(100),
      { n: roll(9) },
      new Uint8Array([roll(9)]),
      text,
      new Y.Map([['a', 1]]),
      Y.Array.from([1, 2, 3]),
      new Y.Doc()
    ][roll(7)]
  }
  const word = words[roll(words.length)] ?? ''
  const key = `k${roll(4)}`
  if (type instanceof Y.Text) {
    const at = roll(type.length + 1)
    const length = roll(type.length - at + 1)
    const verb = roll(7)
    if (verb < 2) type.insert(at, word)
    else if (verb === 2) type.insert(at, word, { bold: true })
    else if (verb === 3 && type.length > 0) type.delete(at, Math.min(length, 6))
    else if (verb === 4) type.format(at, length, { ...attributes[roll(4)] })
    else if (verb === 5) type.insertEmbed(at, { image: word })
    else type.setAttribute(key, word)
  } else if (type instanceof Y.Map) {
    if (roll(4) === 0) type.delete(key)
    else type.set(key, value())
  } else if (type instanceof Y.Array) {
    const at = roll(type.length + 1)
    if (roll(3) === 0) type.delete(at, Math.min(roll(4), type.length - at))
    else type.insert(at, [value(), roll(9), roll(9)])
  } else if (type instanceof Y.XmlElement && roll(2) === 0) {
    type.setAttribute(key, word)
  } else if (type instanceof Y.XmlFragment) {
    const at = roll(type.length + 1)
    if (roll(3) === 0) type.delete(at, Math.min(roll(3), type.length - at))
    else type.insert(at, [roll(2) === 0 ? new Y.XmlText(word) : new Y.XmlElement('p')])
  }
}
