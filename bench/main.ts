/**
 * How fast is it, beside the floor of the same run?
 *
 *   npm run bench                         all questions
 *   npm run bench -- fan-out ingest       some
 *
 *   --runs N        how often each is measured; tables show the median and (lowest–highest)
 *   --seconds N     how long each case is measured
 *   --readers A,B   fan-out: how many readers (10,100,1000)
 *   --only TEXT     only subjects that have this in their name
 *   --profile DIR   CPU profiles of the relay, to open in a browser's developer tools
 *   --quick         small amounts, to see that a bench works
 *
 * A question is one file in questions/: it measures the floor and Lend in turn, each server in a process of its own and its
 * clients in another, and draws its picture in docs/pictures/bench-QUESTION.svg. servers/ and clients/ are the parts that
 * run there; a system to compare with is one file in each. Each measure is a line of JSON in
 * bench/results/QUESTION.jsonl, which is not in git: results belong to a machine.
 *
 * "×" is the ratio to the floor of the same run, median over the runs. Clients are light: they decode what they get and
 * verify nothing, so that the server is what is measured; lines named "real client" are @lend/client, which does all of
 * it. What Lend sends was sealed and signed before.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { machine } from './part.ts'
import type { Measure, Question, Setup } from './question.ts'
import { fanOut } from './questions/fan-out.ts'
import { ingest } from './questions/ingest.ts'
import { library } from './questions/library.ts'
import { memory } from './questions/memory.ts'
import { removal } from './questions/removal.ts'
import { tablesOf } from './report.ts'

const QUESTIONS: readonly Question[] = [fanOut, ingest, memory, removal, library]
const RESULTS = join(import.meta.dirname, 'results')
const PICTURES = join(import.meta.dirname, '../docs/pictures')

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string' },
    seconds: { type: 'string' },
    readers: { type: 'string' },
    only: { type: 'string', default: '' },
    profile: { type: 'string' },
    quick: { type: 'boolean', default: false }
  }
})

const unknown = positionals.filter(name => !QUESTIONS.some(question => question.name === name))
if (unknown.length > 0) {
  console.error(`no question ${unknown.join(', ')}; there are ${QUESTIONS.map(({ name }) => name).join(', ')}`)
  process.exit(2)
}

const setup: Setup = {
  runs: Number(values.runs ?? (values.quick ? 1 : 3)),
  seconds: Number(values.seconds ?? (values.quick ? 1 : 5)),
  readers: (values.readers ?? (values.quick ? '10' : '10,100')).split(',').map(Number),
  only: values.only,
  profile: values.profile,
  quick: values.quick,
  log: line => console.error(`  ${line}`)
}

console.log(`${machine()}, load ${load()}\n`)
for (const question of QUESTIONS) {
  if (positionals.length === 0 || positionals.includes(question.name)) await answer(question)
}

async function answer(question: Question): Promise<void> {
  const measures: Measure[] = []
  const before = load()
  for (let run = 1; run <= setup.runs; run++) {
    setup.log(`${question.name}: run ${run} of ${setup.runs}`)
    for await (const measure of question.measure(run, setup)) measures.push(measure)
  }
  console.log(`## ${question.title}\n\n${tablesOf(question, measures)}\n\nload ${before} before, ${load()} after\n`)
  for (const sentence of question.broken?.(measures) ?? []) {
    console.log(`BROKEN ${sentence}\n`)
    process.exitCode = 1
  }
  // What was measured in part is no answer.
  if (values.quick || values.only !== '' || values.profile !== undefined) return
  await mkdir(RESULTS, { recursive: true })
  const about = { machine: machine(), command: process.argv.slice(2).join(' '), load: [before, load()] }
  const lines = [about, ...measures].map(one => JSON.stringify(one))
  await writeFile(join(RESULTS, `${question.name}.jsonl`), `${lines.join('\n')}\n`)
  await mkdir(PICTURES, { recursive: true })
  await writeFile(join(PICTURES, `bench-${question.name}.svg`), question.draw(measures))
}

function load(): string {
  return loadavg()
    .map(average => average.toFixed(1))
    .join(' ')
}
