/** A device that dies for ever once the library has its edit and before any share has it: another brings it there. */
import type { Item, LentShare, Share } from '@lend/client'
import { type LogId, logId, same } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { follow, type Household, household, until } from './household.ts'
import { isAbout } from './lossy-line.ts'
import { devicesOf, type Machine, startAnew, whileTimeMoves } from './machines.ts'
import { entriesOf } from './relay-log.ts'
import { movableTime } from './worlds.ts'

const dead = suite('a dead device')

interface Scene {
  readonly phone: Machine
  readonly share: Share
  /** In the share, and not in it. */
  readonly door: Item
  readonly gate: Item
  readonly lent: LentShare
}

/** The last thing that the phone did, and what the member waits for. */
interface Last {
  readonly does: string
  readonly edit: (scene: Scene) => Promise<unknown>
  readonly arrives: (lent: LentShare) => Promise<unknown>
}

const lasts: readonly Last[] = [
  {
    does: 'edits an item',
    edit: async ({ phone, door }) => (await phone.account.library.open(door)).getMap('camera').set('zoom', 2),
    arrives: lent => zoomOf(lent, 'Door', 2)
  },
  {
    does: 'selects an item',
    edit: ({ share, gate }) => share.select(gate),
    arrives: lent => zoomOf(lent, 'Gate', 1)
  },
  {
    does: 'unselects an item',
    edit: ({ share, door }) => share.unselect(door),
    arrives: lent => until(lent, () => lent.items.length === 0)
  },
  {
    does: 'removes an item',
    edit: ({ phone, door }) => phone.account.library.remove(door),
    arrives: lent => until(lent, () => lent.items.length === 0)
  }
]

async function zoomOf(lent: LentShare, name: string, zoom: number): Promise<void> {
  const copy = await until(lent, () => lent.items.find(item => item.name === name))
  const doc = await lent.open(copy)
  await until(doc, () => doc.getMap('camera').get('zoom') === zoom)
}

for (const last of lasts) {
  for (const [where, isThere] of [
    ['that is there', true],
    ['that comes later', false]
  ] as const) {
    dead(
      `of a device that ${last.does} and dies, the share hears by another ${where}`,
      household(house => die(house, last, isThere))
    )
  }
}

async function die(house: Household, last: Last, isThere: boolean): Promise<void> {
  const time = movableTime()
  const [phone, laptop] = await devicesOf(house, time, 'Maya', ['phone', 'laptop'])
  assert.ok(laptop)
  const { library } = phone.account
  const door = await library.add('camera', { name: 'Door', zoom: 1 })
  const gate = await library.add('camera', { name: 'Gate', zoom: 1 })
  const share = await phone.account.share({ title: 'House', items: [door] })
  const lent = await follow(share, await house.person('Ben'))
  await until(laptop.account, () => laptop.account.shares[0]?.items.length === 1)
  await whileTimeMoves(time, () => Promise.all([phone.account.synced(), laptop.account.synced()]))
  await startAnew(house, laptop)
  if (!isThere) laptop.line.cut()
  else await laptop.account.synced()

  await dieAfter(phone, share.id, () => last.edit({ phone, share, door, gate, lent }))
  laptop.line.mend()
  await whileTimeMoves(time, () => last.arrives(lent))
  const mine = laptop.account.devices.find(({ isThis }) => isThis)
  await laptop.account.synced()
  await Promise.all([laptop.account.close(), house.stopRelay()])
  const entries = (await entriesOf(house.relayFolder, share.id)).map(({ entry }) => entry)
  const news = entries.slice(entries.findIndex(({ author }) => mine && same(author, mine.id)))
  assert.ok(news.some(({ kind }) => kind !== 'access') && news.every(({ author }) => mine && same(author, mine.id)))
}

/** Its line ends with the relay's word that the library has the edit; nothing of it got to the share. */
async function dieAfter({ account, line }: Machine, share: LogId, edit: () => Promise<unknown>): Promise<void> {
  const died = new Promise<void>(resolve => {
    line.judge = frame => {
      if (frame.type === 'append' && same(frame.log, share)) return 'lose'
      if (frame.type !== 'ack' || !isAbout(frame, logId(account.id))) return 'pass'
      resolve()
      return 'last'
    }
  })
  await edit()
  await died
  line.cut()
  await account.close()
}

dead.run()
