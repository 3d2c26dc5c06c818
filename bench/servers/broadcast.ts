/**
 * The floor: a bare `ws` server that hands each message to everyone but its sender. It checks nothing and stores nothing.
 *
 *   send   `ws.send` for each client and message, as most servers do
 *   turn   all messages of one turn of the event loop in one write to each socket
 */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { serve, usageOf } from '../part.ts'

let server: WebSocketServer | null = null

const functions = {
  async start({ mode }: { mode: 'send' | 'turn' }): Promise<{ url: string }> {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
    await once(server, 'listening')
    const { clients } = server
    const forward = mode === 'send' ? sendEach(clients) : sendTurns(clients)
    server.on('connection', socket => {
      socket.on('message', (message: Buffer) => forward(socket, message))
    })
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('a server on a port has an address')
    return { url: `ws://127.0.0.1:${address.port}` }
  },
  usage: ({ clean }: { clean: boolean }) => usageOf(clean)
}

type Forward = (from: WebSocket, message: Buffer) => void

function sendEach(clients: ReadonlySet<WebSocket>): Forward {
  return (from, message) => {
    for (const client of clients) if (client !== from) client.send(message)
  }
}

function sendTurns(clients: ReadonlySet<WebSocket>): Forward {
  let frames: Buffer[] = []
  return (from, message) => {
    if (frames.length === 0) {
      setImmediate(() => {
        const turn = Buffer.concat(frames)
        frames = []
        for (const client of clients) if (client !== from) socketOf(client).write(turn)
      })
    }
    frames.push(framed(message))
  }
}

function socketOf(client: WebSocket): Socket {
  const socket: unknown = '_socket' in client ? client._socket : null
  if (typeof socket !== 'object' || socket === null || !('write' in socket))
    throw new Error('ws keeps its socket elsewhere')
  return socket as Socket
}

/** Messages of this bench have 126 bytes or more, and less than 64 KiB. */
function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head[0] = 0x82
  head[1] = 126
  head.writeUInt16BE(message.length, 2)
  return Buffer.concat([head, message])
}

export type BroadcastServer = typeof functions

serve(functions, () => server?.close())
