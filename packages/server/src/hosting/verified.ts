/**
 * Signatures of access entries come again and again: in the proof of each share that an account has a part in, and twice
 * where a proof is looked at before its entry is judged. The suite as a relay uses it knows the good ones of late.
 */
import { hex, KINDS, type Label, type Suite } from '@lend/engine'

/** Signatures that are known: 1.5 MB, many proofs of the largest size. */
const KNOWN_MAX = 8192

export function rememberVerified(suite: Suite): Suite {
  const known = new Set<string>()
  return {
    ...suite,
    verify(publicKey, signature, label, ...parts) {
      if (!comesAgain(label, parts)) return suite.verify(publicKey, signature, label, ...parts)
      const key = `${label} ${hex(suite.hash('entry id', publicKey, signature, ...parts))}`
      if (known.has(key)) return true
      if (!suite.verify(publicKey, signature, label, ...parts)) return false
      known.add(key)
      const [oldest] = known
      if (known.size > KNOWN_MAX && oldest !== undefined) known.delete(oldest)
      return true
    }
  }
}

/** What an access list is folded from. Data comes once, and so do proofs of a session. */
function comesAgain(label: Label, parts: readonly Uint8Array[]): boolean {
  if (label === 'entry') return parts[0]?.[1] === KINDS.access
  return label === 'join' || label === 'device of account' || label === 'reset'
}
