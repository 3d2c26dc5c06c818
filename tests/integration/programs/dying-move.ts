/**
 * A process that is killed while a store moves to a fresh directory.
 *
 *   dying-move.ts FOLDER STEP before|halfway
 *
 * Steps on the disk count from the beginning of the move. Says `moved` and ends by itself when it has fewer.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { loadSuite } from '@lend/engine'
import { SealedStore } from '../../../packages/client/src/disk/sealed-store.ts'
import { type DiskStep, nodeWorld, throughDisk } from '../worlds.ts'

const [folder = '', step = '', moment = ''] = process.argv.slice(2)
const plain = nodeWorld.disk(folder)
let steps = 0
let moving = false

const world = throughDisk(async (what, run, bytes) => {
  if (moving) steps++
  if (steps !== Number(step)) return run()
  if (moment === 'halfway') await doHalf(what, run, bytes)
  console.log(`dies ${moment} ${what.does}`)
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
})

const store = await SealedStore.open({
  suite: await loadSuite(),
  dice: world.dice,
  disk: world.disk(folder),
  name: 'logs/one',
  keyFile: 'keys/one'
})
moving = true
await store.renew('due', new AbortController().signal)
await store.close()
console.log('moved')

async function doHalf({ does, to }: DiskStep, run: () => Promise<unknown>, bytes: Uint8Array = new Uint8Array(0)) {
  switch (does) {
    case 'writeFile':
      return plain.writeFile(`${to}.new`, bytes.subarray(0, bytes.length / 2))
    case 'destroyDatabase': {
      const files = await readdir(join(folder, to)).catch(() => [])
      await Promise.all(files.slice(0, files.length / 2).map(file => rm(join(folder, to, file))))
      return
    }
    default:
      void run()
  }
}
