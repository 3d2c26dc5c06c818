/**
 * How long after the relay's acknowledgement is a removed member cut off, and its replica gone from its disk?
 *
 * Owner and member are real clients, the other members light ones that read along; each of the three in its own process. No system to compare with: none
 * takes anything back.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RemovalMember } from '../clients/removal-member.ts'
import type { RemovalOwner } from '../clients/removal-owner.ts'
import { percentile } from '../figures.ts'
import { startPart } from '../part.ts'
import { drawLines } from '../picture.ts'
import type { Question } from '../question.ts'
import type { LendServer } from '../servers/lend.ts'

/** What one removal took, in ms. All but the last count from the relay's acknowledgement, as it arrives at the owner. */
interface Took {
  readonly cutMs: number
  readonly toldMs: number
  readonly wipedMs: number
  readonly actMs: number
}

const STEPS: readonly { readonly subject: string; readonly figure: keyof Took }[] = [
  { subject: 'last frame at the member', figure: 'cutMs' },
  { subject: 'all other members know', figure: 'toldMs' },
  { subject: 'wiped from its disk', figure: 'wipedMs' },
  { subject: 'from the owner’s act to wiped', figure: 'actMs' }
]

/** What is promised of 99 in 100. */
const WIPED_MS_MAX = 250

export const removal: Question = {
  name: 'removal',
  title: 'Taking back: from the relay’s acknowledgement of a removal',
  floor: '',
  columns: [
    { figure: 'p50', title: 'p50 ms' },
    { figure: 'p99', title: 'p99 ms' },
    { figure: 'max', title: 'max ms' }
  ],

  async *measure(run, { quick, profile, log }) {
    const members = quick ? 10 : 100
    const removals = quick ? 10 : 100
    log(`one member of ${members}, ${removals} times`)
    const folder = await mkdtemp(join(tmpdir(), 'lend-bench-'))
    const server = await startPart<LendServer>(new URL('../servers/lend.ts', import.meta.url), { profile })
    const { url } = await server.call('start', { data: join(folder, 'relay') })
    const owner = await startPart<RemovalOwner>(new URL('../clients/removal-owner.ts', import.meta.url))
    const startMembers = () => startPart<RemovalMember>(new URL('../clients/removal-member.ts', import.meta.url))
    const [member, others] = [await startMembers(), await startMembers()]
    await owner.call('open', { url, path: folder })
    const { account } = await member.call('open', { url, path: join(folder, 'ben') })
    await others.call('join', { link: await owner.call('invite', { uses: members }), members: members - 1 })
    const all: Took[] = []
    while (all.length < removals) {
      await member.call('accept', { link: await owner.call('invite', { uses: 1 }) })
      const [{ actedMs, acknowledgedMs }, gone] = await Promise.all([
        owner.call('remove', { account }),
        member.call('gone', {})
      ])
      if (!gone) throw new Error('the member was not in')
      all.push({
        cutMs: gone.cutMs - acknowledgedMs,
        toldMs: (await others.call('told', {})) - acknowledgedMs,
        wipedMs: gone.wipedMs - acknowledgedMs,
        actMs: gone.wipedMs - actedMs
      })
    }
    for (const { subject, figure } of STEPS) {
      const times = all.map(one => one[figure])
      const figures = { p50: percentile(times, 0.5), p99: percentile(times, 0.99), max: Math.max(...times) }
      yield { run, case: `One member of ${members}, ${removals} removals`, subject, figures }
    }
    for (const one of all) yield { run, case: '', subject: 'removal', figures: { ...one } }
    await Promise.all([owner, member, others].map(part => part.end()))
    await server.end()
    await rm(folder, { recursive: true, force: true })
  },

  broken(measures) {
    const wiped = measures.filter(({ subject }) => subject === 'wiped from its disk')
    return wiped.flatMap(({ run, figures }) =>
      (figures.p99 ?? Number.POSITIVE_INFINITY) < WIPED_MS_MAX
        ? []
        : [`run ${run}: p99 until wiped is ${figures.p99} ms, promised are ${WIPED_MS_MAX} ms`]
    )
  },

  draw(measures) {
    const removals = measures.filter(({ subject }) => subject === 'removal')
    const dots = STEPS.filter(({ figure }) => figure === 'cutMs' || figure === 'wipedMs').flatMap(
      ({ subject, figure }) => {
        const times = removals.map(({ figures }) => figures[figure] ?? 0).sort((a, b) => a - b)
        return times.map((time, i) => ({ x: time, y: ((i + 1) / times.length) * 100, series: subject }))
      }
    )
    return drawLines({
      title: 'How many removals are done after how long',
      x: 'ms after the relay’s acknowledgement',
      y: '%',
      dots
    })
  }
}
