// The lists beside the large ones: certificates, events, drains, XDP, processes.

import type { Certificate, Drain, Event, NodeStatus, XDPStatus } from '../api'
import { clock, compact, known, plural, since } from '../format'
import { daysLeft, processes, proxyOf, shown, urgent } from '../verdict'
import { Empty, Icon, Pill, Section, useCap, type Tone } from './parts'

// late is when a certificate of three months should have been renewed: by ACME
// that is done a month before its end. In days.
const late = 21

export function Certificates({ certificates, now }: { certificates: Certificate[]; now: number }) {
  const sorted = certificates.filter(shown).sort((a, b) => Date.parse(a.not_after) - Date.parse(b.not_after))
  const [first, more] = useCap(sorted, 8)
  return (
    <Section id="certificates" title="Certificates" note={sorted.length > 0 && plural(sorted.length, 'certificate')}>
      {sorted.length === 0 && <Empty>None: clients of HTTPS are shown a self-signed one.</Empty>}
      <ul class="rows">
        {first.map((c) => {
          const days = daysLeft(c.not_after, now)
          const tone: Tone = days < urgent ? 'bad' : days < late ? 'warn' : 'ok'
          return (
            <li key={c.name}>
              <Icon tone={tone} size={14} />
              <div>
                <div>
                  <b>{c.name}</b>
                  {c.default && <span class="dim"> default</span>}
                </div>
                <div class="dim wrap">{(c.hosts ?? []).join(', ')}</div>
                {c.error && <div class="cure">{c.error}</div>}
              </div>
              <span title={c.not_after}>
                <Pill tone={tone}>{days < 0 ? `expired ${plural(Math.ceil(-days), 'day')} ago` : plural(Math.floor(days), 'day')}</Pill>
              </span>
            </li>
          )
        })}
      </ul>
      {more}
    </Section>
  )
}

export function Events({ events, now }: { events: Event[]; now: number }) {
  const [first, more] = useCap(events, 9)
  return (
    <Section id="events" title="Events" note="newest first">
      {events.length === 0 && <Empty>Nothing has changed since this node started.</Empty>}
      <ol class="rows events">
        {first.map((e) => (
          <li key={`${e.at}${e.part}${e.object}${e.text}`} class={e.level}>
            <time dateTime={e.at} title={e.at}>
              {clock(Date.parse(e.at), now)}
            </time>
            <div class="wrap">
              <Pill tone={e.level === 'warn' ? 'bad' : 'off'}>{e.part}</Pill> <b>{e.object}</b> {e.text}
            </div>
          </li>
        ))}
      </ol>
      {more}
    </Section>
  )
}

export function Drains({ drains, now, undrain }: { drains: Drain[]; now: number; undrain?: (target: string) => void }) {
  return (
    <Section id="drains" title="Drains">
      <ul class="rows">
        {drains.map((d) => (
          <li key={d.target}>
            <Icon tone={d.serving > 0 ? 'warn' : d.connections > 0 ? 'info' : 'ok'} size={14} />
            <div>
              <b>{d.target}</b> <span class="dim">for {since(d.since, now)}</span>
              <div class="dim">{d.programmed === 0 ? 'this node balances none of its services' : d.serving > 0 ? 'still has a weight' : d.connections > 0 ? `${plural(d.connections, 'connection')} left` : 'drained: no connection is left here'}</div>
            </div>
            {undrain && (
              <button type="button" onClick={() => undrain(d.target)} aria-label={`Undrain ${d.target}`}>
                Undrain
              </button>
            )}
          </li>
        ))}
      </ul>
    </Section>
  )
}

// XDP is where packets are forwarded at the driver, and what became of them.
export function XDP({ status: s }: { status: XDPStatus }) {
  const counted = Object.entries({ ...s.verdicts, ...s.events }).filter(([, n]) => n > 0)
  return (
    <Section id="xdp" title="XDP" note={s.layout && `${plural(s.services, 'service')}, ${plural(s.backends, 'backend')}`}>
      {!s.interfaces?.length && <Empty>It runs on no interface.</Empty>}
      <ul class="rows">
        {(s.interfaces ?? []).map((i) => (
          <li key={i.name}>
            <Icon tone={i.mode ? 'ok' : 'off'} size={14} />
            <div class="wrap">
              <b>{i.name}</b> {i.mode ?? <span class="dim">{i.reason}</span>}
            </div>
          </li>
        ))}
      </ul>
      {counted.length > 0 && (
        <ul class="verdicts" aria-label="Frames by what became of them">
          {counted.map(([name, n]) => (
            <li key={name}>
              <span>{name.replaceAll('_', ' ')}</span> <b>{compact(n)}</b>
            </li>
          ))}
        </ul>
      )}
    </Section>
  )
}

export function Processes({ node, now }: { node: NodeStatus; now: number }) {
  const l7 = proxyOf(node)
  return (
    <Section id="processes" title="This node">
      <ul class="rows">
        {processes(node).map(([name, p]) => (
          <li key={name}>
            <Icon tone={p.config.error ? 'bad' : 'ok'} size={14} />
            <div>
              <b>{name}</b> {p.version} <span class="dim">up {since(p.started, now)}</span>
              <div class="dim wrap">
                {p.config.path}, read {since(p.config.loaded, now)} ago
              </div>
            </div>
          </li>
        ))}
        {(node.missing ?? []).map((m) => (
          <li key={m}>
            <Icon tone="bad" size={14} />
            <div class="wrap">{m}</div>
          </li>
        ))}
        {l7?.source && (
          <li>
            <Icon tone={l7.source.error || known(l7.source.restored) !== undefined ? 'warn' : 'ok'} size={14} />
            <div>
              <b>routes</b> <span class="dim">changed {since(l7.source.changed, now)} ago</span>
              <div class="dim wrap">{l7.source.from}</div>
            </div>
          </li>
        )}
        {l7?.writer && (
          <li>
            <Icon tone={l7.writer.error ? 'warn' : 'ok'} size={14} />
            <div>
              <b>status of Ingresses</b> <span class="dim">{l7.writer.elected ? 'written by this node' : l7.writer.writer ? `written by ${l7.writer.writer}` : 'nobody is elected yet'}</span>
            </div>
          </li>
        )}
        {l7?.access_log && (
          <li>
            <Icon tone={l7.access_log.error ? 'warn' : 'ok'} size={14} />
            <div>
              <b>access log</b> <span class="dim">{plural(l7.access_log.lines, 'line')}, {l7.access_log.lost} lost</span>
              <div class="dim wrap">{l7.access_log.file}</div>
            </div>
          </li>
        )}
      </ul>
    </Section>
  )
}
