/**
 * A device whose process is killed on its way into an account.
 *
 *   dying-newcomer.ts FOLDER STEP pair LINK
 *   dying-newcomer.ts FOLDER STEP recover RELAY PHRASE
 *
 * Every write to the disk and every frame to the relay is a step; it dies before it. Says `in` and ends by itself when it
 * gets there in fewer.
 */
import { pairDevice, recoverAccount } from '@lend/client'
import { decodeEntry, decodeFrame, decodeStatement, loadSuite } from '@lend/engine'
import { sayNow } from '../../say.ts'
import { nodeWorld, throughDisk } from '../worlds.ts'

const [path = '', step = '', action = '', target = '', phrase = ''] = process.argv.slice(2)
const suite = await loadSuite()
const WRITES: readonly string[] = ['writeFile', 'destroyFile', 'batch']
let steps = 0

/** Never returns from the step at which it dies. */
function dieBefore(what: string): void {
  if (++steps !== Number(step)) return
  sayNow(`dies before ${what}`)
  process.kill(process.pid, 'SIGKILL')
}

const world = {
  ...throughDisk(({ does, to }, run) => {
    if (WRITES.includes(does)) dieBefore(`${does} ${to}`)
    return run()
  }),
  connect(url: string, events: Parameters<typeof nodeWorld.connect>[1]) {
    const socket = nodeWorld.connect(url, events)
    return {
      bufferedBytes: 0,
      receivedBytes: 0,
      send(message: Uint8Array) {
        dieBefore(nameOf(message))
        socket.send(message)
      },
      close: () => socket.close()
    }
  }
}

const account =
  action === 'pair'
    ? await pairDevice(target, { path, device: 'newcomer', world })
    : await recoverAccount(phrase, { path, relay: target, device: 'newcomer', world })
steps = Number.NEGATIVE_INFINITY
sayNow('in')
await account.synced()
await account.close()

function nameOf(message: Uint8Array): string {
  const frame = decodeFrame(message)
  if (frame.type !== 'append') return frame.type
  return frame.entries
    .map(bytes => decodeEntry(suite, bytes))
    .map(({ kind, payload }) => (kind === 'access' ? decodeStatement(payload).type : kind))
    .join()
}
