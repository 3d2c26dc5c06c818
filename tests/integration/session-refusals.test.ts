/** What an app sees when its relay ends the session: every code that a relay may say then. */
import { type Account, type LendError, openAccount, type World } from '@lend/client'
import { encodeFrame, REFUSALS, type RefusalCode } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { event, type Household, household, lend, linkTo, until } from './household.ts'
import { nodeWorld } from './worlds.ts'

const refusals = suite('session refusals')

type Seen = readonly [status: string, error: string | null, accept: string]

const PASSES: Seen = ['offline', null, 'OFFLINE']
const FAULT: Seen = ['offline', 'OFFLINE', 'OFFLINE']
const TOO_OLD: Seen = ['failed', 'APP_TOO_OLD', 'APP_TOO_OLD']
const LIMITED: Seen = ['offline', 'RATE_LIMITED', 'RATE_LIMITED']

/** Those that are not named here are a fault of one of the two sides, and said to be one. */
const SEEN: Partial<Record<RefusalCode, Seen>> = {
  UNKNOWN_VERSION: TOO_OLD,
  UNKNOWN_FRAME: TOO_OLD,
  UNKNOWN_KIND: TOO_OLD,
  PLAN_NEEDED: ['failed', 'PLAN_NEEDED', 'PLAN_NEEDED'],
  RATE_LIMITED: LIMITED,
  LIMIT_CONNECTIONS: LIMITED,
  RELAY_CLOSING: PASSES,
  HANDSHAKE_SLOW: PASSES,
  STALLED: PASSES
}

refusals('each refusal of a session is shown as what it asks for', () =>
  household(async house => {
    const link = await linkTo(await lend(await house.person('Maya'), 'Garden'))
    for (const code of Object.keys(REFUSALS) as RefusalCode[]) {
      // Its library is at its relay, so nothing waits here.
      const before = await house.person(code)
      await before.synced()
      await before.close()
      await shows(house, code, code, link, SEEN[code] ?? FAULT)
    }
  })()
)

refusals('an account whose relay never let it in is saved here; what lasts is said all the same', () =>
  household(async house => {
    const link = await linkTo(await lend(await house.person('Maya'), 'Garden'))
    for (const code of ['RELAY_CLOSING', 'BAD_FRAME', 'RATE_LIMITED', 'UNKNOWN_VERSION', 'PLAN_NEEDED'] as const) {
      const [status, ...more] = SEEN[code] ?? FAULT
      await shows(house, `new ${code}`, code, link, [status === 'offline' ? 'saved' : status, ...more])
    }
  })()
)

refusals(
  'a share keeps taking edits while its relay speaks another version, and goes on once it does not',
  household(async house => {
    let refuses: RefusalCode | null = null
    const relay = refusing('UNKNOWN_VERSION')
    const world: World = {
      ...nodeWorld,
      connect: (url, events) => (refuses ? relay.world.connect(url, events) : nodeWorld.connect(url, events))
    }
    const maya = await house.person('Maya', { world })
    const share = await lend(maya, 'Garden', 'roses')
    refuses = 'UNKNOWN_VERSION'
    await house.stopRelay()
    const told = event(maya, 'error')
    const failed = await until(share, () => share.status.state === 'failed' && share.status)
    assert.is(failed.error.code, 'APP_TOO_OLD')
    assert.is((await told).code, 'APP_TOO_OLD')
    assert.is(maya.status.state, 'failed')
    assert.is(await codeOf(share.synced()), 'APP_TOO_OLD')
    share.doc.getText('text').insert(0, 'red ')
    await house.startRelay()
    refuses = null
    await until(share, () => share.status.state === 'synced')
    await until(maya, () => maya.status.state === 'synced')
  })
)

refusals.run()

/** Opens an account at a relay that says this code, and looks at what its app sees. */
async function shows(house: Household, name: string, code: RefusalCode, link: string, seen: Seen): Promise<void> {
  const [status, error, accept] = seen
  const relay = refusing(code)
  const person = house.keep(await openAt(house, name, relay.world))
  const told: string[] = []
  person.on('error', ({ code }) => told.push(code))
  await relay.refusedTimes(1)
  assert.is(person.status.state, status, code)
  if (person.status.state === 'failed') assert.is(person.status.error.code, error, code)
  const answer = codeOf(person.accept(link))
  // What may pass is waited for until the attempt's time is over: it is from the next refusal on.
  if (status !== 'failed') relay.giveUp()
  assert.is(await answer, accept, code)
  assert.equal([...new Set(told)], error ? [error] : [], code)
  assert.ok(told.length <= 1, `${code} is told once`)
  await person.close()
}

function openAt(house: Household, name: string, world: World): Promise<Account> {
  return openAccount({ path: house.folder(name), relay: house.relay.url, name, world })
}

async function codeOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked
    return 'ok'
  } catch (error) {
    return (error as LendError).code
  }
}

/** A relay that ends every session with this code. */
function refusing(code: RefusalCode): { world: World; refusedTimes(n: number): Promise<void>; giveUp(): void } {
  let refused = 0
  let waiting = () => {}
  let givesUp = false
  let lateTimers: (() => void)[] = []
  const world: World = {
    ...nodeWorld,
    timer(ms, run) {
      // The attempt's own limit is in the test's hands; so no test waits for it.
      if (ms < 10_000) return nodeWorld.timer(ms, run)
      lateTimers.push(run)
      return () => {
        lateTimers = lateTimers.filter(other => other !== run)
      }
    },
    connect(_url, events) {
      let isOpen = true
      const close = () => {
        if (!isOpen) return
        isOpen = false
        setImmediate(() => {
          events.close()
          refused++
          waiting()
          if (givesUp) for (const run of lateTimers) run()
        })
      }
      setImmediate(() => {
        events.open()
        const about = { log: null, entry: null, top: null }
        events.message(encodeFrame({ type: 'refused', ...about, code, retryAfterMs: null, sentence: 'so it is' }))
        close()
      })
      return { bufferedBytes: 0, receivedBytes: 0, send() {}, close }
    }
  }
  return {
    world,
    async refusedTimes(n) {
      while (refused < n) {
        await new Promise<void>(resolve => {
          waiting = resolve
        })
      }
    },
    giveUp() {
      givesUp = true
    }
  }
}
