/** The address of a relay: what a link, an option or a field may name as one. */

const BYTES_MAX = 1024

/** True for a whole `ws://…` or `wss://…` without a fragment that a socket can be opened to. */
export function isRelayUrl(text: string): boolean {
  if (!/^wss?:\/\/[^\s#]+$/.test(text) || new TextEncoder().encode(text).length > BYTES_MAX) return false
  try {
    return new URL(text).hostname !== ''
  } catch {
    return false
  }
}
