/**
 * Which of many deaths are died: at each step in each way with LEND_EVERY_DEATH, else at each step in one way, by turns, for
 * each costs processes.
 */
const isEveryDeath = process.env.LEND_EVERY_DEATH !== undefined

/** @param ways what may happen at step `step` @returns those that do */
export function waysAt<T>(step: number, ways: readonly T[]): readonly T[] {
  return isEveryDeath ? ways : ways.slice(step % ways.length, (step % ways.length) + 1)
}
