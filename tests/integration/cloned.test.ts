// limit: 600 s
/**
 * Two copies of one device: a folder that was copied, or restored from a backup. The copy that notices becomes a device of
 * its own and loses nothing; another one is locked, keeps what it has, and is paired again.
 */
import { existsSync } from 'node:fs'
import { cp, rm } from 'node:fs/promises'
import { type Account, LendError, openAccount, pairDevice, type Share, type World } from '@lend/client'
import { decodeEntry, decodeFrame, decodeStatement, type Entry, hex, loadSuite } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type * as Y from 'yjs'
import {
  event,
  follow,
  type Household,
  household,
  lend,
  linkTo,
  memberOf,
  replicaOf,
  textOf,
  until
} from './household.ts'
import { type DiskStep, nodeWorld, noNetwork, throughDisk } from './worlds.ts'

const cloned = suite('cloned')
const crypto = await loadSuite()

/** Where a word is written. */
type Where = 'library' | 'share' | 'both'

/** Whoever tells a share of so many devices in a minute is asked to wait. */
const NO_HASTE = { limits: { memberAccessBurst: 100 } }

const offlineWorld: World = { ...nodeWorld, ...noNetwork }

async function open(house: Household, name: string, world: World = nodeWorld): Promise<Account> {
  return house.keep(await openAccount({ path: house.folder(name), world }))
}

function copy(house: Household, from: string, to: string): Promise<void> {
  return cp(house.folder(from), house.folder(to), { recursive: true })
}

/** An account with an item and a share, closed. */
async function closedAccount(house: Household, name = 'maya'): Promise<void> {
  const maya = await house.person(name)
  await maya.library.add('note', { name: 'Note' })
  await lend(maya, 'Garden')
  await write(maya, 'one')
  await maya.synced()
  await maya.close()
}

/** Opens the account for one word, which is saved. */
async function writeIn(house: Household, name: string, word: string, world: World, where?: Where): Promise<void> {
  const account = await open(house, name, world)
  await write(account, word, where)
  if (world !== offlineWorld) await account.synced()
  await account.close()
}

async function write(account: Account, word: string, where: Where = 'both'): Promise<void> {
  if (where !== 'share') {
    const item = await itemOf(account)
    wordsIn(item).push([word])
    item.destroy()
  }
  if (where !== 'library') wordsIn(shareOf(account).doc).push([word])
}

/** Resolves when those words are there and no others. */
async function holds(account: Account, words: readonly string[], where: Where = 'both'): Promise<void> {
  const wanted = [...words].sort()
  const look = async (doc: Y.Doc, what: string) => {
    await until(doc, () => wordsIn(doc).length >= wanted.length)
    assert.equal(wordsIn(doc).toArray().sort(), wanted, what)
  }
  const item = await itemOf(account)
  if (where !== 'share') await look(item, 'the item')
  item.destroy()
  if (where !== 'library') await look(shareOf(account).doc, 'the share')
}

function wordsIn(doc: Y.Doc): Y.Array<string> {
  return doc.getArray<string>('words')
}

function shareOf({ shares: [share] }: Account): Share {
  if (!share) throw new Error('there is no share')
  return share
}

async function itemOf({ library }: Account): Promise<Y.Doc> {
  const [item] = library.items
  if (!item) throw new Error('there is no item')
  return library.open(item)
}

function deviceOf({ devices }: Account): string {
  return hex(devices.find(({ isThis }) => isThis)?.id ?? new Uint8Array())
}

function namesOf({ devices }: Account): string {
  const names = devices.map(({ name }) => name)
  return names.sort().join()
}

/** Why it failed, if it did. */
function failure({ status }: Pick<Account, 'status'>): string | null {
  return status.state === 'failed' ? status.error.code : null
}

function isLocked(account: Account): boolean {
  return failure(account) === 'DEVICE_CLONED'
}

async function codeOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked
    return 'ok'
  } catch (error) {
    if (!(error instanceof LendError)) throw error
    return error.code
  }
}

/** The copy in this folder is out: it is paired again by another device. */
async function pairAgain(house: Household, by: Account, name: string, world = nodeWorld): Promise<Account> {
  const invite = await by.inviteDevice()
  await until(by, () => invite.state === 'open')
  const paired = await pairDevice(invite.link ?? '', { path: house.folder(name), device: name, world })
  await paired.synced()
  return house.keep(paired)
}

cloned(
  'the copy that notices becomes a device of its own while it is open; the other is locked, keeps what it has, and is paired again',
  household(async house => {
    await closedAccount(house)
    await copy(house, 'maya', 'clone')
    await writeIn(house, 'maya', 'maya', nodeWorld)
    await writeIn(house, 'maya', 'maya, later', offlineWorld)
    await writeIn(house, 'clone', 'clone', offlineWorld)

    const clone = await open(house, 'clone')
    const held = wordsIn(shareOf(clone).doc)
    await event(clone, 'error', ({ code }) => code === 'DEVICE_CLONED')
    await holds(clone, ['one', 'maya', 'clone'])
    await clone.synced()
    await until(clone, () => namesOf(clone) === 'this device')
    // A document that somebody holds lives through it.
    held.push(['clone, later'])
    await clone.synced()

    const locked = await open(house, 'maya')
    const lockedShare = shareOf(locked)
    await until(locked, () => isLocked(locked))
    assert.is(lockedShare.status.state === 'failed' && lockedShare.status.error.code, 'DEVICE_CLONED')
    assert.is(await codeOf(locked.inviteDevice()), 'DEVICE_CLONED')
    assert.is(await codeOf(locked.signOut()), 'UNSYNCED')
    // What is edited in a document that is open still is kept.
    wordsIn(lockedShare.doc).push(['maya, locked'])
    await locked.close()
    const again = await open(house, 'maya', offlineWorld)
    assert.ok(isLocked(again))
    await again.close()
    await holds(clone, ['one', 'maya', 'clone'], 'library')

    const paired = await pairAgain(house, clone, 'maya')
    for (const account of [clone, paired]) {
      await holds(account, ['one', 'maya', 'clone', 'maya, later'], 'library')
      await holds(account, ['one', 'maya', 'clone', 'clone, later', 'maya, later', 'maya, locked'], 'share')
      await until(account, () => namesOf(account) === 'maya,this device')
    }
  })
)

for (const where of ['library', 'share', 'both'] as const) {
  const place = where === 'both' ? 'library and share' : `the ${where}`
  cloned(
    `two copies that are open together lose nothing of what both write into ${place}, and none is the old device`,
    household(async house => {
      await closedAccount(house)
      await copy(house, 'maya', 'clone')
      const names = ['maya', 'clone'] as const
      const words = ['one']
      let old = ''
      const writeOne = async (name: string, word: string, account: Account) => {
        const said = await codeOf(write(account, word, where))
        if (said === 'ok') words.push(word)
        else assert.is(said, 'DEVICE_CLONED', name)
      }
      for (const name of names) {
        const account = await open(house, name, offlineWorld)
        await writeOne(name, `${name}, offline`, account)
        old = deviceOf(account)
        await account.close()
      }
      const before = await Promise.all(names.map(name => open(house, name)))
      await Promise.all(before.map((account, i) => writeOne(names[i] ?? '', `${names[i]}, online`, account)))
      await Promise.all(before.map(account => until(account, () => isLocked(account) || deviceOf(account) !== old)))
      const alive = before.find(account => !isLocked(account))
      if (!alive) throw new Error('every copy is locked')
      const after: Account[] = []
      for (const [i, account] of before.entries()) {
        await until(account, () => isLocked(account) || account.devices.every(({ id }) => hex(id) !== old))
        if (isLocked(account)) await account.close()
        after.push(isLocked(account) ? await pairAgain(house, alive, names[i] ?? '') : account)
      }
      for (const account of after) {
        await holds(account, words, where)
        await account.synced()
        await until(account, () => account.devices.length === 2)
        assert.not.ok(account.devices.some(({ id }) => hex(id) === old))
      }
    })
  )
}

cloned(
  'a restored backup reads what came after it, is a device of its own, and what is lent goes on with what it writes',
  household(async house => {
    await closedAccount(house)
    const ana = await house.person('ana')
    const maya = await open(house, 'maya')
    const lent = await follow(shareOf(maya), ana)
    await maya.close()
    await copy(house, 'maya', 'backup')
    await writeIn(house, 'maya', 'after the backup', nodeWorld)
    await rm(house.folder('maya'), { recursive: true })
    await cp(house.folder('backup'), house.folder('maya'), { recursive: true })
    const restored = await open(house, 'maya')
    await event(restored, 'error', ({ code }) => code === 'DEVICE_CLONED')
    await holds(restored, ['one', 'after the backup'])
    await write(restored, 'after the restoring')
    await restored.synced()
    await until(restored, () => restored.devices.length === 1)
    await until(lent.doc, () => wordsIn(lent.doc).length === 3)
    assert.is(memberOf(shareOf(restored), ana).state, 'joined')
    // Its links work, and it is a device like any other from now on.
    const late = await house.person('late')
    const toLate = await late.accept(await linkTo(shareOf(restored)))
    await until(toLate.doc, () => wordsIn(toLate.doc).length === 3)
    await restored.close()
    const again = await open(house, 'maya')
    const errors: LendError[] = []
    again.on('error', error => errors.push(error))
    await again.synced()
    await holds(again, ['one', 'after the backup', 'after the restoring'])
    assert.equal(errors, [])
  })
)

cloned(
  'a member’s device that was copied keeps what is lent to it; the locked copy shows nothing of it until it is paired again',
  household(async house => {
    const maya = await house.person('maya')
    const share = await lend(maya, 'Garden', 'a')
    const ana = await house.person('ana')
    await follow(share, ana)
    await ana.synced()
    await ana.close()
    await copy(house, 'ana', 'clone')
    const original = await open(house, 'ana')
    await original.rename('Ana')
    await original.synced()
    await original.close()

    const clone = await open(house, 'clone')
    await event(clone, 'error', ({ code }) => code === 'DEVICE_CLONED')
    await clone.synced()
    assert.is(clone.name, 'Ana')
    const lentTo = ({ sharedWithMe: [lent] }: Account) => {
      if (!lent) throw new Error('nothing is lent')
      return lent
    }
    textOf(share).insert(1, 'b')
    await until(lentTo(clone).doc, () => textOf(lentTo(clone)).toString() === 'ab')

    const locked = await open(house, 'ana')
    await until(locked, () => isLocked(locked))
    const lockedShare = lentTo(locked)
    assert.is(lockedShare.status.state === 'failed' && lockedShare.status.error.code, 'DEVICE_CLONED')
    assert.throws(
      () => lockedShare.doc,
      (error: unknown) => error instanceof LendError && error.code === 'LOCKED'
    )
    await locked.close()
    const { directory, keyFile } = replicaOf(house.folder('ana'), share)
    assert.ok(existsSync(directory) && existsSync(keyFile))

    const paired = await pairAgain(house, clone, 'ana')
    await until(lentTo(paired).doc, () => textOf(lentTo(paired)).toString() === 'ab')
    await until(share, () => memberOf(share, clone).state === 'joined' && share.members.length === 1)
  })
)

cloned(
  'a share that a copy made offline is at its relay once that copy is paired again, and so is a leave',
  household(async house => {
    const ana = await house.person('ana')
    await closedAccount(house)
    const maya = await open(house, 'maya')
    const toMaya = await follow(await lend(ana, 'Attic', 'dust'), maya)
    await maya.synced()
    await maya.close()
    await copy(house, 'maya', 'clone')
    await writeIn(house, 'maya', 'maya', nodeWorld)
    const clone = await open(house, 'clone')
    await event(clone, 'error', ({ code }) => code === 'DEVICE_CLONED')
    await until(clone, () => clone.devices.length === 1)

    const early = await open(house, 'maya', offlineWorld)
    const share = await early.share({ title: 'Cellar' })
    textOf(share).insert(0, 'wine')
    await early.sharedWithMe[0]?.leave()
    await early.close()
    const locked = await open(house, 'maya')
    await until(locked, () => isLocked(locked))
    await locked.close()

    const paired = await pairAgain(house, clone, 'maya')
    const cellarOf = ({ shares }: Account) => shares.find(({ title }) => title === 'Cellar')
    for (const account of [paired, clone]) {
      const cellar = await until(account, () => cellarOf(account))
      await cellar.synced()
      assert.is(textOf(cellar).toString(), 'wine')
    }
    const [attic] = ana.shares
    if (!attic) throw new Error('there is no attic')
    await until(attic, () => memberOf(attic, clone).state === 'left')
    await until(clone, () => clone.sharedWithMe.length === 0)
    assert.is(toMaya.status.state, 'offline')
  }, NO_HASTE)
)

cloned(
  'two copies that notice before either has put the old device out both become devices of their own',
  household(async house => {
    await closedAccount(house)
    await copy(house, 'maya', 'clone')
    for (const name of ['maya', 'clone']) await writeIn(house, name, name, offlineWorld)
    await writeIn(house, 'maya', 'first', nodeWorld)
    await copy(house, 'clone', 'other')
    let letGo = () => {}
    const holding = new Promise<void>(resolve => {
      letGo = resolve
    })
    const isRemoval = ({ kind, payload }: Entry) =>
      kind === 'access' && decodeStatement(payload).type === 'remove-devices'
    const slow = watchedWorld(entries => (entries.some(isRemoval) ? holding : null))
    const clone = await open(house, 'clone', slow)
    const old = deviceOf(clone)
    await until(clone, () => deviceOf(clone) !== old)
    const other = await open(house, 'other')
    await event(other, 'error', ({ code }) => code === 'DEVICE_CLONED')
    letGo()
    for (const account of [clone, other]) {
      await until(account, () => account.devices.length === 2 && account.devices.every(({ id }) => hex(id) !== old))
      await holds(account, ['one', 'maya', 'first', 'clone'])
      await account.synced()
    }
  })
)

for (const [edits, others] of [
  [3, 2],
  [1, 2]
] as const) {
  cloned(
    `a copy that has ${edits} entries notices by another device’s snapshot over ${others} that it did not write, and loses none`,
    household(async house => {
      await closedAccount(house)
      const first = await open(house, 'maya')
      let covered = () => {}
      const snapshot = new Promise<void>(resolve => {
        covered = resolve
      })
      const watched = watchedWorld(entries => {
        if (entries.some(({ kind }) => kind === 'snapshot')) covered()
      })
      const laptop = await pairAgain(house, first, 'laptop', watched)
      await first.close()
      // What either says of the share in the list is said: nothing but the share will tell.
      for (let i = 0; i < 2; i++) {
        const again = await open(house, 'maya')
        await again.synced()
        await laptop.synced()
        await again.close()
      }
      await copy(house, 'maya', 'clone')
      const words = ['one']
      const writeSome = async (count: number, name: string, world: World) => {
        for (let i = 0; i < count; i++) {
          words.push(`${name} ${i}`)
          await writeIn(house, name, `${name} ${i}`, world, 'share')
        }
      }
      await writeSome(others, 'maya', nodeWorld)
      await holds(laptop, words, 'share')
      // Enough for a snapshot, by the device that has seen it all.
      for (let i = 0; i < 3; i++) shareOf(laptop).doc.getMap('large').set(`${i}`, 'x'.repeat(60_000))
      await snapshot
      await laptop.synced()
      await writeSome(edits, 'clone', offlineWorld)
      const clone = await open(house, 'clone')
      await event(clone, 'error', ({ code }) => code === 'DEVICE_CLONED')
      for (const account of [clone, laptop]) await holds(account, words, 'share')
    })
  )
}

const DEATHS = Number(process.env.LEND_CLONED_DEATHS ?? 2)

cloned(
  'a copy that is killed at any step on its way to a device of its own gets there at the next start, and loses nothing',
  household(async house => {
    /** @param at the step before which it is killed @returns the steps up to there */
    const die = async (name: string, at: number): Promise<readonly string[]> => {
      await closedAccount(house, name)
      await copy(house, name, `${name}, clone`)
      await writeIn(house, name, 'original', nodeWorld)
      await writeIn(house, `${name}, clone`, 'clone', offlineWorld)
      const mortal = mortalWorld(at)
      const path = house.folder(`${name}, clone`)
      const opened = openAccount({ path, world: mortal.world })
      const isDone = opened.then(async account => {
        await until(account, () => account.devices.length === 1 && namesOf(account) === 'this device')
        await account.synced()
        await account.close()
      })
      isDone.catch(() => {})
      await Promise.race([mortal.died, isDone])
      const steps = [...mortal.steps]
      // What a kill leaves on the disk; the process that holds it is this one.
      await copy(house, `${name}, clone`, `${name}, again`)
      const again = await open(house, `${name}, again`)
      await holds(again, ['one', 'original', 'clone'])
      await again.synced()
      await until(again, () => again.devices.length === 1)
      const late = await open(house, name)
      await until(late, () => isLocked(late))
      assert.not.equal(deviceOf(late), deviceOf(again))
      return steps
    }
    const whole = await die('nobody', Number.POSITIVE_INFINITY)
    const first = whole.findIndex(step => step.includes('candidate'))
    assert.ok(first > 0, whole.join())
    const count = whole.length - first
    const deaths = Array.from({ length: Math.min(DEATHS, count) }, (_, i) => {
      return first + 1 + Math.floor((i * count) / Math.min(DEATHS, count))
    })
    const died = await Promise.all(deaths.map(at => die(`dies at ${at}`, at)))
    console.log(died.map(steps => steps.at(-1)).join('\n'))
  })
)

cloned.run()

/** @param sends told of the entries of each frame before it is sent; a frame waits for what it returns */
function watchedWorld(sends: (entries: readonly Entry[]) => Promise<void> | null | undefined | void): World {
  return {
    ...nodeWorld,
    connect(url, events) {
      const socket = nodeWorld.connect(url, events)
      return {
        bufferedBytes: 0,
        receivedBytes: 0,
        send(message) {
          const frame = decodeFrame(message)
          const entries = frame.type === 'append' ? frame.entries.map(bytes => decodeEntry(crypto, bytes)) : []
          const held = sends(entries)
          if (held) void held.then(() => socket.send(message))
          else socket.send(message)
        },
        close: () => socket.close()
      }
    }
  }
}

/** A world that stands still before a step, as after a kill: each write to the disk and each frame is one. */
function mortalWorld(at: number): { world: World; died: Promise<void>; steps: readonly string[] } {
  const steps: string[] = []
  const sockets = new Set<{ close(): void }>()
  let isDead = false
  let die = () => {}
  const died = new Promise<void>(resolve => {
    die = resolve
  })
  const isAlive = (step: string): boolean => {
    if (isDead) return false
    steps.push(step)
    if (steps.length < at) return true
    isDead = true
    for (const socket of sockets) socket.close()
    die()
    return false
  }
  const isWrite = ({ does }: DiskStep) => ['writeFile', 'destroyFile', 'batch', 'destroyDatabase'].includes(does)
  const world: World = {
    ...throughDisk((step, run) => {
      const { does, to, keys = [] } = step
      if (isWrite(step) ? isAlive(`${does} ${to.slice(0, 12)} ${keys.slice(0, 4)}`) : !isDead) return run()
      return new Promise(() => {})
    }),
    timer: (ms, run) => nodeWorld.timer(ms, () => !isDead && run()),
    connect(url, events) {
      if (isDead) return { bufferedBytes: 0, receivedBytes: 0, send() {}, close() {} }
      const socket = nodeWorld.connect(url, {
        open: () => !isDead && events.open(),
        message: bytes => !isDead && events.message(bytes),
        close: () => !isDead && events.close()
      })
      sockets.add(socket)
      return {
        bufferedBytes: 0,
        receivedBytes: 0,
        send(message) {
          if (isAlive(decodeFrame(message).type)) socket.send(message)
        },
        close: () => socket.close()
      }
    }
  }
  return { world, died, steps }
}
