/**
 * Padding of sealed content, so that a length tells a relay little: length u32 ‖ content ‖ zeros, up to 64, 256, 1 Ki,
 * 4 Ki, then the next multiple of 4 Ki bytes.
 */

/** Bytes that `content` bytes take when padded. */
export function paddedBytes(content: number): number {
  const whole = content + 4
  for (const step of [64, 256, 1024, 4096]) if (whole <= step) return step
  return Math.ceil(whole / 4096) * 4096
}

export function pad(content: Uint8Array): Uint8Array {
  const padded = new Uint8Array(paddedBytes(content.length))
  new DataView(padded.buffer).setUint32(0, content.length)
  padded.set(content, 4)
  return padded
}

/** @returns the content (a view), or null for anything but the one padding of it. */
export function unpad(padded: Uint8Array): Uint8Array | null {
  if (padded.length < 64) return null
  const length = new DataView(padded.buffer, padded.byteOffset).getUint32(0)
  if (length > padded.length - 4 || paddedBytes(length) !== padded.length) return null
  for (let i = 4 + length; i < padded.length; i++) if (padded[i] !== 0) return null
  return padded.subarray(4, 4 + length)
}
