/**
 * Runs several test files in this process, one after the other: `together.ts FILE …`. For pure ones, which need no process of
 * their own, the start of one is most of the time that they take.
 */
Reflect.set(globalThis, 'UVU_DEFER', 1)
const { exec } = await import('uvu')
const queue: unknown[][] = Reflect.get(globalThis, 'UVU_QUEUE')
for (const [i, path] of process.argv.slice(2).entries()) {
  queue[i] = [path.split(/[\\/]/).at(-1)]
  Reflect.set(globalThis, 'UVU_INDEX', i)
  await import(path)
}
await exec()

export {}
