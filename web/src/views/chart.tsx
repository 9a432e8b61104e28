import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import type { Series } from '../columns'
import { clock } from '../format'

export interface ChartProps {
  title: string
  // times are in seconds since 1970, in order; span is how many are shown, up to until.
  times: number[]
  until: number
  span: number
  series: Series[]
  write: (n: number) => string
  dark: boolean
}

// key moves the cursors of all charts together.
const key = 'portico'

// Chart draws lines over the last minutes, and tells their values in words: the
// latest, or those under the cursor.
export function Chart(p: ChartProps) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const [cursor, setCursor] = useState<number | null>(null)
  const range = useRef<[number, number]>([0, 1])
  range.current = [p.until - p.span, p.until]

  useEffect(() => {
    if (!box.current) return
    const u = new uPlot(options(p, box.current.clientWidth, () => range.current, setCursor), data(p), box.current)
    plot.current = u
    const resized = new ResizeObserver(() => box.current && u.setSize({ width: box.current.clientWidth, height }))
    resized.observe(box.current)
    return () => {
      resized.disconnect()
      u.destroy()
    }
  }, [p.dark, p.series.length])
  useEffect(() => plot.current?.setData(data(p)), [p.times, p.series, p.until])

  const at = cursor !== null && cursor < p.times.length ? cursor : p.times.length - 1
  const now = (s: Series) => s.values[s.values.length - 1]
  const most = (s: Series) => s.values.reduce<number>((a, b) => Math.max(a, b ?? 0), 0)
  const words = p.series.map((s) => `${s.label}: ${now(s) == null ? 'not known' : 'now ' + p.write(now(s)!)}, at most ${p.write(most(s))}`)
  return (
    <figure class="chart">
      <figcaption>
        <h3>{p.title}</h3>
        <span class="values">
          {p.series.map((s) => (
            <span key={s.label}>
              <i class={`key ${s.color}`} />
              {s.label} <b>{s.values[at] == null ? '–' : p.write(s.values[at]!)}</b>
            </span>
          ))}
          {cursor !== null && p.times[at] !== undefined && <span class="dim">{clock(p.times[at]! * 1000, p.until * 1000)}</span>}
        </span>
      </figcaption>
      <div class="plot" ref={box} role="img" aria-label={`${p.title} over ten minutes. ${words.join('. ')}.`} />
    </figure>
  )
}

const height = 132

function data(p: ChartProps): uPlot.AlignedData {
  return [p.times, ...p.series.map((s) => s.values)] as uPlot.AlignedData
}

function options(p: ChartProps, width: number, range: () => [number, number], setCursor: (i: number | null) => void): uPlot.Options {
  const style = getComputedStyle(document.documentElement)
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim()
  const axis = { stroke: color('muted'), font: '11px system-ui, sans-serif', ticks: { show: false }, grid: { stroke: color('line'), width: 1 } }
  return {
    width,
    height,
    padding: [8, 6, 0, 0],
    legend: { show: false },
    cursor: { sync: { key, setSeries: false }, drag: { setScale: false, x: false, y: false }, points: { size: 6 }, y: false },
    scales: {
      x: { time: true, range: () => range() },
      y: { range: (_, __, most) => [0, Math.max(1, most * 1.15)] },
    },
    axes: [
      { ...axis, size: 22, gap: 3, space: 70, grid: { show: false }, values: (_, ticks) => ticks.map((t) => new Date(t * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hour12: false })) },
      { ...axis, size: 58, gap: 4, space: 34, values: (_, ticks) => ticks.map(p.write) },
    ],
    series: [
      {},
      ...p.series.map((s) => ({
        label: s.label,
        stroke: color(s.color),
        fill: color(`${s.color}-fill`),
        width: 1.5,
        points: { show: false },
        spanGaps: false,
      })),
    ],
    hooks: { setCursor: [(u) => setCursor(u.cursor.idx ?? null)] },
  }
}
