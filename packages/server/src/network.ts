/** Whose connections count together: an IPv4 address, or the 64 bits of IPv6 that one customer is given at least. */
import { BlockList, isIP, isIPv6 } from 'node:net'

/**
 * Behind a proxy that ends TLS all connections come from its address; it adds the one that it saw to what it was given, last.
 * @param forwarded the values of X-Forwarded-For: only what a trusted proxy added counts, anyone can send the rest
 * @returns null when the proxy named no address
 */
export function forwardedFor(forwarded: string | readonly string[] | undefined): string | null {
  const added = [forwarded ?? []].flat().join(',').split(',').at(-1)?.trim() ?? ''
  return isIP(added) ? added : null
}

/** However it is written: `2001:db8::1` is `2001:DB8:0:0:0:0:0:1`, and `::ffff:203.0.113.7` is `203.0.113.7`. */
export function isSameAddress(a: string, b: string | undefined): boolean {
  if (!isIP(a) || b === undefined || !isIP(b)) return false
  const only = new BlockList()
  only.addAddress(a, isIPv6(a) ? 'ipv6' : 'ipv4')
  return only.check(b, isIPv6(b) ? 'ipv6' : 'ipv4')
}

/**
 * @param address as a socket tells it; undefined for one that is gone already
 * @returns `203.0.113.7` for that and `::ffff:203.0.113.7`, `2001:db8:0:1` for `2001:db8:0:1::2`
 */
export function networkOf(address: string | undefined): string {
  if (address === undefined) return ''
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped?.[1]) return mapped[1]
  if (!isIPv6(address)) return address
  const [left, right] = address.split('::')
  const head = left ? left.split(':') : []
  const tail = right ? right.split(':') : []
  const zeros = new Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0')
  return [...head, ...zeros, ...tail].slice(0, 4).join(':')
}
