/**
 * A large library: how long until an app can list it, what does it hold in memory, and what do lending a further item and
 * taking one of many members out cost?
 *
 * The owner is the real client, each start in a process of its own; members are light ones. What starts are compared with
 * is the start of an account that has nothing.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LibraryOwner, Opened } from '../clients/library-owner.ts'
import type { RemovalMember } from '../clients/removal-member.ts'
import { percentile } from '../figures.ts'
import { type Part, startPart, type Usage } from '../part.ts'
import { drawBars } from '../picture.ts'
import type { Measure, Question } from '../question.ts'
import type { LendServer } from '../servers/lend.ts'

const MB = 1024 * 1024
const EMPTY = 'start of an empty account'
const SHARES_ITEMS = 5
/** What is promised of taking one of a hundred members out. */
const ROTATION_MS_MAX = 50
/** A library of any size is there in well under a second; whatever the shares, a start opens one database. */
const START_MS_MAX = 1000
const ROTATION_BYTES_MAX = 50 * 1024

export const library: Question = {
  name: 'library',
  title: 'A large library',
  floor: EMPTY,
  columns: [
    { figure: 'ms', title: 'ms', ratio: true },
    { figure: 'p99', title: 'p99 ms' },
    { figure: 'rss', title: 'RSS MB', ratio: true },
    { figure: 'own', title: 'without mapped files MB' },
    { figure: 'databases', title: 'databases opened' },
    { figure: 'bytes', title: 'bytes' }
  ],

  async *measure(run, { quick, log }) {
    const items = quick ? 200 : 10_000
    const shares = quick ? 5 : 200
    const members = quick ? 10 : 100
    const rounds = quick ? 3 : 20
    const folder = await mkdtemp(join(tmpdir(), 'lend-bench-'))
    const server = await startPart<LendServer>(new URL('../servers/lend.ts', import.meta.url))
    const { url } = await server.call('start', { data: join(folder, 'relay') })
    const start = async (name: string) => {
      const owner = await startPart<LibraryOwner>(new URL('../clients/library-owner.ts', import.meta.url))
      return { owner, opened: await owner.call('open', { url, path: join(folder, name) }) }
    }
    const of = (title: string, subject: string, figures: Measure['figures']) => ({ run, case: title, subject, figures })

    const made = await start('empty')
    await made.owner.call('synced', {})
    await made.owner.end()

    const title = `${items} items`
    log(`library: making ${title}`)
    const { owner: first } = await start('maya')
    yield of(title, `making one of them, saved here`, { ms: (await first.call('fill', { items })) / items })
    yield of(title, 'until the relay has all of them', { ms: await first.call('synced', {}) })
    await first.end()

    const bare = await start('empty')
    yield of(title, EMPTY, started(bare.opened))
    await bare.owner.end()
    const second = await start('maya')
    yield of(title, `start with ${title}`, started(second.opened))
    const touched = await second.owner.call('touch', { items })
    yield of(title, 'each opened and closed once', { ms: touched.ms, ...sizes(touched.usage) })

    const lent = `${items} items, ${shares} shares of ${SHARES_ITEMS}, one with ${members} members`
    log(`library: ${lent}`)
    const lentMs = await second.owner.call('lend', { shares, items: SHARES_ITEMS })
    yield of(lent, 'making one share, saved here', { ms: lentMs / shares })
    yield of(lent, 'until the relay has all of them', { ms: await second.owner.call('synced', {}) })
    const others = await startPart<RemovalMember>(new URL('../clients/removal-member.ts', import.meta.url))
    await others.call('join', { link: await second.owner.call('invite', { uses: members }), members })
    await second.owner.call('members', { count: members })
    yield* rotations(second.owner, members - rounds, rounds, of, lent)
    await second.owner.end()
    await others.end()

    const again = await start('empty')
    yield of(lent, EMPTY, started(again.opened))
    await again.owner.end()
    const third = await start('maya')
    yield of(lent, `start with ${shares} shares`, started(third.opened))
    await third.owner.end()
    await server.end()
    await rm(folder, { recursive: true, force: true })
  },

  broken(measures) {
    const starts = measures.filter(({ subject }) => /^start with/.test(subject))
    const slow = starts.flatMap(({ run, subject, figures: { ms = Number.NaN, databases } }) =>
      (ms < START_MS_MAX || !subject.endsWith('items')) && databases === 1
        ? []
        : [`run ${run}: ${subject} took ${ms} ms and ${databases} databases`]
    )
    const rotations = measures.filter(({ subject }) => subject.includes('its entry made and sent'))
    const rotated = rotations.flatMap(({ run, figures: { ms = Number.NaN, bytes = Number.NaN } }) =>
      ms < ROTATION_MS_MAX && bytes < ROTATION_BYTES_MAX
        ? []
        : [`run ${run}: a rotation took ${ms} ms and ${bytes} bytes, promised are ${ROTATION_MS_MAX} ms and 50 KB`]
    )
    return [...slow, ...rotated]
  },

  draw(measures) {
    const starts = measures.filter(({ subject }) => subject.startsWith('start'))
    const bars = starts
      .filter(({ run }) => run === 1)
      .map(({ case: group, subject }) => {
        const all = starts.filter(one => one.case === group && one.subject === subject)
        const times = all.map(({ figures }) => figures.ms ?? 0)
        const [median, low, high] = [percentile(times, 0.5), Math.min(...times), Math.max(...times)]
        return { group, subject, median, low, high, isLend: subject !== EMPTY }
      })
    return drawBars({ title: 'Until an app can list it', unit: 'ms', bars })
  }
}

async function* rotations(
  owner: Part<LibraryOwner>,
  left: number,
  rounds: number,
  of: (title: string, subject: string, figures: Measure['figures']) => Measure,
  title: string
): AsyncIterable<Measure> {
  const chosen = []
  for (let at = 0; at < rounds; at++) {
    for (const isIn of [true, false]) {
      chosen.push({ isIn, ...(await owner.call('select', { at: SHARES_ITEMS + at, isIn })) })
    }
  }
  for (const isIn of [true, false]) {
    const times = chosen.filter(one => one.isIn === isIn)
    const what = isIn ? 'selecting a further item' : 'taking it back out of the share'
    for (const [part, values] of [
      ['saved here', times.map(({ savedMs }) => savedMs)],
      ['at the relay', times.map(({ syncedMs }) => syncedMs)]
    ] as const) {
      yield of(title, `${what}, ${part}`, { ms: percentile(values, 0.5), p99: percentile(values, 0.99) })
    }
  }
  const removed = []
  for (let i = 0; i < rounds; i++) removed.push(await owner.call('remove', {}))
  const sent = removed.map(({ sentMs }) => sentMs)
  const done = removed.map(({ doneMs }) => doneMs)
  yield of(title, `removing one of ${left + rounds} to ${left + 1}: its entry made and sent`, {
    ms: percentile(sent, 0.5),
    p99: percentile(sent, 0.99),
    bytes: Math.max(...removed.map(({ entryBytes }) => entryBytes))
  })
  yield of(title, 'removing one: at the relay', { ms: percentile(done, 0.5), p99: percentile(done, 0.99) })
}

function started({ ms, databases, usage }: Opened): Measure['figures'] {
  return { ms, databases, ...sizes(usage) }
}

function sizes({ rssBytes, anonymousBytes }: Usage): { rss: number; own: number } {
  return { rss: rssBytes / MB, own: anonymousBytes / MB }
}
