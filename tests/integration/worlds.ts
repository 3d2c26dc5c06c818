/** Worlds for clients under test: Node's own, with one thing in the test's hands. */
import type { Database, World } from '@lend/client'
import { world } from '../../packages/client/src/world.node.ts'

/** Node's own, only that lost connections come back sooner: tests wait for them. */
export const nodeWorld: World = { ...world, jitter: () => world.jitter() / 50 }

/** One thing that a client does to its disk; a `batch` is a write into the database of that name. */
export interface DiskStep {
  readonly does: 'readFile' | 'writeFile' | 'destroyFile' | 'list' | 'openDatabase' | 'destroyDatabase' | 'batch'
  readonly to: string
  /** Of the records that a `batch` writes or deletes. */
  readonly keys?: readonly string[]
}

/** Every step on the disk goes through `around`, which does it (`run`), or something else, or nothing. */
export function throughDisk(
  around: <T>(step: DiskStep, run: () => Promise<T>, bytes?: Uint8Array) => Promise<T>
): World {
  const watched = (name: string, database: Database): Database => {
    const batch = database.batch.bind(database)
    const watchedBatch = (...args: readonly [readonly { key: string }[], ...unknown[]]) => {
      const keys = args[0].map(({ key }) => key)
      return around({ does: 'batch', to: name, keys }, () => Reflect.apply(batch, database, args))
    }
    return Object.assign(database, { batch: watchedBatch })
  }
  return {
    ...nodeWorld,
    disk(path) {
      const disk = nodeWorld.disk(path)
      return {
        readFile: name => around({ does: 'readFile', to: name }, () => disk.readFile(name)),
        writeFile: (name, bytes) => around({ does: 'writeFile', to: name }, () => disk.writeFile(name, bytes), bytes),
        destroyFile: name => around({ does: 'destroyFile', to: name }, () => disk.destroyFile(name)),
        list: folder => around({ does: 'list', to: folder }, () => disk.list(folder)),
        openDatabase: name =>
          around({ does: 'openDatabase', to: name }, async () => watched(name, await disk.openDatabase(name))),
        destroyDatabase: name => around({ does: 'destroyDatabase', to: name }, () => disk.destroyDatabase(name))
      }
    }
  }
}

/** Nothing answers. */
export const noNetwork: Pick<World, 'connect'> = {
  connect(_url, events) {
    setImmediate(() => events.close())
    return { bufferedBytes: 0, receivedBytes: 0, send() {}, close() {} }
  }
}

/** Time that can be moved on; what was to happen meanwhile happens then. */
export interface MovableTime {
  readonly world: World
  /** Timers that are running. */
  readonly pending: number
  moveOn(ms: number): void
  /** From now on it moves only by `moveOn`. */
  freeze(): void
}

export function movableTime(): MovableTime {
  let aheadMs = 0
  let frozenMs: number | null = null
  const now = () => (frozenMs ?? Date.now()) + aheadMs
  const timers = new Set<{ readonly dueMs: number; readonly run: () => void }>()
  return {
    world: {
      ...nodeWorld,
      now,
      timer(ms, run) {
        const timer = { dueMs: now() + ms, run: () => fire() }
        const fire = () => {
          if (!timers.delete(timer)) return
          stop()
          run()
        }
        const stop = nodeWorld.timer(ms, fire)
        timers.add(timer)
        return () => {
          timers.delete(timer)
          stop()
        }
      }
    },
    get pending() {
      return timers.size
    },
    freeze() {
      frozenMs = Date.now()
    },
    moveOn(ms) {
      aheadMs += ms
      for (const timer of [...timers].sort((a, b) => a.dueMs - b.dueMs)) if (timer.dueMs <= now()) timer.run()
    }
  }
}
