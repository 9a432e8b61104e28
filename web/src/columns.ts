// What the charts draw of the points that the node recorded. Pure.

import type { Point } from './api'

// gap is how many seconds without a point are shown as a gap.
const gap = 7

export interface Series {
  label: string
  // color is the name of a colour of the style sheet.
  color: 'blue' | 'teal' | 'red'
  values: (number | null)[]
}

// columns are the lines of the charts, over the same times.
export function columns(points: Point[]) {
  const times: number[] = []
  const rows: (Point | undefined)[] = []
  for (const p of points) {
    const t = Date.parse(p.time) / 1000
    const last = times.at(-1)
    if (last !== undefined && t - last > gap) {
      times.push(last + 1)
      rows.push(undefined)
    }
    times.push(t)
    rows.push(p)
  }
  const column = (label: string, color: Series['color'], pick: (p: Point) => number | undefined): Series => ({
    label,
    color,
    values: rows.map((p) => (p ? (pick(p) ?? null) : null)),
  })
  const rate = (pick: (l4: NonNullable<Point['l4']>) => number) => mean(rows.map((p) => p?.l4 && pick(p.l4)))
  // Where this node balances nothing the proxy's line stands alone.
  const both = (proxy: Series, balanced: Series) => (points.some((p) => p.l4) ? [proxy, balanced] : [proxy])
  return {
    times,
    requests: [column('all', 'blue', (p) => p.l7?.requests), column('5xx', 'red', (p) => p.l7?.errors)],
    connections: both(column('proxy', 'blue', (p) => p.l7?.connections), column('balanced', 'teal', (p) => p.l4?.connections)),
    fresh: both(column('proxy', 'blue', (p) => p.l7?.new_connections), { label: 'balanced', color: 'teal', values: rate((l4) => l4.new_connections) }),
    bytes: both(column('answered', 'blue', (p) => p.l7?.bytes_sent), { label: 'balanced', color: 'teal', values: rate((l4) => l4.bytes) }),
  }
}

// mean is that of each value and the two before it. The counters of IPVS stand
// still for two seconds at a time (net/netfilter/ipvs/ip_vs_est.c), and points
// are as far apart: a point may see none of what the next one sees twice.
export function mean(values: (number | undefined)[]): (number | null)[] {
  return values.map((v, i) => {
    if (v === undefined) return null
    const near = values.slice(Math.max(0, i - 2), i + 1).filter((n) => n !== undefined)
    return near.reduce((a, b) => a + b, 0) / near.length
  })
}
