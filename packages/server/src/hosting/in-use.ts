/**
 * Which logs a user keeps in use by following them. A user is an account or a network: each log counts once for it, however
 * many of its sessions follow that log, for it is in memory once.
 */
export class InUse {
  /** User → log hex → its sessions that follow it. */
  readonly #users = new Map<string, Map<string, number>>()

  /** @returns whether this log brings no more than `max` */
  mayEnter(user: string, log: string, max: number): boolean {
    const logs = this.#users.get(user)
    return !logs || logs.has(log) || logs.size < max
  }

  enter(user: string, log: string): void {
    const logs = this.#users.get(user) ?? new Map<string, number>()
    this.#users.set(user, logs)
    logs.set(log, (logs.get(log) ?? 0) + 1)
  }

  leave(user: string, log: string): void {
    const logs = this.#users.get(user)
    const sessions = (logs?.get(log) ?? 0) - 1
    if (sessions > 0) logs?.set(log, sessions)
    else logs?.delete(log)
    if (logs?.size === 0) this.#users.delete(user)
  }
}
