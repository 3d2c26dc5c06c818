// limit: 600 s
/** The 24 words: showing and confirming them, and taking an account back by them when its devices are lost. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Account, LendError, openAccount, pairDevice, recoverAccount } from '@lend/client'
import { decodeStatement, hex, logId } from '@lend/engine'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodePhrase } from '../../packages/client/src/account/phrase.ts'
import { waysAt } from './deaths.ts'
import { follow, type Household, household, lend, memberOf, textOf, until } from './household.ts'
import { newcomer } from './newcomer.ts'
import { entriesOf } from './relay-log.ts'
import { folderBytes, searchFolder } from './search.ts'
import { movableTime, nodeWorld, noNetwork } from './worlds.ts'

const recovery = suite('recovery')

async function codeOf(asked: () => Promise<unknown>): Promise<string> {
  try {
    await asked()
    return 'ok'
  } catch (error) {
    if (!(error instanceof LendError)) throw error
    return error.code
  }
}

const NOBODYS = `${'abandon '.repeat(23)}art`
/** Words of the list, whose last should be another. */
const CHECKSUM = 'abandon '.repeat(24)
const TWELVE = `${'abandon '.repeat(11)}about`

/** A link that adds a device, once the relay has its invite. */
async function deviceLink(account: Account): Promise<string> {
  const invite = await account.inviteDevice()
  await until(account, () => invite.state === 'open')
  if (invite.link === null) throw new Error('the device that made an invite knows its link')
  return invite.link
}

async function pairWith(house: Household, account: Account, device: string): Promise<Account> {
  await account.synced()
  return house.keep(
    await pairDevice(await deviceLink(account), { path: house.folder(device), device, world: nodeWorld })
  )
}

async function recover(house: Household, words: string, device: string): Promise<Account> {
  const o = { path: house.folder(device), relay: house.relay.url, device, world: nodeWorld }
  return house.keep(await recoverAccount(words, o))
}

recovery(
  'the words are 24, the same at each look and after a new start, and gone once they are confirmed',
  household(async house => {
    const first = await house.person('Maya')
    const words = await first.showPhrase()
    assert.is(words.split(' ').length, 24)
    assert.is(await first.showPhrase(), words)
    await first.close()
    const maya = await house.person('Maya')
    assert.is(await maya.showPhrase(), words)
    assert.is(maya.phrase, 'unconfirmed')
    const list = words.split(' ')
    const strange = ['lends', ...list.slice(1)].join(' ')
    const foreign = await (await house.person('Ana')).showPhrase()
    for (const wrong of [
      strange,
      CHECKSUM,
      foreign,
      list.slice(1).join(' '),
      `${words} zoo`,
      'zoo',
      '',
      '\ud800',
      TWELVE
    ]) {
      assert.is(await codeOf(() => maya.confirmPhrase(wrong)), 'PHRASE_WRONG', wrong)
    }
    assert.is(maya.phrase, 'unconfirmed')
    await maya.confirmPhrase(`  ${list.join('\n \t').toUpperCase()} `)
    assert.is(maya.phrase, 'confirmed')
    assert.is(await codeOf(() => maya.showPhrase()), 'PHRASE_GONE')
    await maya.close()
    const again = await house.person('Maya')
    assert.is(again.phrase, 'confirmed')
    assert.is(await codeOf(() => again.showPhrase()), 'PHRASE_GONE')
  })
)

recovery(
  'until the words are confirmed the disk has them under a key of its own, which is gone from it once they are',
  household(async house => {
    const maya = await house.person('Maya')
    const words = await maya.showPhrase()
    const folder = house.folder('Maya')
    const keyFile = join(folder, 'keys', 'phrase')
    const key = await readFile(keyFile)
    assert.is(key.length, 32)
    assert.ok((await searchFolder(folder, [key])).length > 0)
    await maya.confirmPhrase(words)
    assert.not(existsSync(keyFile))
    assert.equal(await searchFolder(folder, [key, decodePhrase(words), ...words.split(' ').slice(0, 1)]), [])
    assert.ok((await folderBytes(folder)) > 1000)
  })
)

recovery(
  'a paired device never had the words, can confirm them for all, and the first forgets them when it hears of that',
  household(async house => {
    const phone = await house.person('Maya')
    const words = await phone.showPhrase()
    const laptop = await pairWith(house, phone, 'laptop')
    await laptop.synced()
    assert.is(laptop.phrase, 'unconfirmed')
    assert.is(await codeOf(() => laptop.showPhrase()), 'PHRASE_GONE')
    // The first hears of it when it is there again.
    await phone.close()
    await laptop.confirmPhrase(words)
    await laptop.synced()
    const again = await house.person('Maya')
    await until(again, () => again.phrase === 'confirmed')
    assert.is(await codeOf(() => again.showPhrase()), 'PHRASE_GONE')
    await again.close()
    assert.not(existsSync(join(house.folder('Maya'), 'keys', 'phrase')))
  })
)

recovery(
  'with all devices lost the words bring back the account, its name and its shares, and its old devices are out',
  household(async house => {
    const phone = await house.person('Maya')
    const words = await phone.showPhrase()
    const laptop = await pairWith(house, phone, 'laptop')
    await laptop.synced()
    const unused = await deviceLink(phone)
    await laptop.rename('Maya Green')
    const door = await laptop.library.add('camera', { name: 'Door' }, { private: { password: 'hinge' } })
    await until(phone.library, () => phone.library.items.length === 1)
    const garden = await lend(phone, 'Garden', 'roses')
    await garden.select(door)
    const ana = await house.person('Ana')
    const lent = await follow(garden, ana)
    const paper = await follow(await lend(ana, 'Paper', 'a line'), phone)
    await until(phone, () => phone.name === 'Maya Green')
    await Promise.all([phone.synced(), laptop.synced(), paper.synced()])
    await Promise.all([phone.close(), laptop.close()])

    const tablet = await recover(house, ` ${words.toUpperCase()}\n`, 'tablet')
    assert.is(hex(tablet.id), hex(phone.id))
    await until(tablet, () => tablet.name === 'Maya Green' && tablet.phrase === 'confirmed')
    assert.is(tablet.devices.map(({ name }) => name).join(), 'tablet')
    const mine = await until(tablet, () => tablet.shares.find(({ title }) => title === 'Garden'))
    await mine.synced()
    assert.is(textOf(mine).toString(), 'roses')
    const [again] = await until(tablet.library, () => tablet.library.items.length === 1 && tablet.library.items)
    if (!again) throw new Error('its item is not back')
    assert.is(again.name, 'Door')
    assert.is((await tablet.library.openPrivate(again)).getMap('camera').get('password'), 'hinge')
    assert.is((await tablet.library.open(again)).getMap('camera').get('name'), 'Door')
    await until(mine, () => mine.items.length === 1 && memberOf(mine, ana).state === 'joined')
    textOf(mine).insert(0, 'red ')
    await until(lent.doc, () => textOf(lent).toString() === 'red roses')
    const theirs = await until(tablet, () => tablet.sharedWithMe.find(({ title }) => title === 'Paper'))
    await theirs.synced()
    assert.is(textOf(theirs).toString(), 'a line')

    for (const name of ['Maya', 'laptop']) {
      const old = await openAccount({ path: house.folder(name), world: nodeWorld })
      await until(old, () => old.status.state === 'ended' && old.status.reason === 'device-removed')
      await old.close()
    }
    assert.is(await codeOf(() => pairDevice(unused, { path: house.folder('late'), world: nodeWorld })), 'INVITE_VOID')
    textOf(mine).insert(0, 'dark ')
    await until(lent.doc, () => textOf(lent).toString() === 'dark red roses')
    // What the old devices never wrote reaches the member too.
    ;(await tablet.library.open(again)).getMap('camera').set('zoom', 2)
    const [copied] = await until(lent, () => lent.items.length === 1 && lent.items)
    if (!copied) throw new Error('the item is not lent any more')
    const copy = await lent.open(copied)
    await until(copy, () => copy.getMap('camera').get('zoom') === 2)
    assert.equal([hex(lent.owner.account), ana.sharedWithMe.length], [hex(tablet.id), 1])
  })
)

recovery(
  'an old device that is open when the account is recovered is out at once, and the new one can pair others',
  household(async house => {
    const phone = await house.person('Maya')
    const words = await phone.showPhrase()
    await phone.synced()
    const tablet = await recover(house, words, 'tablet')
    await until(phone, () => phone.status.state === 'ended')
    const laptop = await pairWith(house, tablet, 'laptop')
    await laptop.synced()
    await until(
      tablet,
      () =>
        tablet.devices
          .map(({ name }) => name)
          .sort()
          .join() === 'laptop,tablet'
    )
    // And again by the same words.
    const third = await recover(house, words, 'third')
    await Promise.all([tablet, laptop].map(old => until(old, () => old.status.state === 'ended')))
    assert.is(third.devices.length, 1)
    await until(third, () => third.name === 'Maya')
  })
)

recovery(
  'words that are none, a relay that does not know them, a folder that is taken and a relay that is away are refused',
  household(async house => {
    const phone = await house.person('Maya')
    const words = await phone.showPhrase()
    const ana = await house.person('Ana')
    await ana.close()
    const path = house.folder('tablet')
    const relay = house.relay.url
    assert.is(await codeOf(() => recoverAccount(CHECKSUM, { path, relay })), 'PHRASE_WRONG')
    assert.is(await codeOf(() => recoverAccount('', { path, relay })), 'PHRASE_WRONG')
    assert.is(await codeOf(() => recoverAccount(words, { path })), 'BAD_FIELD')
    assert.is(await codeOf(() => recoverAccount(words, { path: house.folder('Ana'), relay })), 'BAD_FIELD')
    assert.is(await codeOf(() => recoverAccount(words, { path: house.folder('Maya'), relay })), 'ALREADY_OPEN')
    assert.is(await codeOf(() => recoverAccount(NOBODYS, { path, relay })), 'NO_ACCESS')
    const time = movableTime()
    const code = codeOf(() => recoverAccount(words, { path, relay, world: { ...time.world, ...noNetwork } }))
    const moving = setInterval(() => time.moveOn(10_000), 20)
    assert.is(await code, 'OFFLINE')
    clearInterval(moving)
    await phone.synced()
    assert.is(phone.devices.length, 1)
    await recover(house, words, 'tablet')
  })
)

recovery(
  'a recovery that is killed at any step goes on with the same words, and resets the account once',
  household(async house => {
    const died = new Set<string>()
    const accounts: Account['id'][] = []
    const goOn = async (step: number, again: 'recover' | 'open') => {
      const person = await house.person(`Maya ${step} ${again}`)
      const words = await person.showPhrase()
      await person.synced()
      await person.close()
      const path = house.folder(`killed ${step} ${again}`)
      const said = await newcomer(path, step, 'recover', house.relay.url, words)
      const o = { path, relay: house.relay.url, device: 'tablet', world: nodeWorld }
      const opened = async () => {
        // Without a relay no account is made in a folder that has none.
        const { relay: _, ...there } = o
        try {
          return await openAccount(there)
        } catch (error) {
          if (!(error instanceof LendError) || !['NO_ACCESS', 'BAD_FIELD'].includes(error.code)) throw error
          return null
        }
      }
      // A recovery that was there already says so: the account is open then.
      const account = (again === 'open' || said === 'in' ? await opened() : null) ?? (await recovered(words, o))
      await account.synced()
      assert.is(hex(account.id), hex(person.id))
      assert.is(account.devices.length, 1)
      await account.close()
      died.add(said)
      accounts.push(account.id)
      return said
    }
    for (let step = 1, isIn = false; !isIn; step++) {
      const said = await Promise.all(waysAt(step, ['recover', 'open'] as const).map(again => goOn(step, again)))
      isIn = said.every(words => words === 'in')
    }
    console.log([...died].join('\n'))
    for (const what of ['batch account', 'follow', 'reset']) assert.ok(died.has(`dies before ${what}`), what)
    await house.stopRelay()
    for (const account of accounts) {
      const entries = await entriesOf(house.relayFolder, logId(account))
      const statements = entries.filter(({ entry }) => entry.kind === 'access')
      const types = statements.map(({ entry }) => decodeStatement(entry.payload).type)
      assert.equal(types, ['create-library', 'reset'])
    }
    await house.startRelay()
  })
)

/** Recovers; if the account had got into the folder before the process died, opens it. */
async function recovered(words: string, o: Parameters<typeof recoverAccount>[1]): Promise<Account> {
  try {
    return await recoverAccount(words, o)
  } catch (error) {
    if (!(error instanceof LendError) || error.code !== 'BAD_FIELD') throw error
    return openAccount(o)
  }
}

recovery.run()
