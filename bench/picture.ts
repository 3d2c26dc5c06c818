/** Pictures as SVG: bars for comparisons, lines for what changes over time or with size. */
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { format, type Spread } from './figures.ts'

export interface Bar extends Spread {
  readonly group: string
  readonly subject: string
  readonly isLend: boolean
}

const LEND = '#d9480f'
const FLOOR = '#adb5bd'
const INK = '#212529'
const WIDTH = 860
const MARGIN_TOP = 60

/** Bars side by side, a group below the other; a thin line from the lowest run to the highest. */
export function drawBars(o: { title: string; unit: string; bars: readonly Bar[] }): string {
  const groups = [...new Set(o.bars.map(({ group }) => group))]
  const subjects = [...new Set(o.bars.map(({ subject }) => subject))]
  const fill = ({ isLend }: Bar) => (isLend ? LEND : FLOOR)
  const place = { y: 'subject', fy: 'group' } as const
  return draw(o.title, {
    height: 90 + o.bars.length * 26 + groups.length * 14,
    marginLeft: 250,
    marginRight: 90,
    x: { label: o.unit, grid: true, tickFormat: format, nice: true },
    y: { label: null, domain: subjects, tickSize: 0 },
    fy: { label: null, domain: groups, axis: null, padding: 0.12 },
    marks: [
      Plot.barX(o.bars, { ...place, x: 'median', fill }),
      Plot.ruleY(o.bars, { ...place, x1: 'low', x2: 'high', stroke: INK }),
      Plot.text(o.bars, {
        ...place,
        x: 'high',
        text: bar => format(bar.median),
        textAnchor: 'start',
        dx: 5,
        fill: INK
      }),
      Plot.text(groups, {
        fy: group => group,
        text: group => group,
        frameAnchor: 'top-left',
        dx: -245,
        dy: -12,
        fontWeight: 'bold'
      })
    ]
  })
}

export interface Dot {
  readonly x: number
  readonly y: number
  readonly series: string
}

export function drawLines(o: {
  title: string
  x: string
  y: string
  dots: readonly Dot[]
  /** Where something happens. */
  events?: readonly { readonly x: number; readonly text: string }[]
}): string {
  const events = o.events ?? []
  const series = [...new Set(o.dots.map(dot => dot.series))]
  // Each line is named at another part of its way, so that names don't meet.
  const names = series.flatMap((name, i) => {
    const dots = o.dots.filter(dot => dot.series === name)
    return dots[Math.floor((dots.length * (i + 1)) / (series.length + 1))] ?? []
  })
  const place = { x: 'x', y: 'y' } as const
  return draw(o.title, {
    height: 360,
    marginLeft: 70,
    marginTop: 70,
    x: { label: o.x },
    y: { label: o.y, grid: true, zero: true },
    color: { domain: series, range: [LEND, '#495057', '#1971c2', FLOOR] },
    marks: [
      Plot.ruleY([0]),
      Plot.ruleX(events, { x: 'x', stroke: INK, strokeDasharray: '3 3' }),
      Plot.text(events, { x: 'x', text: 'text', frameAnchor: 'top', textAnchor: 'end', dx: -4, dy: 4 }),
      Plot.lineY(o.dots, { ...place, stroke: 'series', strokeWidth: 2 }),
      Plot.text(names, {
        ...place,
        text: 'series',
        fill: 'series',
        stroke: 'white',
        textAnchor: 'start',
        dx: 8,
        dy: -8
      })
    ]
  })
}

function draw(title: string, options: Plot.PlotOptions): string {
  const { document } = parseHTML('<html><body></body></html>')
  const heading = Plot.text([title], {
    facet: 'super',
    frameAnchor: 'top-left',
    dx: 8 - (options.marginLeft ?? 0),
    dy: 22 - (options.marginTop ?? MARGIN_TOP),
    fontSize: 15,
    fontWeight: 'bold'
  })
  const svg = Plot.plot({
    document,
    width: WIDTH,
    marginTop: MARGIN_TOP,
    marginBottom: 45,
    style: { fontFamily: 'system-ui, sans-serif', fontSize: '12px', color: INK, background: '#ffffff' },
    ...options,
    marks: [...(options.marks ?? []), heading]
  })
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  return `${svg.outerHTML}\n`
}
