/**
 * The clock of a lease. Time is the highest that this device has ever seen, its own or its relay's, so that a clock that is
 * set back gains nothing. A relay's word is taken up to RELAY_AHEAD_MS_MAX ahead of the device's own clock: one that says
 * "in ten years" must not make a lease of ten years of it.
 */
import type { ReplicaState } from './records.ts'

/** How far a relay's time may be ahead of the device's own and still count: a day, more than a wrong time zone. */
export const RELAY_AHEAD_MS_MAX = 24 * 60 * 60 * 1000

type LeaseClock = Pick<ReplicaState, 'heardMs' | 'highestMs'>

/**
 * The clock after a word of the relay that shows membership: the lease begins anew, at the highest time.
 * @param nowMs the device's own clock
 * @param relayMs relay time
 */
export function renewed(clock: LeaseClock, nowMs: number, relayMs: number): LeaseClock {
  const highestMs = Math.max(clock.highestMs, nowMs, Math.min(relayMs, nowMs + RELAY_AHEAD_MS_MAX))
  return { heardMs: highestMs, highestMs }
}
