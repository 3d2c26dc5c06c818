/**
 * A line between a client and its relay that loses things: a judge decides of each frame whether it passes, is lost, or
 * is lost together with the connection. All that was sent on it is remembered, also what was lost. A connection carries
 * several logs, the account's library among them; the judge may be asked about one of them only.
 */
import { once } from 'node:events'
import { decodeFrame, decodeLink, encodeLink, type Frame, type LogId, same } from '@lend/engine'
import { WebSocket, WebSocketServer } from 'ws'

/** `cut`: the frame is lost and so is the connection. `last`: it passes, and then the connection is lost. */
type Fate = 'pass' | 'lose' | 'cut' | 'last'

interface Sent {
  readonly from: 'client' | 'relay'
  readonly frame: Frame
  readonly fate: Fate
}

export type Judge = (frame: Frame, from: Sent['from']) => Fate

export interface LossyLine {
  readonly url: string
  readonly sent: readonly Sent[]
  /** Connections so far that got as far as this line. */
  readonly dialed: number
  judge: Judge
  /** The judge is asked about this log's frames and those of the session; all others pass. Null: about every frame. */
  only: LogId | null
  /** Called at each frame and each connection. */
  on(event: 'change' | 'status' | 'ended', listener: () => void): () => void
  /** The same link, past this line, straight to the relay. */
  past(link: string): string
  /** The same link, by way of this line. */
  via(link: string): string
  /** Ends all connections. While it is `down`, none is taken. */
  cut(o?: { down: boolean }): void
  /** Takes connections again. */
  mend(): void
  close(): Promise<void>
}

export const passAll: Judge = () => 'pass'

/** Whether a frame is about this log; those of the session are about none. */
export function isAbout(frame: Frame, log: LogId): boolean {
  return 'log' in frame && frame.log !== null && same(frame.log, log)
}

type Events = Pick<LossyLine, 'on'>

/** What happens on the line or to the share. */
export function either(line: Events, share: Events): Events {
  return {
    on(event, listener) {
      const stops = [line.on(event, listener), share.on(event, listener)]
      return () => {
        for (const stop of stops) stop()
      }
    }
  }
}

/** @param relayUrl asked at each connection */
export async function openLossyLine(relayUrl: () => string): Promise<LossyLine> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('a server on a port has an address')
  const sent: Sent[] = []
  const listeners = new Set<() => void>()
  let isDown = false
  let dialed = 0
  const tell = () => {
    for (const listener of [...listeners]) listener()
  }
  const line: LossyLine = {
    url: `ws://127.0.0.1:${address.port}`,
    sent,
    get dialed() {
      return dialed
    },
    judge: passAll,
    only: null,
    on(_event, listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    past: link => redirect(link, relayUrl()),
    via: link => redirect(link, line.url),
    cut({ down } = { down: false }) {
      isDown = down
      for (const client of server.clients) client.terminate()
    },
    mend() {
      isDown = false
    },
    async close() {
      for (const client of server.clients) client.terminate()
      server.close()
      await once(server, 'close')
    }
  }
  const isJudged = (frame: Frame) => {
    const isOfSession = !('log' in frame) || frame.log === null
    return line.only === null || isOfSession || isAbout(frame, line.only)
  }
  server.on('connection', client => {
    dialed++
    if (isDown) return client.terminate()
    const relay = new WebSocket(relayUrl(), { perMessageDeflate: false })
    const waiting: Buffer[] = []
    let isCut = false
    const pass = (from: Sent['from'], to: WebSocket, bytes: Buffer) => {
      // What comes after the cut was never on this line.
      if (isCut) return
      const frame = decodeFrame(new Uint8Array(bytes))
      const fate = isJudged(frame) ? line.judge(frame, from) : 'pass'
      sent.push({ from, frame, fate })
      if (fate === 'cut' || fate === 'last') isCut = true
      if (fate === 'pass') to.send(bytes)
      else if (fate === 'last') to.send(bytes, () => client.terminate())
      else if (fate === 'cut') client.terminate()
      tell()
    }
    client.on('message', (bytes: Buffer) => {
      if (relay.readyState === WebSocket.OPEN) pass('client', relay, bytes)
      else waiting.push(bytes)
    })
    relay.on('open', () => {
      for (const bytes of waiting.splice(0)) pass('client', relay, bytes)
    })
    relay.on('message', (bytes: Buffer) => pass('relay', client, bytes))
    relay.on('close', () => client.terminate())
    // Politely: what is on its way to the relay still gets there.
    client.on('close', () => (relay.readyState === WebSocket.OPEN ? relay.close() : relay.terminate()))
    for (const socket of [relay, client]) socket.on('error', () => {})
    tell()
  })
  return line
}

function redirect(link: string, relayUrl: string): string {
  const [page = ''] = link.split('#')
  return `${page}#${encodeLink({ ...decodeLink(link), relayUrl })}`
}
