import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { explain, get, type Explanation, type Route } from '../api'
import { backendName, originName, plural, steps } from '../format'
import { ExplanationView } from './explain'
import { Empty, Icon, Pill, Search, Section } from './parts'

// first is how many routes are listed, most how many on demand or for a search:
// who looks for one of thousands types.
const first = 25
const most = 200

// The list is read again soon after the source has changed, and once in a while
// for the endpoints: of many routes less often. In milliseconds.
const soon = 5_000
const every = 15_000
const long = 60_000
const many = 1000

// Routes lists every rule, and tells which one answers a request. changed is a
// mark of the source: another one has the list read again at once.
export function Routes({ changed, live, now }: { changed: string; live: boolean; now: number }) {
  const { routes, fault } = useRoutes(changed, live)
  const [text, setText] = useState('')
  const [url, setURL] = useState('')
  const [answer, setAnswer] = useState<Explanation>()
  const [refusal, setRefusal] = useState('')
  const result = useRef<HTMLDivElement>(null)
  const asked = useRef(0)
  const [whole, setWhole] = useState(false)

  const ask = async (u: string) => {
    const mine = ++asked.current
    setURL(u)
    try {
      const x = await explain(u.includes('://') ? u : `https://${u}`)
      if (mine !== asked.current) return
      setAnswer(x)
      setRefusal('')
    } catch (e) {
      if (mine !== asked.current) return
      setAnswer(undefined)
      setRefusal(e instanceof Error ? e.message : String(e))
    }
    result.current?.scrollIntoView({ block: 'nearest' })
  }
  const lines = useMemo(() => routes?.map((r) => ({ route: r, line: lineOf(r) })), [routes])
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  const found = lines?.filter((l) => words.every((w) => l.line.includes(w)))
  const limit = whole || text ? most : first
  return (
    <Section
      id="routes"
      title="Routes"
      note={routes && (text ? `${found?.length} of ${plural(routes.length, 'route')}` : plural(routes.length, 'route'))}
      tools={<Search label="Search host, path, backend, object" value={text} set={setText} />}
    >
      <form
        class="explain"
        onSubmit={(e) => {
          e.preventDefault()
          if (url.trim()) void ask(url.trim())
        }}
      >
        <label for="explain-url">Which rule answers</label>
        <input id="explain-url" type="text" inputMode="url" placeholder="https://shop.example.com/cart" value={url} onInput={(e) => setURL(e.currentTarget.value)} spellcheck={false} autocapitalize="off" autocomplete="off" />
        <button type="submit" class="primary">
          Explain
        </button>
      </form>
      <div ref={result} aria-live="polite">
        {refusal && (
          <p class="refusal" role="alert">
            <Icon tone="bad" /> {refusal}
          </p>
        )}
        {answer && <ExplanationView answer={answer} now={now} close={() => setAnswer(undefined)} />}
      </div>
      {fault && (
        <p class="refusal">
          <Icon tone="bad" /> The routes cannot be read: {fault}
        </p>
      )}
      {routes?.length === 0 && <Empty>No rule answers: the proxy has no routes.</Empty>}
      {found?.length === 0 && routes!.length > 0 && <Empty>No route has “{text}”.</Empty>}
      {!!found?.length && (
        <table class="routes">
          <caption class="hidden">Routes</caption>
          <thead>
            <tr>
              <th scope="col">Host and path</th>
              <th scope="col">Match</th>
              <th scope="col">Backend</th>
              <th scope="col" class="num">Endpoints</th>
              <th scope="col">Steps</th>
              <th scope="col">From</th>
            </tr>
          </thead>
          <tbody>
            {found.slice(0, limit).map(({ route: r, line }) => (
              <tr key={line}>
                <th scope="row" class="mono">
                  <button type="button" class="link" onClick={() => void ask(urlOf(r))} title="Explain this route">
                    <b>{r.host || 'any host'}</b>
                    {r.path}
                  </button>
                </th>
                <td data-label="match">
                  {r.match}
                  {r.priority ? ` ${r.priority}` : ''}
                  {r.entrypoints?.length ? ` at ${r.entrypoints.join(', ')}` : ''}
                </td>
                <td class="mono" data-label="to">
                  {backendName(r.backend)}
                  {r.choices?.length ? ` +${r.choices.length}` : ''}
                </td>
                <td class="num" data-label="endpoints">{r.endpoints === 0 && r.backend.service ? <Pill tone="bad">0</Pill> : r.endpoints}</td>
                <td data-label="steps">{steps(r).join(', ') || '–'}</td>
                <td data-label="from">{originName(r)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {found && found.length > limit && limit < most && (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          Show {Math.min(found.length, most) - limit} more
        </button>
      )}
      {found && found.length > limit && limit === most && <p class="dim">{found.length - limit} more: search for what you look for.</p>}
    </Section>
  )
}

// lineOf is what a search looks at.
function lineOf(r: Route): string {
  return [r.host || 'any host', r.path, r.match, r.priority ?? '', r.entrypoints ?? '', backendName(r.backend), steps(r), originName(r)].join(' ').toLowerCase()
}

// urlOf is a request that the rule may answer.
function urlOf(r: Route): string {
  const path = r.match === 'Regexp' ? '/' : r.path
  return `https://${(r.host || 'localhost').replace('*', 'any')}${path}`
}

function useRoutes(changed: string, live: boolean): { routes?: Route[]; fault: string } {
  const [routes, set] = useState<Route[]>()
  const [fault, setFault] = useState('')
  const mark = useRef(changed)
  mark.current = changed
  useEffect(() => {
    if (!live) return
    let ended = false
    let known = ''
    let next = 0
    let rest = every
    const read = async () => {
      if (document.visibilityState !== 'visible' || performance.now() < next - (mark.current === known ? 0 : rest - soon)) return
      next = Infinity
      const about = mark.current
      try {
        const { body } = await get<Route[]>('routes')
        if (ended) return
        known = about
        rest = body.length > many ? long : every
        set(body)
        setFault('')
      } catch (e) {
        if (!ended) setFault(e instanceof Error ? e.message : String(e))
      }
      next = performance.now() + rest
    }
    void read()
    const timer = setInterval(read, 1000)
    return () => {
      ended = true
      clearInterval(timer)
    }
  }, [live])
  return { routes, fault }
}
