/** Tables for the terminal. */
import { markdownTable } from 'markdown-table'
import { format, groupBy, spreadOf } from './figures.ts'
import type { Column, Measure, Question } from './question.ts'

/** One table for each case: the median of all runs, their spread, and the ratio to the floor of the same run. */
export function tablesOf({ columns, floor }: Question, measures: readonly Measure[]): string {
  // What has no case is for the picture.
  return [
    ...groupBy(
      measures.filter(one => one.case !== ''),
      one => one.case
    )
  ]
    .map(([title, of]) => {
      const shown = columns.filter(({ figure }) => of.some(({ figures }) => figure in figures))
      const floors = new Map(of.filter(({ subject }) => subject === floor).map(one => [one.run, one]))
      const rows = [...groupBy(of, one => one.subject)].map(([subject, runs]) => [
        subject,
        ...shown.map(column => cell(column, runs, floors))
      ])
      const head = ['', ...shown.map(column => column.title)]
      return `${title}\n\n${markdownTable([head, ...rows], { align: ['l', ...shown.map(() => 'r')], stringLength: width })}`
    })
    .join('\n\n')
}

function cell({ figure, ratio }: Column, runs: readonly Measure[], floors: ReadonlyMap<number, Measure>): string {
  const values = runs.flatMap(({ figures }) => figures[figure] ?? [])
  if (values.length === 0) return ''
  const { median, low, high } = spreadOf(values)
  const text = values.length > 1 ? `${format(median)} (${format(low)}–${format(high)})` : format(median)
  const ratios = runs.flatMap(({ run, figures }) => {
    const floor = floors.get(run)?.figures[figure]
    const value = figures[figure]
    return floor !== undefined && value !== undefined && floor > 0 ? [value / floor] : []
  })
  return ratio && ratios.length > 0 ? `${text} ×${format(spreadOf(ratios).median)}` : text
}

/** Cells hold no wide characters. */
function width(text: string): number {
  return text.length
}
