/**
 * Stands between a client and its relay: shows every frame that passes, can cut the line, and can slip frames in or change
 * them as a relay that lies would. The handshake passes unchanged, so both sides believe that they are alone.
 */
import { once } from 'node:events'
import { decodeFrame, decodeLink, encodeFrame, encodeLink, type Frame } from '@lend/engine'
import { WebSocket, WebSocketServer } from 'ws'

interface Passed {
  readonly from: 'client' | 'relay'
  readonly frame: Frame
}

/** One connection of the client, from its first frame to its last. */
interface Passage {
  readonly passed: readonly Passed[]
  /** Gives the client a frame that the relay never sent. */
  slipIn(frame: Frame): void
}

export interface Wiretap {
  readonly url: string
  /** In the order in which they were opened. */
  readonly passages: readonly Passage[]
  /** What passes in place of a frame; by default the frame. */
  twist: (passed: Passed) => Frame
  /** Called at each frame and each new passage. */
  on(event: 'change' | 'status' | 'ended', listener: () => void): () => void
  /** The same link, by way of here. */
  link(link: string): string
  /** From now on nobody is connected. */
  cut(): void
  mend(): void
  close(): Promise<void>
}

export async function openWiretap(relayUrl: string): Promise<Wiretap> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a server on a port has an address')
  const url = `ws://127.0.0.1:${address.port}`
  const passages: Passage[] = []
  const listeners = new Set<() => void>()
  const tell = () => {
    for (const listener of [...listeners]) listener()
  }
  let isCut = false
  const tap: Wiretap = {
    url,
    passages,
    twist: ({ frame }) => frame,
    on(_event, listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    link(link) {
      const [page = ''] = link.split('#')
      return `${page}#${encodeLink({ ...decodeLink(link), relayUrl: url })}`
    },
    cut() {
      isCut = true
      for (const client of server.clients) client.terminate()
    },
    mend() {
      isCut = false
    },
    async close() {
      for (const client of server.clients) client.terminate()
      await new Promise(closed => server.close(closed))
    }
  }
  server.on('connection', client => {
    if (isCut) return client.terminate()
    const relay = new WebSocket(relayUrl, { perMessageDeflate: false })
    const passed: Passed[] = []
    const waiting: Buffer[] = []
    const pass = (from: Passed['from'], to: WebSocket, bytes: Buffer) => {
      const frame = decodeFrame(new Uint8Array(bytes))
      const twisted = tap.twist({ from, frame })
      passed.push({ from, frame: twisted })
      to.send(twisted === frame ? bytes : encodeFrame(twisted))
      tell()
    }
    passages.push({ passed, slipIn: frame => client.send(encodeFrame(frame)) })
    client.on('message', (bytes: Buffer) => {
      if (relay.readyState === WebSocket.OPEN) pass('client', relay, bytes)
      else waiting.push(bytes)
    })
    relay.on('open', () => {
      for (const bytes of waiting.splice(0)) pass('client', relay, bytes)
    })
    relay.on('message', (bytes: Buffer) => pass('relay', client, bytes))
    relay.on('close', () => client.close())
    client.on('close', () => relay.terminate())
    for (const socket of [relay, client]) socket.on('error', () => {})
    tell()
  })
  return tap
}
