import { expect, test } from 'vitest'
import type { Point } from './api'
import { columns, mean } from './columns'

const point = (s: number, n: number): Point => ({
  time: new Date(1e12 + s * 1000).toISOString(),
  l4: { connections: n, new_connections: n, packets: n, bytes: n },
  l7: { connections: n, new_connections: n, requests: n, errors: 0, bytes_sent: n },
})

test('a pause is a gap, and no line is drawn over it', () => {
  const c = columns([point(0, 1), point(2, 2), point(20, 3)])
  expect(c.times.map((t) => t - 1e9)).toEqual([0, 2, 3, 20])
  expect(c.requests[0]!.values).toEqual([1, 2, null, 3])
})

test('while no proxy answers its line is broken, and no other', () => {
  const alone: Point = { time: point(2, 0).time, l4: point(2, 5).l4 }
  const c = columns([point(0, 1), alone, point(4, 3)])
  expect(c.connections.map((s) => s.values)).toEqual([
    [1, null, 3],
    [1, 5, 3],
  ])
})

test('a node that balances nothing has the line of its proxy alone', () => {
  const { l4: _, ...rest } = point(0, 1)
  expect(columns([rest]).fresh.map((s) => s.label)).toEqual(['proxy'])
})

test('counters that stand still every other time make an even line', () => {
  expect(mean([6, 6, 0, 12, 6])).toEqual([6, 6, 4, 6, 6])
  expect(mean([3, undefined, 5])).toEqual([3, null, 4])
})
