import { expect, test } from 'vitest'
import { address, bytes, compact, duration, host, known, plural, since } from './format'

test.each([
  [0, '0s'],
  [59.9, '59s'],
  [61, '1m 1s'],
  [3600, '1h 0m'],
  [47 * 3600, '47h 0m'],
  [50 * 3600, '2d 2h'],
  [90 * 86400, '90d'],
  [-5, '0s'],
])('duration %f', (seconds, want) => expect(duration(seconds)).toBe(want))

test.each([
  [0, '0'],
  [0.25, '0.3'],
  [12.4, '12'],
  [9999, '9999'],
  [10_000, '10k'],
  [1_234_567, '1235k'],
  [98_765_432, '98.8M'],
])('compact %f', (n, want) => expect(compact(n)).toBe(want))

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [999_600, '1.0 MB'],
  [12_345_678, '12 MB'],
])('bytes %f', (n, want) => expect(bytes(n)).toBe(want))

test.each([
  ['10.0.0.1:80', '10.0.0.1'],
  ['[2001:db8::1]:80', '2001:db8::1'],
  ['2001:db8::1', '2001:db8::1'],
  ['192.0.2.10/32', '192.0.2.10'],
])('host %s', (a, want) => expect(host(a)).toBe(want))

test.each([
  ['192.0.2.10/32', '192.0.2.10'],
  ['192.0.2.10/24', '192.0.2.10/24'],
  ['2001:db8::1/128', '2001:db8::1'],
])('address %s', (a, want) => expect(address(a)).toBe(want))

test('times that are not set', () => {
  expect(known('0001-01-01T00:00:00Z')).toBeUndefined()
  expect(since(undefined, 0)).toBe('–')
  expect(since('1970-01-01T00:00:00Z', 5000)).toBe('5s')
})

test('plural', () => {
  expect([plural(0, 'route'), plural(1, 'route'), plural(2, 'retry', 'retries')]).toEqual(['0 routes', '1 route', '2 retries'])
})
