/** A line on which no frame comes: dead, or only slow. */
import type { World } from '@lend/client'

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Household, household, until } from './household.ts'
import { movableTime, nodeWorld } from './worlds.ts'

const slow = suite('slow line')

const PING_MS = 20_000
const PONG_MS_MAX = 15_000
/** At the pace of the slowest line that is used: four seconds. */
const BUFFERED = 64 * 1024

interface Line {
  receivedBytes: number
  bufferedBytes: number
  /** Whether the client has given it up. */
  readonly isClosed: boolean
  moveOn(ms: number): void
}

/** The line of an account that is synced; from now on no frame comes, and time goes on only by `moveOn`. */
async function muted(house: Household): Promise<Line> {
  const time = movableTime()
  let isMute = false
  let isClosed = false
  const line = {
    receivedBytes: 0,
    bufferedBytes: 0,
    get isClosed() {
      return isClosed
    },
    moveOn: time.moveOn
  }
  const world: World = {
    ...time.world,
    connect(url, events) {
      const socket = time.world.connect(url, {
        ...events,
        message: bytes => {
          if (!isMute) events.message(bytes)
        }
      })
      return {
        get bufferedBytes() {
          return line.bufferedBytes
        },
        get receivedBytes() {
          return line.receivedBytes
        },
        send: message => socket.send(message),
        close() {
          isClosed = true
          socket.close()
        }
      }
    }
  }
  const account = await house.person('maya', { world })
  await until(account, () => account.status.state === 'synced')
  time.freeze()
  isMute = true
  return line
}

slow(
  'when nothing comes after a ping the line is given up, and not a moment before',
  household(async house => {
    const line = await muted(house)
    line.moveOn(PING_MS)
    line.moveOn(PONG_MS_MAX - 1)
    assert.is(line.isClosed, false)
    line.moveOn(1)
    assert.is(line.isClosed, true)
  })
)

slow(
  'a frame that takes long to come holds the line as long as bytes of it come',
  household(async house => {
    const line = await muted(house)
    for (let round = 0; round < 5; round++) {
      line.moveOn(PING_MS)
      line.receivedBytes++
      line.moveOn(PONG_MS_MAX)
      assert.is(line.isClosed, false)
    }
    line.moveOn(PING_MS)
    // The pings that were not answered wait before the last one.
    line.moveOn(PONG_MS_MAX + 1000)
    assert.is(line.isClosed, true)
  })
)

slow(
  'a ping waits behind what was sent before it',
  household(async house => {
    const line = await muted(house)
    line.bufferedBytes = BUFFERED
    line.moveOn(PING_MS)
    line.moveOn(PONG_MS_MAX + 4_000 - 1)
    assert.is(line.isClosed, false)
    line.moveOn(1)
    assert.is(line.isClosed, true)
  })
)

slow(
  'Node’s own socket says what has come, and that nothing waits once all is taken',
  household(async house => {
    let came = 0
    const sockets: ReturnType<World['connect']>[] = []
    const world: World = {
      ...nodeWorld,
      connect(url, events) {
        const socket = nodeWorld.connect(url, {
          ...events,
          message(bytes) {
            came += bytes.length
            events.message(bytes)
          }
        })
        sockets.push(socket)
        return socket
      }
    }
    const account = await house.person('maya', { world })
    await account.synced()
    const [{ receivedBytes, bufferedBytes } = { receivedBytes: 0, bufferedBytes: -1 }] = sockets
    assert.ok(came > 0 && receivedBytes >= came, `${receivedBytes} bytes have come, ${came} of them in frames`)
    assert.is(bufferedBytes, 0)
  })
)

slow.run()
