/**
 * The few faces of Node that the `*.node.ts` files use. Node's own types would bring all of it with them, `Buffer`
 * included, into code that runs in browsers too.
 */
declare module 'ws' {
  export default class WebSocket {
    static readonly OPEN: number
    readonly readyState: number
    readonly bufferedAmount: number
    binaryType: string
    constructor(url: string, options: { perMessageDeflate: boolean; maxPayload: number; handshakeTimeout: number })
    on(event: 'open' | 'close' | 'error', listener: () => void): void
    on(event: 'message', listener: (data: Uint8Array) => void): void
    /** With the answer to the handshake, which came over the connection's own socket. */
    on(event: 'upgrade', listener: (response: { readonly socket: { readonly bytesRead: number } }) => void): void
    send(message: Uint8Array): void
    pause(): void
    resume(): void
    close(): void
    terminate(): void
  }
}

declare module 'node:crypto' {
  export function randomBytes(size: number): Uint8Array
}

declare module 'node:path' {
  export function dirname(path: string): string
  export function join(...parts: string[]): string
}

declare module 'node:fs/promises' {
  interface FileHandle {
    writeFile(bytes: Uint8Array): Promise<void>
    sync(): Promise<void>
    close(): Promise<void>
  }
  export function mkdir(path: string, o: { recursive: boolean; mode: number }): Promise<unknown>
  export function open(path: string, flags: string, mode?: number): Promise<FileHandle>
  export function readdir(path: string): Promise<string[]>
  export function readFile(path: string): Promise<Uint8Array>
  export function rename(from: string, to: string): Promise<void>
  export function rm(path: string, o?: { recursive?: boolean; force?: boolean }): Promise<void>
}
