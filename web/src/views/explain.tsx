import type { Explanation, Rule } from '../api'
import { backendName, clock, originName, plural, steps } from '../format'
import { daysLeft } from '../verdict'
import { Icon, type Tone } from './parts'

// ExplanationView tells what would become of a request: who wins and why, where
// it goes, and what else would have matched.
export function ExplanationView({ answer: x, now, close }: { answer: Explanation; now: number; close: () => void }) {
  const endpoints = (x.backends ?? []).reduce((n, b) => n + (b.endpoints?.length ?? 0), 0)
  const tone: Tone = endpoints > 0 ? 'ok' : x.route ? 'bad' : 'warn'
  return (
    <article class={`explanation ${tone}`}>
      <header>
        <Icon tone={tone} size={20} />
        <h3>
          <span class="mono">
            {x.host}
            {x.path}
          </span>{' '}
          <span class="dim">at entrypoint {x.entrypoint}</span>
        </h3>
        <button type="button" class="close" onClick={close} aria-label="Close the explanation">
          ×
        </button>
      </header>
      <dl>
        {x.route && (
          <>
            <dt>Won by</dt>
            <dd>
              <b>{originName(x.route)}</b>
              <div class="mono">{rule(x.route)}</div>
            </dd>
          </>
        )}
        {x.answer && (
          <>
            <dt>Answered</dt>
            <dd>{x.answer}</dd>
          </>
        )}
        {x.route && steps(x.route).length > 0 && (
          <>
            <dt>Steps</dt>
            <dd>
              <ol class="steps">
                {(x.route.steps ?? []).flatMap((s) =>
                  Object.entries(s).map(([name, settings]) => (
                    <li key={name}>
                      {name} <span class="mono dim">{JSON.stringify(settings)}</span>
                    </li>
                  )),
                )}
              </ol>
            </dd>
          </>
        )}
        {(x.backends ?? []).map((b) => (
          <BackendView key={backendName(b.backend)} backend={b} />
        ))}
        {!!x.others?.length && (
          <>
            <dt>Also match</dt>
            <dd>
              {x.others.map((o) => (
                <div key={rule(o.route) + originName(o.route)}>
                  <b>{originName(o.route)}</b> <span class="mono">{rule(o.route)}</span>: {o.why}
                </div>
              ))}
            </dd>
          </>
        )}
        {!!x.conflicts?.length && (
          <>
            <dt>Never answer</dt>
            <dd>
              {x.conflicts.map((c) => (
                <div key={originName(c)}>
                  <b>{originName(c)}</b>: the very same rule, the older object has it
                </div>
              ))}
            </dd>
          </>
        )}
        {x.entrypoint.startsWith('https') && (
          <>
            <dt>Certificate</dt>
            <dd>
              {x.certificate
                ? `${x.certificate.name}, until ${clock(Date.parse(x.certificate.not_after), now)} (${plural(Math.floor(daysLeft(x.certificate.not_after, now)), 'day')})`
                : 'none for this host: clients are shown a self-signed one'}
            </dd>
          </>
        )}
        {!!x.problems?.length && (
          <>
            <dt>Problems</dt>
            <dd>
              {x.problems.map((p) => (
                <div key={p.field + p.text}>
                  {p.field && <b class="mono">{p.field} </b>}
                  {p.text}
                </div>
              ))}
            </dd>
          </>
        )}
        {!!x.dialects?.length && (
          <>
            <dt>Dialects</dt>
            <dd>
              {x.dialects.map((d) => (
                <div key={d.dialect}>
                  <b>{d.dialect}</b> {d.same ? 'would do the same' : d.route ? `${originName(d.route)}: ${rule(d.route)}, steps ${steps(d.route).join(', ') || 'none'}` : 'would have no route'}
                </div>
              ))}
            </dd>
          </>
        )}
      </dl>
    </article>
  )
}

function BackendView({ backend: b }: { backend: NonNullable<Explanation['backends']>[number] }) {
  const how = b.because ? `by its ${b.because}` : b.share < 1 ? `${(100 * b.share).toPrecision(3).replace(/\.?0+$/, '')} % of such requests` : ''
  return (
    <>
      <dt>Goes to</dt>
      <dd>
        <span class="mono">{backendName(b.backend)}</span> {how}
        {!b.endpoints?.length && <div>it has no endpoint: the answer is 503</div>}
        <ul class="endpoints">
          {(b.endpoints ?? []).map((e) => (
            <li key={e.addr}>
              <Icon tone={e.ejected ? 'bad' : e.leaving ? 'off' : 'ok'} size={12} /> <span class="mono">{e.addr}</span>
              <span class="dim">
                {' '}
                {plural(e.requests, 'request')}, {e.in_flight} in flight
                {e.leaving && ', leaving'}
                {e.ejected && `, ejected: ${e.ejected.why}`}
              </span>
            </li>
          ))}
        </ul>
      </dd>
    </>
  )
}

// rule is what a rule matches and where it leads.
function rule(r: Rule): string {
  return `${r.host || 'any host'} ${r.match} ${r.path} → ${backendName(r.backend)}${r.priority ? `, priority ${r.priority}` : ''}`
}
