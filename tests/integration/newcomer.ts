/** Runs the device that dies on its way into an account, see programs/dying-newcomer.ts. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

/** @returns its last line: `dies before …` or `in` */
export async function newcomer(folder: string, step: number, ...how: string[]): Promise<string> {
  const path = join(import.meta.dirname, 'programs', 'dying-newcomer.ts')
  const args = [...process.execArgv, path, folder, String(step), ...how]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', chunk => {
    output += chunk
  })
  await once(child, 'close')
  return output.trim().split('\n').at(-1) ?? ''
}
