/** A device's own line to all of its relays: a world whose network can be watched frame by frame, cut, and mended. */
import type { World } from '@lend/client'
import { decodeFrame } from '@lend/engine'
import { type Judge, passAll } from './lossy-line.ts'
import { noNetwork } from './worlds.ts'

export interface OwnLine {
  readonly world: World
  readonly isDown: boolean
  /** Asked about each frame, see lossy-line.ts. */
  judge: Judge
  /** Ends all connections; none is made until it is mended. */
  cut(): void
  mend(): void
}

export function ownLine(world: World): OwnLine {
  const ends = new Set<() => void>()
  let isDown = false
  const line: OwnLine = {
    judge: passAll,
    get isDown() {
      return isDown
    },
    cut() {
      isDown = true
      for (const end of ends) end()
    },
    mend() {
      isDown = false
    },
    world: {
      ...world,
      connect(url, events) {
        if (isDown) return noNetwork.connect(url, events)
        let isOn = true
        const end = () => {
          if (!isOn) return
          isOn = false
          ends.delete(end)
          socket.close()
          setImmediate(() => events.close())
        }
        const pass = (from: 'client' | 'relay', bytes: Uint8Array, on: (bytes: Uint8Array) => void) => {
          if (!isOn) return
          const fate = line.judge(decodeFrame(bytes), from)
          if (fate === 'pass' || fate === 'last') on(bytes)
          if (fate === 'cut' || fate === 'last') end()
        }
        const socket = world.connect(url, {
          open: () => isOn && events.open(),
          message: bytes => pass('relay', bytes, events.message),
          close: end
        })
        ends.add(end)
        return {
          get bufferedBytes() {
            return socket.bufferedBytes
          },
          get receivedBytes() {
            return socket.receivedBytes
          },
          send: bytes => pass('client', bytes, on => socket.send(on)),
          close: () => socket.close()
        }
      }
    }
  }
  return line
}
