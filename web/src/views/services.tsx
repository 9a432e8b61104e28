import { useState } from 'preact/hooks'
import type { NodesStatus, Server, Service } from '../api'
import { bytes, compact, host, known, plural, scheduling, serverName, serviceName, since } from '../format'
import { Empty, Icon, Pill, Search, Section, useCap, type Tone } from './parts'

interface Props {
  services: Service[]
  nodes?: NodesStatus
  now: number
  // drain is there where orders can be given.
  drain?: (server: Server, service: Service) => void
}

// first is how many services are shown before somebody asks for all.
const first = 12

export function Services({ services, nodes, now, drain }: Props) {
  const [text, setText] = useState('')
  const found = services.filter((v) => !text || matches(v, text.toLowerCase()))
  // Of many, those that are unsound come first; few stand still under the finger.
  const sorted = found.length > first ? [...found].sort((a, b) => Number(sound(a)) - Number(sound(b))) : found
  const [shown, more] = useCap(sorted, first)
  return (
    <Section
      id="services"
      title="Services and servers"
      note={services.length > 1 && plural(services.length, 'service')}
      tools={services.length > 4 && <Search label="Filter services" value={text} set={setText} />}
    >
      {services.length === 0 && <Empty>This node balances nothing: no service is configured.</Empty>}
      {services.length > 0 && found.length === 0 && <Empty>No service or server has “{text}”.</Empty>}
      {shown.map((v) => (
        <ServiceView key={serviceName(v)} service={v} now={now} drain={drain} />
      ))}
      {more}
      {(nodes?.selectors ?? []).map((s) => (
        <div key={s.selector} class="selector">
          Nodes with <span class="mono">{s.selector}</span>: {s.nodes?.length ?? 0} serve
          {(s.left_out ?? []).map((n) => (
            <span key={n.name} class="left-out">
              <b>{n.name}</b> left out: {n.reason}
            </span>
          ))}
        </div>
      ))}
    </Section>
  )
}

function matches(v: Service, text: string): boolean {
  const words = [v.name, serviceName(v), ...(v.servers ?? []).flatMap((r) => [r.name ?? '', r.address, r.health])]
  return words.some((w) => w.toLowerCase().includes(text))
}

function sound(v: Service): boolean {
  return (!v.owned || v.programmed) && (v.servers ?? []).every((r) => r.health === 'up')
}

function place(v: Service): { tone: Tone; text: string; title: string } {
  if (v.programmed && v.dataplane === 'xdp') return { tone: 'ok', text: v.dataplane_mode ? `XDP ${v.dataplane_mode}` : 'XDP', title: 'XDP carries its packets, IPVS stands behind it' }
  if (v.programmed) return { tone: 'ok', text: 'in the kernel', title: v.dataplane_reason ? `IPVS carries its packets, not XDP: ${v.dataplane_reason}` : 'IPVS carries its packets' }
  if (v.owned) return { tone: 'bad', text: 'not in the kernel', title: 'this node owns the address, and does not balance it' }
  return { tone: 'off', text: 'balanced elsewhere', title: 'another node owns the address' }
}

function ServiceView({ service: v, now, drain }: { service: Service; now: number; drain?: Props['drain'] }) {
  const p = place(v)
  const servers = v.servers ?? []
  const [shown, more] = useCap(servers, 16)
  const heaviest = Math.max(1, ...servers.map((r) => r.configured))
  return (
    <article class="service">
      <h3>
        <b>{v.name || 'removed, draining'}</b>
        <span class="mono">{serviceName(v)}</span>
        <span class="dim">{scheduling(v)}</span>
        <Pill tone={p.tone} title={p.title}>
          {p.text}
        </Pill>
        {v.dataplane_reason && !v.dataplane_reason.includes(': ') && <span class="dim">not by XDP: {v.dataplane_reason}</span>}
      </h3>
      <table class="servers">
        <caption class="hidden">Servers of {v.name || serviceName(v)}</caption>
        <thead>
          <tr>
            <th scope="col">Server</th>
            <th scope="col">Health</th>
            <th scope="col" class="num">Weight</th>
            <th scope="col" class="num">Active</th>
            <th scope="col" class="num">Inactive</th>
            <th scope="col" class="num">New/s</th>
            <th scope="col" class="num">In</th>
            {drain && <th scope="col"><span class="hidden">Orders</span></th>}
          </tr>
        </thead>
        <tbody>
          {shown.map((r) => (
            <ServerRow key={r.address + r.health} service={v} server={r} heaviest={heaviest} now={now} drain={drain} />
          ))}
        </tbody>
      </table>
      {more}
    </article>
  )
}

function tone(r: Server): Tone {
  if (r.health === 'down') return 'bad'
  if (r.health === 'up') return known(r.drained) !== undefined ? 'info' : r.reason ? 'warn' : 'ok'
  return r.health === 'sorry' ? 'warn' : 'off'
}

// reasons say why a server has not its whole weight, or one in spite of its health.
function reasons(v: Service, r: Server, now: number): string[] {
  const out: string[] = []
  if (r.reason) out.push(r.reason)
  const drained = known(r.drained)
  if (v.owned && drained === undefined) {
    if (r.health === 'down' && r.wanted > 0) out.push('serves all the same: no server is up')
    if (r.health === 'up' && r.configured === 0) out.push('its weight is 0 in the file')
    else if (r.health === 'up' && r.wanted === 0 && r.percent !== 0) out.push('too few servers are up')
  }
  if (r.percent !== undefined && r.percent < 100) out.push(`wants ${r.percent}% of its weight`)
  const until = known(r.draining_until)
  if (until !== undefined) out.push(`goes in ${Math.max(0, Math.round((until - now) / 1000))}s at the latest`)
  if (r.sorry) out.push('answers because too few servers are up')
  return out
}

function ServerRow({ service: v, server: r, heaviest, now, drain }: { service: Service; server: Server; heaviest: number; now: number; drain?: Props['drain'] }) {
  // Where another node balances, nothing is counted, and nothing weighs.
  const here = v.programmed || v.owned
  const figure = (text: string) => (here ? text : '–')
  const why = reasons(v, r, now)
  const drained = known(r.drained) !== undefined
  return (
    <>
      <tr class={`server ${tone(r)}`}>
        <th scope="row">
          <Icon tone={tone(r)} size={14} />
          <span class="mono">{r.name ? <b>{r.name}</b> : host(r.address)}</span>
          <span class="mono dim">{r.name ? r.address : r.address.slice(host(r.address).length)}</span>
        </th>
        <td class="health">
          {drained ? 'drained' : r.health} <span class="dim">{since(drained ? r.drained : r.since, now)}</span>
        </td>
        <td class="num" data-label="weight">
          <span class="weight" title={`configured ${r.configured}${here ? `, wanted ${r.wanted}, in the kernel ${r.weight}` : ''}`}>
            {here && <meter min={0} max={heaviest} value={r.weight} aria-hidden="true" />}
            {figure(String(r.weight))}
          </span>
        </td>
        <td class="num" data-label="active">{figure(compact(r.active))}</td>
        <td class="num" data-label="inactive">{figure(compact(r.inactive))}</td>
        <td class="num" data-label="new/s">{figure(compact(r.stats.connection_rate))}</td>
        <td class="num" data-label="in">{figure(`${bytes(r.stats.byte_rate_in)}/s`)}</td>
        {drain && (
          <td class="order">
            {(r.health === 'up' || r.health === 'down' || r.health === 'unknown') && (
              <button type="button" onClick={() => drain(r, v)} aria-label={`${drained ? 'Undrain' : 'Drain'} ${serverName(r)}`}>
                {drained ? 'Undrain' : 'Drain'}
              </button>
            )}
          </td>
        )}
      </tr>
      {why.length > 0 && (
        <tr class={`why ${tone(r)}`}>
          <td colSpan={drain ? 8 : 7}>{why.join(' · ')}</td>
        </tr>
      )}
    </>
  )
}
