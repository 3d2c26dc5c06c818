/** Node's world for a real client, with an eye on the frames of one kind that come in. */
import type { World } from '@lend/client'
import { decodeFrame, type Frame } from '@lend/engine'
import { world } from '../../packages/client/src/world.node.ts'
import { sharedMs } from '../part.ts'

export interface LastFrames {
  readonly world: World
  /** When the last one came, on the clock that all processes share. */
  readonly lastMs: number
}

export function lastFrames(type: Frame['type']): LastFrames {
  let lastMs = 0
  return {
    world: {
      ...world,
      connect: (url, events) =>
        world.connect(url, {
          ...events,
          message(bytes) {
            if (decodeFrame(bytes).type === type) lastMs = sharedMs()
            events.message(bytes)
          }
        })
    },
    get lastMs() {
      return lastMs
    }
  }
}
