/** Typed events: what an app subscribes to. A listener that throws harms neither us nor the other listeners. */
import { ObservableV2 } from 'lib0/observable'
import type { Stop } from './world.ts'

export class Emitter<E extends object> {
  readonly #observable = new ObservableV2<Record<string, (value: unknown) => void>>()

  on<K extends keyof E & string>(event: K, listener: (value: E[K]) => void): Stop {
    const guarded = (value: unknown) => {
      try {
        listener(value as E[K])
      } catch (error) {
        // Theirs, not ours: it surfaces as theirs, and we go on.
        queueMicrotask(() => {
          throw error
        })
      }
    }
    this.#observable.on(event, guarded)
    return () => this.#observable.off(event, guarded)
  }

  protected emit<K extends keyof E & string>(event: K, value: E[K]): void {
    this.#observable.emit(event, [value])
  }
}
