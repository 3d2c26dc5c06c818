/** One change to a text, the only form in which typist and trace speak to the rest. */
import type * as Y from 'yjs'

/** [position, how much is deleted there, what is inserted there]; in UTF-16 units, as JavaScript and Yjs count. */
export type Edit = readonly [position: number, deleted: number, inserted: string]

/** Makes the change; deletion and insertion are one change for whoever follows. */
export function applyEdit(text: Y.Text, [position, deleted, inserted]: Edit): void {
  const apply = () => {
    if (deleted > 0) text.delete(position, deleted)
    if (inserted !== '') text.insert(position, inserted)
  }
  if (text.doc) text.doc.transact(apply)
  else apply()
}
