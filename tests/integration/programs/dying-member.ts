/**
 * A member whose process is killed in the middle of a wipe.
 *
 *   dying-member.ts FOLDER WHAT NTH before|halfway wait|leave
 *
 * It dies at the NTH of the steps that are WHAT, of those that belong to the end of the share: from the first of the wipe
 * that it waits for, or from leaving. When there are fewer it says all of them, one word each, then `wiped`, and ends by itself.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openAccount } from '@lend/client'
import { type DiskStep, nodeWorld, throughDisk } from '../worlds.ts'

const [folder = '', what = '', nth = '', moment = '', action = ''] = process.argv.slice(2)
const disk = nodeWorld.disk(folder)
const steps: string[] = []
let leaving = false

const account = await openAccount({
  path: folder,
  world: throughDisk(async (step, run, bytes) => {
    const word = wordOf(step)
    if (!word) return run()
    const isBegun = steps.length > 0 || leaving || (word === 'writeFile' && step.to.startsWith('wiping/'))
    if (!isBegun) return run()
    steps.push(word)
    if (word !== what || steps.filter(other => other === what).length !== Number(nth)) return run()
    if (moment === 'halfway') await doHalf(step, run, bytes)
    console.log('dies')
    process.kill(process.pid, 'SIGKILL')
    return new Promise(() => {})
  })
})
const stop = account.on('ended', ended => {
  if (!ended.wiped) return
  stop()
  void account.close().then(() => console.log(`${steps.join(' ')} wiped`))
})
if (action === 'leave') {
  await account.synced()
  leaving = true
  await account.sharedWithMe[0]?.leave()
}

/** Null for what is no change, and for what is kept of the replica meanwhile. The library's own records are a word apart. */
function wordOf({ does, to, keys = [] }: DiskStep): string | null {
  if (does === 'list' || does === 'readFile' || does === 'openDatabase') return null
  if (does !== 'batch') return does
  if (to !== 'account' || keys.every(key => key.startsWith('rest/'))) return null
  return keys.some(key => key.startsWith('share/') || key.startsWith('owed/')) ? 'batch' : 'library'
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
