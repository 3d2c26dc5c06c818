/** Node's world: LevelDB directories, files of mode 0600, the `ws` client. */
import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { limits } from '@lend/engine'
import { Level } from 'level'
import WebSocket from 'ws'
import { codeOf, diskError } from './disk/disk-error.ts'
import type { Database, Disk, Socket, SocketEvents, World } from './world.ts'

const DIAL_MS_MAX = 10_000

export const world: World = {
  now: () => Date.now(),
  timer(ms, run) {
    const timer = setTimeout(run, Math.min(ms, 2 ** 31 - 1))
    return () => clearTimeout(timer)
  },
  dice: bytes => new Uint8Array(randomBytes(bytes)),
  jitter: () => Math.random(),
  connect,
  disk: path => nodeDisk(path)
}

function connect(url: string, events: SocketEvents): Socket {
  const socket = new WebSocket(url, {
    perMessageDeflate: false,
    maxPayload: limits.FRAME_BYTES_MAX,
    handshakeTimeout: DIAL_MS_MAX
  })
  socket.binaryType = 'nodebuffer'
  let line: { readonly bytesRead: number } | null = null
  socket.on('upgrade', response => {
    line = response.socket
  })
  socket.on('open', () => events.open())
  socket.on('message', data => events.message(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)))
  socket.on('close', () => events.close())
  // Always followed by `close`, which is what counts.
  socket.on('error', () => {})
  return {
    get bufferedBytes() {
      return socket.bufferedAmount
    },
    get receivedBytes() {
      return line?.bytesRead ?? 0
    },
    send: message => socket.send(message),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close: () => (socket.readyState === WebSocket.OPEN ? socket.close() : socket.terminate())
  }
}

function nodeDisk(root: string): Disk {
  const at = (name: string) => join(root, ...name.split('/'))
  return {
    async readFile(name) {
      try {
        return new Uint8Array(await readFile(at(name)))
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return null
        throw diskError(error)
      }
    },
    async writeFile(name, bytes) {
      const path = at(name)
      const temporary = `${path}.new`
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 })
        await overwrite(temporary, bytes, 'w')
        await rename(temporary, path)
        await syncFolder(dirname(path))
      } catch (error) {
        throw diskError(error)
      }
    },
    async destroyFile(name) {
      const path = at(name)
      try {
        const { length } = await readFile(path)
        await overwrite(path, new Uint8Array(length), 'r+')
        await rm(path)
        await syncFolder(dirname(path))
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw diskError(error)
      }
    },
    async list(folder) {
      try {
        return await readdir(at(folder))
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return []
        throw diskError(error)
      }
    },
    openDatabase: name => openLevel(at(name)),
    async destroyDatabase(name) {
      await rm(at(name), { recursive: true, force: true })
      await syncFolder(dirname(at(name)))
    }
  }
}

async function openLevel(path: string): Promise<Database> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    const level = new Level<string, Uint8Array>(path, { keyEncoding: 'utf8', valueEncoding: 'view' })
    await level.open()
    return level
  } catch (error) {
    throw diskError(error)
  }
}

async function overwrite(path: string, bytes: Uint8Array, flags: string): Promise<void> {
  const file = await open(path, flags, 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A rename or removal is durable once its folder is. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  } catch (error) {
    // Windows can't open a folder; there the rename is as durable as it gets.
    if (!['EISDIR', 'EPERM', 'EACCES', 'ENOENT'].includes(codeOf(error) ?? '')) throw error
  }
}
