/** What benches with real accounts share. */
import type { Share } from '@lend/client'

type Watched = { on(event: 'change', listener: () => void): () => void }

/** Resolves with the first answer that is not nothing: now, or after a change. */
export function after<T>(watched: Watched, look: () => T | null | undefined): Promise<T> {
  return new Promise(done => {
    const check = () => {
      const answer = look()
      if (answer === null || answer === undefined) return false
      done(answer)
      return true
    }
    if (check()) return
    const stop = watched.on('change', () => {
      if (check()) stop()
    })
  })
}

/** A link that so many may use, once the relay has it. */
export async function linkOf(share: Share, uses: number): Promise<string> {
  const { id } = await share.invite({ uses })
  return after(share, () => share.invites.find(invite => invite.id === id && invite.state === 'open')?.link)
}
