import { useEffect, useMemo, useState } from 'preact/hooks'
import type { Drain, Server, Service } from './api'
import { host, plural, serverName } from './format'
import { usePicture, type Live } from './live'
import { useTheme } from './theme'
import { judge, proxyOf, type Verdict } from './verdict'
import { Addresses } from './views/addresses'
import { Backends } from './views/backends'
import { Header } from './views/header'
import { useOrders, type Order } from './views/orders'
import { Routes } from './views/routes'
import { Services } from './views/services'
import { Shield } from './views/shield'
import { Certificates, Drains, Events, Processes, XDP } from './views/side'
import { Traffic } from './views/traffic'
import { VerdictView } from './views/verdict'

export function App({ live }: { live: Live }) {
  const picture = usePicture(live)
  const { theme, dark, cycle } = useTheme()
  const { orders, dialogs } = useOrders(() => void live.ask())
  const { node, now, stale } = picture
  const verdict = useMemo(() => node && judge(node, now), [node, now])
  const age = useAge(picture.asOf, stale)

  useEffect(() => {
    const name = node?.director?.node ?? node?.proxy?.node
    document.title = `${title(verdict, stale)} ${name ?? 'portico'}`.trim()
  }, [verdict?.headline, stale])

  const director = node?.director
  const l7 = node && proxyOf(node)
  const l7Before = picture.before && proxyOf(picture.before)
  const drain = orders.unlocked && !stale ? (r: Server, v: Service) => orders.ask(r.drained ? undrainOrder(meant(r, v, director?.l4?.drains ?? [])) : drainOrder(r, v, director?.l4?.services ?? [])) : undefined
  const undrain = orders.unlocked && !stale ? (target: string) => orders.ask(undrainOrder([target])) : undefined
  return (
    <>
      <a class="skip" href="#main">
        To the content
      </a>
      <Header picture={picture} theme={theme} cycle={cycle} orders={orders} age={age} />
      {!node && !picture.fault && <p class="waiting">Asking the node…</p>}
      {node && verdict && (
        <main id="main" class={stale ? 'stale' : ''} tabIndex={-1}>
          <VerdictView verdict={stale ? unknown(verdict) : verdict} />
          <div class="column">
            {director && <Addresses groups={director.vip?.groups ?? []} sessions={director.vip?.bgp?.sessions ?? []} names={names(director.l4?.services ?? [])} now={now} />}
            {director && <Services services={director.l4?.services ?? []} nodes={director.nodes} now={now} drain={drain} />}
            <Traffic points={picture.points} now={now} dark={dark} />
            <Backends pools={l7?.engine.backends ?? []} before={l7Before?.engine.backends ?? []} apart={picture.apart} />
          </div>
          <aside>
            {!!director?.l4?.drains?.length && <Drains drains={director.l4.drains} now={now} undrain={undrain} />}
            <Certificates certificates={l7?.certificates ?? []} now={now} />
            <Events events={picture.events} now={now} />
            {director?.shield && <Shield status={director.shield} live={!stale} now={now} ask={orders.unlocked && !stale ? orders.ask : undefined} />}
            {director?.xdp && <XDP status={director.xdp} />}
            <Processes node={node} now={now} />
          </aside>
          <Routes changed={`${l7?.source?.changed} ${l7?.routes}`} live={!stale} now={now} />
          <footer>
            portico {director?.version ?? node.proxy?.version} · <a href="./api/v1/openapi.json">API</a> · <a href="./metrics">metrics</a> · <a href="./licenses.md">licences of what this page is built with</a>
          </footer>
        </main>
      )}
      {dialogs}
    </>
  )
}

// names are those that servers have in the configuration, by their addresses.
function names(services: Service[]): Map<string, string> {
  return new Map(services.flatMap((v) => (v.servers ?? []).flatMap((r): [string, string][] => (r.name ? [[host(r.address), r.name]] : []))))
}

// useAge is how many seconds ago the last answer came, while the page stands still.
function useAge(asOf: number, stale: boolean): number {
  const [began, set] = useState(0)
  useEffect(() => set(performance.now()), [asOf])
  return stale && began > 0 ? (performance.now() - began) / 1000 : 0
}

function title(v: Verdict | undefined, stale: boolean): string {
  if (stale) return '? '
  return v ? { ok: '✓', warn: '!', bad: '✗' }[v.level] : ''
}

// unknown is the verdict on a node that does not answer.
function unknown(v: Verdict): Verdict {
  return { level: 'bad', headline: 'Not known: no answer', summary: `The last answer was: ${v.headline}. ${v.summary}.`, findings: [] }
}

function drainOrder(r: Server, v: Service, services: Service[]): Order {
  const name = serverName(r)
  const service = v.name || 'this service'
  const everywhere = services.filter((s) => (s.servers ?? []).some((x) => serverName(x) === name)).length
  const choices = [{ label: `in all its services (${everywhere})`, body: { target: name } }]
  if (v.name && everywhere > 1) choices.push({ label: `in ${v.name} alone`, body: { target: `${v.name}/${name}` } })
  const others = (v.servers ?? []).filter((x) => serverName(x) !== name && x.health === 'up' && !x.drained)
  return {
    title: `Drain ${name}?`,
    text: `It gets no new connections from this node and keeps those it has: ${plural(r.active, 'connection')} of ${service} now. It stays out over reloads and restarts until it is undrained. Other nodes that may own the address need the order, too.`,
    warning: others.length === 0 ? `No other server of ${service} is up: new clients will get no answer.` : undefined,
    verb: 'Drain',
    path: 'drain',
    choices,
  }
}

// meant are the targets of drains that mean a server of a service.
function meant(r: Server, v: Service, drains: Drain[]): string[] {
  const names = [r.name, host(r.address), r.address].filter(Boolean)
  return drains.map((d) => d.target).filter((t) => names.some((n) => t === n || t === `${v.name}/${n}`))
}

function undrainOrder(targets: string[]): Order {
  return {
    title: `Undrain ${targets.length === 1 ? targets[0] : 'which?'}${targets.length === 1 ? '?' : ''}`,
    text: 'It gets connections again as soon as its check passes.',
    verb: 'Undrain',
    path: 'drain',
    choices: targets.map((target) => ({ label: target, body: { target, off: true } })),
  }
}
