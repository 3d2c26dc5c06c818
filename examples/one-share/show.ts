/**
 * The show, act by act: Maya lends what she types, Ana and Ben follow, Ben is away for a while, Maya takes him out, Ana
 * reads on. Each line says what has happened, after it has; nothing is staged but the time.
 */
import { join } from 'node:path'
import { LendError, type LentShare, type Progress, previewInvite } from '@lend/client'
import * as Y from 'yjs'
import { type Cast, openCast, type Reader } from './cast.ts'
import { type Found, sampleLines, sampleRecords, search, weigh } from './disk.ts'
import { applyEdit } from './edit.ts'
import { bytes, Delays, duration, number } from './measure.ts'
import { Player } from './player.ts'
import { bar, inWords, rowOf } from './rows.ts'
import { oneRow, type Screen } from './screen.ts'
import type { Source } from './source.ts'

export interface Plan {
  readonly source: Source
  /** An empty folder. */
  readonly folder: string
  readonly kept: boolean
  /** How long Maya types; 0 for as fast as can be. */
  readonly ms: number
}

/** Until which part of the keys an act lasts, and which part of the time it gets. */
const FIRST_LINES = { keys: 0.05, time: 0.12 }
const ANA_FOLLOWS = { keys: 0.1, time: 0.08 }
const TOGETHER = { keys: 0.35, time: 0.22 }
const BEN_AWAY = { keys: 0.6, time: 0.18 }
const BEN_BACK = { keys: 0.85, time: 0.18 }
const NEXT_LINE = { keys: 0.95, time: 0.08 }
const WITHOUT_BEN = { keys: 1, time: 0.14 }

const ARRIVE_MS_MAX = 30_000
const QUOTE_MAX = 60

/** @returns whether every text was what it must be, and nothing was left where nothing may be */
export async function show(plan: Plan, screen: Screen): Promise<boolean> {
  const cast = await openCast(plan.folder, plan.source.title)
  try {
    return await new Show(plan, screen, cast).run()
  } finally {
    screen.rows(null)
    await cast.close()
  }
}

class Show {
  readonly #plan: Plan
  readonly #screen: Screen
  readonly #cast: Cast
  readonly #player: Player
  readonly #delays = new Delays()
  readonly #wrong: string[] = []
  #cursor = 0

  constructor(plan: Plan, screen: Screen, cast: Cast) {
    this.#plan = plan
    this.#screen = screen
    this.#cast = cast
    const { doc } = cast.share
    const text = doc.getText('text')
    this.#player = new Player(plan.source.keystrokes, edit => {
      applyEdit(text, edit)
      this.#cursor = edit[0] + edit[2].length
      this.#delays.typed(Y.getState(doc.store, doc.clientID))
    })
  }

  async run(): Promise<boolean> {
    const { ana, ben } = this.#cast
    this.#cast.trouble(sentence => this.#check(sentence, false))
    this.#opening()
    await this.#share()
    await this.#lend(ana)
    this.#tryToWrite(ana)
    await this.#play(ANA_FOLLOWS, { asPerson: true })
    await this.#lend(ben)
    this.#measure(ana)
    await this.#follow()
    await this.#benAway()
    const removal = await this.#takeBenOut()
    await this.#readOn()
    await this.#figures(removal)
    return this.#wrong.length === 0
  }

  // --- the acts ---

  #opening(): void {
    const { source, folder, kept } = this.#plan
    const { color } = this.#screen
    this.#screen.line(color.bold('Lend: one share, end to end'))
    this.#screen.line(
      `Maya types ${source.name}: ${number(source.keystrokes.length)} keys, slips and corrections included.`
    )
    this.#act('A relay and three accounts, in one process, over real sockets')
    this.#say(`the relay listens at ${this.#cast.relay.url} and keeps its store in ${join(folder, 'relay')}`)
    this.#say(
      `Maya, Ana and Ben have a folder each${kept ? '' : ' (all of it goes when this ends)'}; an account is a key, nobody signed up`
    )
  }

  async #share(): Promise<void> {
    this.#act('Maya makes a share and begins to type')
    this.#screen.rows(() => this.#rows())
    await this.#play(FIRST_LINES, { asPerson: true })
    this.#say(
      `${number(this.#player.played)} keys so far, ${this.#plan.ms === 0 ? 'without a pause' : 'at a person’s pace'}; ${inWords(this.#cast.share.status)}`
    )
  }

  /** Link, preview, acceptance, first sync. */
  async #lend(reader: Reader): Promise<void> {
    const { share } = this.#cast
    this.#act(`Maya invites ${reader.name}`)
    const invite = await share.invite({ name: reader.name })
    await share.synced()
    if (invite.link === null) throw new Error('the device that made an invite knows its link')
    this.#say(`the link is for one use: ${invite.link.slice(0, 40)}… (${invite.link.length} letters)`)
    const offer = await previewInvite(invite.link)
    this.#say(
      `${reader.name} looks before accepting: “${oneRow(offer.title)}”, lent by ${oneRow(offer.owner)}, until ${offer.until?.toDateString() ?? 'she takes it back'}`
    )
    const began = performance.now()
    const lent = await reader.accept(invite.link)
    await this.#firstSync(reader, lent, began)
    this.#say(`${reader.name} reads: “${this.#lastWords(lent)}”`)
  }

  #tryToWrite({ name, lent }: Reader): void {
    try {
      lent?.doc.getText('text').insert(0, 'I was here. ')
      this.#check(`${name} could write into what is only lent`, false)
    } catch (error) {
      if (!(error instanceof LendError)) throw error
      this.#say(`${name} tries to write into it: ${error.code}, and the text is as it was`)
    }
  }

  async #follow(): Promise<void> {
    this.#act('Both follow, in a time lapse')
    await this.#play(TOGETHER)
    this.#sayWhereTheyAre()
  }

  async #benAway(): Promise<void> {
    const { ben, share } = this.#cast
    this.#act('Ben’s device goes off')
    const had = lengthOf(ben.lent)
    await ben.close()
    this.#say(`he has ${number(had)} letters on his disk`)
    await this.#play(BEN_AWAY)
    this.#sayWhereTheyAre()
    this.#act('Ben’s device comes back, while Maya types on')
    const began = performance.now()
    const typing = this.#play(BEN_BACK)
    const lent = await ben.open()
    if (lent === null) throw new Error('Ben’s device has forgotten what is lent to it')
    this.#say(`${number(lengthOf(lent))} letters are there at once, from his disk; Maya has ${number(lengthOf(share))}`)
    await this.#firstSync(ben, lent, began)
    await typing
    this.#sayWhereTheyAre()
  }

  /** @returns ms from the relay's acknowledgement to the replica gone; null when it stayed */
  async #takeBenOut(): Promise<number | null> {
    const { ben, share } = this.#cast
    this.#act('Maya takes Ben out')
    await this.#play({ keys: this.#endOfLine() / this.#plan.source.keystrokes.length, time: 0 })
    await share.synced()
    const { lent } = ben
    if (lent === null) throw new Error('Ben follows')
    const now = share.doc.getText('text').toString()
    this.#check('Ben reads what Maya has written', await arrives(lent, text => text === now))
    const lines = sampleLines(now)
    const replica = ben.replicaOf(lent)
    const records = await sampleRecords(replica.folder)
    this.#sayDisk('before', await weigh(replica.folder), await weigh(replica.keyFile))
    this.#say(
      `a search of his whole folder finds ${await search(ben.folder, records)} of ${records.length} samples of his sealed ` +
        `replica, and ${await search(ben.folder, lines)} of ${lines.length} lines in clear`
    )

    const { ended, wiped, acknowledged } = await ben.takeOut(share, ARRIVE_MS_MAX)
    if (ended === null || wiped === null || acknowledged === null) {
      this.#check('Ben’s replica was wiped', false)
      return null
    }
    const [folder, keyFile] = [await weigh(replica.folder), await weigh(replica.keyFile)]
    this.#say(
      `the relay has acknowledged; Ben’s access ended ${fromThen(ended - acknowledged)}, his replica was gone ${fromThen(wiped - acknowledged)}`
    )
    this.#sayDisk('after', folder, keyFile)
    const found = { records: await search(ben.folder, records), lines: await search(ben.folder, lines) }
    this.#say(
      `the same search finds ${found.records} of ${records.length} samples, ${found.lines} of ${lines.length} lines`
    )
    this.#check('nothing of it is left on Ben’s disk', folder.files + keyFile.files + found.records + found.lines === 0)
    this.#say(`Maya has not typed since; her next line comes now`)
    return wiped - acknowledged
  }

  async #readOn(): Promise<void> {
    const { ana, ben, share } = this.#cast
    this.#act('Ana reads on')
    const refused = await ben.tryAgain()
    this.#say(`Ben opens his old link once more: ${refused ?? 'he is in'}`)
    this.#check('the old link lets nobody in', refused !== null)
    await this.#play(NEXT_LINE, { asPerson: true })
    await this.#play(WITHOUT_BEN)
    await share.synced()
    this.#say(`Maya has typed the last key; ${inWords(share.status)}`)
    const { text } = this.#plan.source
    const mayas = share.doc.getText('text').toString()
    this.#check('Maya’s text is the one she meant to type', text === null || mayas === text)
    if (ana.lent === null) throw new Error('Ana follows')
    this.#check('Ana’s text is Maya’s', await arrives(ana.lent, text => text === mayas))
  }

  async #figures(removalMs: number | null): Promise<void> {
    const { relay, share } = this.#cast
    const relayFolder = join(this.#plan.folder, 'relay')
    const lines = sampleLines(share.doc.getText('text').toString())
    const readable = await search(relayFolder, lines)
    this.#check('the relay can’t read the text', readable === 0)
    const stored = await weigh(relayFolder)
    const { played, typingMs } = this.#player
    const { count, p50Ms, p99Ms } = this.#delays.summary()
    this.#screen.rows(null)
    this.#act('What was measured')
    const pace = this.#plan.ms === 0 ? 'as fast as they were taken' : 'as she typed; --fast types without pauses'
    const figures = [
      ['letters', `${number(lengthOf(share))} in the end`],
      ['edits', `${number(played)} in ${duration(typingMs)}: ${number((played / typingMs) * 1000)}/s, ${pace}`],
      ['entries', `${number(relay.metrics().entriesTaken)} at the relay: edits of the same moment travel as one`],
      [
        'on its disk',
        `${bytes(stored.bytes)} in ${stored.files} files, ${readable} of ${lines.length} lines of the text in clear`
      ],
      ['edit → Ana', `p50 ${duration(p50Ms)}, p99 ${duration(p99Ms)}, of ${number(count)} letters; all in one process`],
      ['removal → wiped', removalMs === null ? 'never' : `${duration(removalMs)} after the relay’s acknowledgement`]
    ]
    for (const [what, figure] of figures) this.#say(`${(what ?? '').padEnd(16)} ${figure}`)
    const { color } = this.#screen
    this.#screen.line()
    const good = 'All is as it must be: the texts are the same, and nothing is left at Ben’s.'
    const bad = `Wrong: ${this.#wrong.join('; ')}.`
    this.#screen.line(this.#wrong.length === 0 ? color.green(good) : color.red(bad))
    if (this.#plan.kept) this.#screen.line(`Look around in ${this.#plan.folder}`)
  }

  // --- typing ---

  async #play(part: { keys: number; time: number }, o: { asPerson?: boolean } = {}): Promise<void> {
    const to = Math.round(part.keys * this.#plan.source.keystrokes.length)
    const ms = part.time * this.#plan.ms
    await this.#player.playTo(o.asPerson && ms > 0 ? Math.min(to, this.#player.reach(ms)) : to, ms)
  }

  /** The key after which the line is done and looked over; where the player is when no line ends soon. */
  #endOfLine(): number {
    const { keystrokes } = this.#plan.source
    const last = Math.round(NEXT_LINE.keys * keystrokes.length)
    let at = this.#player.played
    while (at < last && keystrokes[at - 1]?.edit[2] !== '\n') at++
    if (at === last) return this.#player.played
    while (keystrokes[at]?.what === 'correction') at++
    return at
  }

  // --- following ---

  #measure({ lent }: Reader): void {
    const writer = this.#cast.share.doc.clientID
    const doc = lent?.doc
    doc?.on('update', () => this.#delays.arrived(Y.getState(doc.store, writer)))
  }

  async #firstSync(reader: Reader, lent: LentShare, began: number): Promise<void> {
    let last: Progress | null = null
    const stop = lent.on('progress', progress => {
      last = progress
    })
    await lent.synced()
    stop()
    const { entries, bytes: read } = (last as Progress | null) ?? { entries: 0, bytes: 0 }
    this.#say(
      `${reader.name} has it all: ${number(entries)} entries, ${bytes(read)}, ${duration(performance.now() - began)}`
    )
  }

  #lastWords(lent: LentShare): string {
    const text = lent.doc.getText('text').toString().trimEnd()
    return oneRow(text.slice(-QUOTE_MAX)).trim()
  }

  // --- the screen ---

  #act(title: string): void {
    this.#screen.line()
    this.#screen.line(this.#screen.color.bold(title))
  }

  #say(sentence: string): void {
    this.#screen.line(`  ${sentence}`)
  }

  #check(what: string, holds: boolean): void {
    const { color } = this.#screen
    if (!holds) this.#wrong.push(what)
    this.#say(holds ? `${color.green('✓')} ${what}` : `${color.red('✗ not so:')} ${what}`)
  }

  #sayWhereTheyAre(): void {
    const { share, ana, ben } = this.#cast
    const readers = [ana, ben].map(({ name, lent }) => {
      if (lent === null) return `${name} is away`
      const behind = lengthOf(share) - lengthOf(lent)
      return `${name} has ${behind === 0 ? 'the same' : `${number(lengthOf(lent))}, the rest is on its way`}`
    })
    this.#say(`Maya’s text has ${number(lengthOf(share))} letters (${inWords(share.status)}); ${readers.join('; ')}`)
  }

  #sayDisk(when: string, folder: Found, keyFile: Found): void {
    const of = ({ files, bytes: size }: Found) => (files === 0 ? 'not there' : `${files} files, ${bytes(size)}`)
    this.#say(
      `Ben’s disk ${when}: his replica ${of(folder)}; its key ${keyFile.files === 0 ? 'not there' : bytes(keyFile.bytes)}`
    )
  }

  #rows(): string[] {
    const { share, ana, ben } = this.#cast
    const { lapse, played } = this.#player
    const length = lengthOf(share)
    const pace = lapse === 1 ? 'types' : lapse === Infinity ? 'types, no pause' : `types, ×${number(lapse)}`
    const upTo = (text: Y.Text) => text.toString().slice(0, this.#cursor)
    const reader = ({ name, lent, is }: Reader) => {
      const behind = lent === null ? 0 : length - lengthOf(lent)
      const note =
        lent === null
          ? ''
          : lent.status.state === 'synced'
            ? behind === 0
              ? 'up to date'
              : `${number(Math.abs(behind))} letters behind`
            : inWords(lent.status)
      return rowOf(this.#screen, {
        who: name,
        does: is,
        sees: lent === null ? '' : upTo(lent.doc.getText('text')),
        note
      })
    }
    return [
      '',
      rowOf(this.#screen, {
        who: 'Maya',
        does: pace,
        sees: upTo(share.doc.getText('text')),
        note: inWords(share.status)
      }),
      reader(ana),
      reader(ben),
      bar(this.#screen, played / this.#plan.source.keystrokes.length)
    ]
  }
}

function lengthOf(share: { readonly doc: Y.Doc } | null): number {
  return share === null ? 0 : share.doc.getText('text').length
}

/** Resolves with true as soon as the reader's text is right, with false when it never is. */
function arrives({ doc }: LentShare, isRight: (text: string) => boolean): Promise<boolean> {
  const text = doc.getText('text')
  return new Promise(done => {
    const stop = (right: boolean) => {
      clearTimeout(late)
      doc.off('update', look)
      done(right)
    }
    const late = setTimeout(() => stop(false), ARRIVE_MS_MAX)
    const look = () => {
      if (isRight(text.toString())) stop(true)
    }
    doc.on('update', look)
    look()
  })
}

function fromThen(ms: number): string {
  return ms < 0 ? `${duration(-ms)} before that` : `${duration(ms)} later`
}
