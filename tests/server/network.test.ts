/** Which addresses count as one. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isSameAddress, networkOf } from '../../packages/server/src/network.ts'

const networkTest = suite('network')

networkTest('an IPv4 address is a network of its own, also when it is written as IPv6', () => {
  assert.is(networkOf('203.0.113.7'), '203.0.113.7')
  assert.is(networkOf('::ffff:203.0.113.7'), '203.0.113.7')
  assert.is.not(networkOf('203.0.113.8'), networkOf('203.0.113.7'))
})

networkTest('the addresses of 64 bits of IPv6 are one network, those of the next 64 another', () => {
  for (const [address, network] of [
    ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1'],
    ['2001:db8:0:1::', '2001:db8:0:1'],
    ['2001:db8:0:1::9', '2001:db8:0:1'],
    ['2001:db8:0:2::9', '2001:db8:0:2'],
    ['2001:db8::1:2:3:4:5', '2001:db8:0:1'],
    ['2001:db8::5', '2001:db8:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
    ['::1', '0:0:0:0'],
    ['::', '0:0:0:0']
  ] as const) {
    assert.is(networkOf(address), network, address)
  }
})

networkTest('an address is the same however it is written, and another one beside it is not', () => {
  for (const [a, b] of [
    ['203.0.113.7', '::ffff:203.0.113.7'],
    ['2001:db8::1', '2001:DB8:0:0:0:0:0:1'],
    ['127.0.0.1', '127.0.0.1']
  ] as const) {
    assert.ok(isSameAddress(a, b), `${a} ${b}`)
    assert.ok(isSameAddress(b, a), `${b} ${a}`)
  }
  for (const other of ['2001:db8::2', '203.0.113.7', 'nonsense', undefined]) {
    assert.not.ok(isSameAddress('2001:db8::1', other), other)
  }
})

networkTest('a socket that is gone already has no address, and is counted all the same', () => {
  assert.is(networkOf(undefined), '')
})

networkTest.run()
