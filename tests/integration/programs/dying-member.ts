/**
 * A member whose process is killed in the middle of a wipe.
 *
 *   dying-member.ts FOLDER STEP before|halfway wait|leave
 *
 * Steps on the disk count from the first of the wipe that it waits for, or from leaving. Says `wiped` and ends by itself when the wipe has fewer.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openAccount } from '@lend/client'
import { type DiskStep, nodeWorld, throughDisk } from '../worlds.ts'

const [folder = '', step = '', moment = '', action = ''] = process.argv.slice(2)
const disk = nodeWorld.disk(folder)
let steps = 0
let leaving = false

const account = await openAccount({
  path: folder,
  world: throughDisk(async (what, run, bytes) => {
    // Not what goes into the replica meanwhile: only what belongs to its end.
    if (what.does === 'batch' && what.to !== 'account') return run()
    if (steps > 0 || leaving || (what.does === 'writeFile' && what.to.startsWith('wiping/'))) steps++
    if (steps !== Number(step)) return run()
    if (moment === 'halfway') await doHalf(what, run, bytes)
    console.log(`dies ${moment} ${what.does}`)
    process.kill(process.pid, 'SIGKILL')
    return new Promise(() => {})
  })
})
const stop = account.on('ended', ended => {
  if (!ended.wiped) return
  stop()
  void account.close().then(() => console.log('wiped'))
})
if (action === 'leave') {
  await account.sharedWithMe[0]?.synced()
  leaving = true
  await account.sharedWithMe[0]?.leave()
}

async function doHalf({ does, to }: DiskStep, run: () => Promise<unknown>, bytes: Uint8Array = new Uint8Array(0)) {
  switch (does) {
    case 'writeFile':
      return disk.writeFile(`${to}.new`, bytes.subarray(0, bytes.length / 2))
    case 'destroyFile':
      return disk.writeFile(to, new Uint8Array((await disk.readFile(to))?.length ?? 0))
    case 'destroyDatabase': {
      const path = join(folder, to)
      const files = await readdir(path)
      await Promise.all(files.slice(0, files.length / 2).map(file => rm(join(path, file))))
      return
    }
    default:
      void run()
  }
}
