/** Several devices of one account, each with a folder and a line of its own, on time that a test can move on. */
import { type Account, openAccount, pairDevice } from '@lend/client'
import { type Household, until } from './household.ts'
import { type OwnLine, ownLine } from './own-line.ts'
import type { MovableTime } from './worlds.ts'

/** One device of somebody. */
export interface Machine {
  readonly name: string
  readonly line: OwnLine
  account: Account
}

const REST_MS_MAX = 20_000

/** A first device, and the others that it pairs. */
export async function devicesOf(
  house: Household,
  time: MovableTime,
  person: string,
  names: readonly [string, ...string[]]
): Promise<[Machine, ...Machine[]]> {
  const [first, ...others] = names
  const line = ownLine(time.world)
  const account = house.keep(
    await openAccount({ path: house.folder(first), relay: house.relay.url, name: person, world: line.world })
  )
  const machines: [Machine, ...Machine[]] = [{ name: first, line, account }]
  await account.synced()
  for (const name of others) machines.push(await pairWith(house, time, machines[0], name))
  return machines
}

/** Makes a device of the account by a link of this one. */
export async function pairWith(
  house: Household,
  time: MovableTime,
  { account }: Machine,
  name: string
): Promise<Machine> {
  const invite = await account.inviteDevice()
  await until(account, () => invite.state === 'open')
  const line = ownLine(time.world)
  const o = { path: house.folder(name), device: name, world: line.world }
  return { name, line, account: house.keep(await pairDevice(invite.link ?? '', o)) }
}

/** Closes it, and opens it from its disk. */
export async function startAnew(house: Household, machine: Machine): Promise<void> {
  await machine.account.close()
  machine.account = house.keep(await openAccount({ path: house.folder(machine.name), world: machine.line.world }))
}

/** Mends all lines, and waits until nobody has anything to say any more. */
export async function comeToRest(time: MovableTime, machines: readonly Machine[]): Promise<void> {
  for (const { line } of machines) line.mend()
  const synced = async ({ name, account }: Machine) => {
    try {
      await account.synced({ signal: AbortSignal.timeout(REST_MS_MAX) })
    } catch (error) {
      const logs = [account.library, ...account.shares, ...account.sharedWithMe]
      const says = logs.map(({ status }) => JSON.stringify(status)).join()
      throw new Error(`${name} does not come to rest: ${says}`, { cause: error })
    }
  }
  await whileTimeMoves(time, async () => {
    for (let round = 0; round < 4; round++) {
      await Promise.all(machines.map(synced))
      time.moveOn(150_000)
    }
  })
}

/** Time goes fast meanwhile: what waits for its turn has it. */
export async function whileTimeMoves<T>(time: MovableTime, run: () => Promise<T>): Promise<T> {
  const moving = setInterval(() => time.moveOn(1_000), 20)
  try {
    return await run()
  } finally {
    clearInterval(moving)
  }
}
