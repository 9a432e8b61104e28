import { useState } from 'preact/hooks'
import type { Pool } from '../api'
import { backendName, compact, plural } from '../format'
import { Empty, Icon, Pill, Search, Section, useCap, type Tone } from './parts'

interface Props {
  pools: Pool[]
  before: Pool[]
  // apart is how many seconds lie between the two.
  apart: number
}

// first is how many pools are shown before somebody asks for all: the unsound
// ones, where there are more.
const first = 12

// Backends are the Pods that the proxy sends requests to.
export function Backends({ pools, before, apart }: Props) {
  const [text, setText] = useState('')
  const found = pools.filter((p) => !text || backendName(p.backend).toLowerCase().includes(text.toLowerCase()) || (p.endpoints ?? []).some((e) => e.addr.includes(text)))
  const sorted = found.length > first ? [...found].sort((a, b) => rank(a) - rank(b)) : found
  const [shown, more] = useCap(sorted, first)
  const earlier = new Map(before.map((p) => [backendName(p.backend), requests(p)]))
  return (
    <Section id="backends" title="Backends" note={pools.length > 0 && plural(pools.length, 'pool')} tools={pools.length > 8 && <Search label="Filter backends" value={text} set={setText} />}>
      {pools.length === 0 && <Empty>The proxy has no backends.</Empty>}
      {pools.length > 0 && found.length === 0 && <Empty>No backend has “{text}”.</Empty>}
      <ul class="pools">
        {shown.map((p) => {
          const was = earlier.get(backendName(p.backend))
          const rate = was === undefined || apart <= 0 ? undefined : Math.max(0, requests(p) - was) / apart
          return <PoolView key={backendName(p.backend)} pool={p} rate={rate} />
        })}
      </ul>
      {more}
    </Section>
  )
}

function requests(p: Pool): number {
  return (p.endpoints ?? []).reduce((n, e) => n + e.requests, 0)
}

function tone(p: Pool): Tone {
  const list = p.endpoints ?? []
  if (list.length === 0 || p.breaker === 'open') return 'bad'
  return p.breaker !== 'closed' || list.some((e) => e.ejected) ? 'warn' : 'ok'
}

function rank(p: Pool): number {
  return { bad: 0, warn: 1, ok: 2, off: 2, info: 2 }[tone(p)]
}

function PoolView({ pool: p, rate }: { pool: Pool; rate: number | undefined }) {
  const list = p.endpoints ?? []
  const well = list.filter((e) => !e.ejected && !e.leaving).length
  const flying = list.reduce((n, e) => n + e.in_flight, 0)
  return (
    <li>
      <details>
        <summary>
          <Icon tone={tone(p)} size={14} />
          <span class="mono name">{backendName(p.backend)}</span>
          <span class="fact">{list.length === 0 ? 'no endpoint: 503' : `${well} of ${plural(list.length, 'endpoint')}`}</span>
          <span class="fact num">{rate === undefined ? '–' : `${compact(rate)}/s`}</span>
          <span class="fact num">{flying} in flight</span>
          {p.breaker !== 'closed' && <Pill tone="warn">breaker {p.breaker}</Pill>}
          {p.queued > 0 && <Pill tone="warn">{p.queued} wait</Pill>}
        </summary>
        <ul class="endpoints">
          {list.map((e) => (
            <li key={e.addr}>
              <Icon tone={e.ejected ? 'bad' : e.leaving ? 'off' : 'ok'} size={12} />
              <span class="mono">{e.addr}</span>
              <span class="dim">
                {plural(e.requests, 'request')}, {e.in_flight} in flight
                {e.failed_dials > 0 && `, ${plural(e.failed_dials, 'failed dial')}`}
                {e.leaving && ', leaving'}
                {e.ejected && `, ejected: ${e.ejected.why}`}
              </span>
            </li>
          ))}
          <li class="dim">
            {plural(p.retries, 'retry', 'retries')}
            {p.rejected ? `, ${p.rejected} rejected` : ''}
          </li>
        </ul>
      </details>
    </li>
  )
}
