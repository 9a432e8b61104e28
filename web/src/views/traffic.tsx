import { useMemo } from 'preact/hooks'
import type { Point } from '../api'
import { bytes, compact } from '../format'
import { span } from '../live'
import { Chart, type Series } from './chart'
import { Empty, Section } from './parts'

// gap is how many seconds without a point are shown as a gap.
const gap = 7

// Traffic is what the node did in the last ten minutes. While nothing is heard
// of the node, its past moves on and nothing comes after it.
export function Traffic({ points, now, dark }: { points: Point[]; now: number; dark: boolean }) {
  const c = useMemo(() => columns(points), [points])
  const l4 = points.some((p) => p.l4)
  const l7 = points.some((p) => p.l7)
  const chart = { times: c.times, until: now / 1000, span: span / 1000, dark }
  return (
    <Section id="traffic" title="Traffic" note="last ten minutes, this node">
      {!l4 && !l7 && <Empty>Nothing has been recorded yet: the first point comes within seconds.</Empty>}
      <div class="charts">
        {l7 && <Chart {...chart} title="Requests" write={rate} series={c.requests} />}
        {(l4 || l7) && <Chart {...chart} title="Connections" write={compact} series={c.connections} />}
        {(l4 || l7) && <Chart {...chart} title="New connections" write={rate} series={c.fresh} />}
        {(l4 || l7) && <Chart {...chart} title="Bytes" write={(n) => `${bytes(n)}/s`} series={c.bytes} />}
      </div>
    </Section>
  )
}

function rate(n: number): string {
  return `${compact(n)}/s`
}

function columns(points: Point[]) {
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
  // Where this node balances nothing the proxy's line stands alone.
  const both = (proxy: Series, balanced: Series) => (points.some((p) => p.l4) ? [proxy, balanced] : [proxy])
  return {
    times,
    requests: [column('all', 'blue', (p) => p.l7?.requests), column('5xx', 'red', (p) => p.l7?.errors)],
    connections: both(column('at the proxy', 'blue', (p) => p.l7?.connections), column('balanced', 'teal', (p) => p.l4?.connections)),
    fresh: both(column('at the proxy', 'blue', (p) => p.l7?.new_connections), column('balanced', 'teal', (p) => p.l4?.new_connections)),
    bytes: both(column('answered', 'blue', (p) => p.l7?.bytes_sent), column('balanced', 'teal', (p) => p.l4?.bytes)),
  }
}
