import type { BGPSession, Group } from '../api'
import { address, clock, known, since } from '../format'
import { Empty, Icon, Pill, Section, type Tone } from './parts'

export function Addresses({ groups, sessions, names, now }: { groups: Group[]; sessions: BGPSession[]; names: Map<string, string>; now: number }) {
  return (
    <Section id="addresses" title="Virtual addresses">
      {groups.length === 0 && <Empty>No virtual address is configured.</Empty>}
      <div class="groups">
        {groups.map((g) => (
          <GroupView key={g.name} group={g} names={names} now={now} />
        ))}
      </div>
      {sessions.length > 0 && <Sessions sessions={sessions} now={now} />}
    </Section>
  )
}

function tone(g: Group): Tone {
  if (g.last_error || (g.owned && g.duplicates?.length) || g.state === 'Fault') return 'bad'
  return g.owned ? 'ok' : 'off'
}

function owner(g: Group, names: Map<string, string>): string {
  if (g.adopting) return 'This node adopts it'
  if (g.owned) return 'This node owns it'
  if (g.state === 'Fault') return 'This node takes no part'
  if (!g.active) return 'Nobody is heard to own it'
  const name = names.get(g.active)
  return `${name ? `${name} (${g.active})` : g.active} owns it`
}

function GroupView({ group: g, names, now }: { group: Group; names: Map<string, string>; now: number }) {
  const t = known(g.since)
  return (
    <article class={`group ${tone(g)}`}>
      <h3>
        <span class="mono">{(g.addresses ?? []).map(address).join('  ')}</span>
        <Pill tone={tone(g)}>{g.state}</Pill>
      </h3>
      <p class="owner">
        <b>{owner(g, names)}</b>
        <span title={t === undefined ? '' : new Date(t).toISOString()}>
          {g.owned ? 'for' : `${g.state} for`} <b>{since(g.since, now)}</b>
          {t !== undefined && <span class="dim"> · {clock(t, now)}</span>}
        </span>
      </p>
      <p class="dim">
        {g.name} on {g.interface}, by {g.owner}
        {g.priority ? `, priority ${g.effective_priority}${g.effective_priority !== g.priority ? ` of ${g.priority}` : ''}` : ''}
        {`, ${g.transitions} ${g.transitions === 1 ? 'transition' : 'transitions'}, last: ${g.reason}`}
      </p>
      {!!g.track?.length && (
        <ul class="track" aria-label="Depends on">
          {g.track.map((r) => (
            <li key={r.rule} title={r.reason}>
              <Icon tone={r.pending ? 'off' : r.up ? 'ok' : 'bad'} size={12} />
              <span class="hidden">{r.pending ? 'not known yet' : r.up ? 'holds' : 'fails'}: </span>
              {r.rule}
            </li>
          ))}
        </ul>
      )}
    </article>
  )
}

function Sessions({ sessions, now }: { sessions: BGPSession[]; now: number }) {
  return (
    <div class="scroll">
      <table>
        <caption class="hidden">BGP neighbours</caption>
        <thead>
          <tr>
            <th scope="col">BGP neighbour</th>
            <th scope="col">State</th>
            <th scope="col" class="num">AS</th>
            <th scope="col" class="num">Routes</th>
            <th scope="col">BFD</th>
          </tr>
        </thead>
        <tbody>
          {sessions.map((s) => (
            <tr key={s.neighbor}>
              <th scope="row" class="mono">{s.neighbor}</th>
              <td>
                <Pill tone={s.state === 'established' ? 'ok' : 'bad'}>{s.state}</Pill> {since(s.since, now)}
              </td>
              <td class="num">{s.as}</td>
              <td class="num">{s.announced}</td>
              <td>{s.bfd ?? '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
