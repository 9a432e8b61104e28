import { useMemo } from 'preact/hooks'
import type { Point } from '../api'
import { columns } from '../columns'
import { bytes, compact } from '../format'
import { span } from '../live'
import { Chart } from './chart'
import { Empty, Section } from './parts'

// Traffic is what the node did in the ten minutes before now, which stands still
// while nothing is heard of the node.
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
