// What is wrong, with whom, and what to do about it. Pure: the page shows it,
// the tests prove it.

import type { L4Status, L7Status, NodeStatus, Process, Server, Service, VIPStatus } from './api'
import { address, duration, host, known, plural, serverName, serviceName, since } from './format'

// A Level says who has to act: bad means clients suffer or nobody knows, warn
// that something stands by no more, note that somebody should remember.
export type Level = 'bad' | 'warn' | 'note'

export interface Finding {
  level: Level
  object: string
  what: string
  cure: string
}

export interface Verdict {
  level: 'ok' | 'warn' | 'bad'
  headline: string
  summary: string
  findings: Finding[]
}

// soon is when a certificate that nobody has renewed becomes a fault, urgent
// when it becomes one for this night, in days.
export const soon = 7
export const urgent = 2

const order: Level[] = ['bad', 'warn', 'note']

export function judge(n: NodeStatus, now: number): Verdict {
  const f: Finding[] = []
  for (const m of n.missing ?? []) {
    const [object, what] = split(m)
    f.push({ level: 'bad', object, what, cure: 'systemctl status portico portico-l7 on this node says why' })
  }
  for (const [name, p] of processes(n)) {
    if (p.config.error)
      f.push({
        level: 'bad',
        object: p.config.path,
        what: `the ${name} refused it ${since(p.config.failed, now)} ago, the file before runs: ${p.config.error}`,
        cure: 'correct it, try it with portico check, then systemctl reload portico',
      })
    if (p.vip) judgeVIP(p.vip, now, f)
    for (const t of p.notify ?? [])
      if (t.last_error) f.push({ level: 'warn', object: `notify ${t.name}`, what: `${t.failed} failed, ${t.waiting} waiting: ${t.last_error}`, cure: 'nobody is told of transitions there' })
    if (p.l4) judgeL4(p.l4, now, f)
    if (p.xdp?.last_error) f.push({ level: 'warn', object: 'XDP', what: p.xdp.last_error, cure: 'IPVS carries the packets meanwhile' })
    if (p.shield?.fault) f.push({ level: 'warn', object: 'denied networks', what: `are not dropped: ${p.shield.fault}`, cure: 'packets are dropped by XDP alone: see l4.dataplane' })
    if (p.guard?.last_error)
      f.push({ level: 'warn', object: 'guard', what: p.guard.last_error, cure: 'packets may bounce between directors until it stands' })
    judgeNodes(p, now, f)
    if (p.l7) judgeL7(p.l7, now, f)
    if (p.admin?.last_error) f.push({ level: 'warn', object: 'admin.listen', what: p.admin.last_error, cure: 'free the port, or set another' })
  }
  f.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level))
  return sum(n, f, now)
}

export function processes(n: NodeStatus): ['director' | 'proxy', Process][] {
  const list: ['director' | 'proxy', Process][] = []
  if (n.director) list.push(['director', n.director])
  if (n.proxy) list.push(['proxy', n.proxy])
  return list
}

// split parts "object: what".
function split(text: string): [string, string] {
  const i = text.indexOf(': ')
  return i < 0 ? ['', text] : [text.slice(0, i), text.slice(i + 2)]
}

function judgeVIP(s: VIPStatus, now: number, f: Finding[]) {
  if (s.last_error) f.push({ level: 'bad', object: 'virtual addresses', what: s.last_error, cure: 'portico tries again by itself; the journal says since when' })
  for (const g of s.groups ?? []) {
    const name = `${g.name} ${(g.addresses ?? []).map(address).join(', ')}`
    if (g.last_error) f.push({ level: 'bad', object: name, what: g.last_error, cure: `look at ${g.interface}: ip address show dev ${g.interface}` })
    if (g.owner === 'vrrp' && !g.owned && !g.active && g.state === 'Backup')
      f.push({ level: 'bad', object: name, what: 'no node is heard that owns it', cure: 'see the other nodes; protocol 112 may be filtered between them' })
    if (g.state === 'Initialize' || g.state === 'Fault') f.push({ level: 'bad', object: name, what: `this node does not take part: ${g.reason}`, cure: 'the rules below the address say which one failed' })
    if (g.owned)
      for (const d of g.duplicates ?? [])
        f.push({
          level: 'bad',
          object: address(d.address),
          what: `is claimed by ${d.mac} as well, for ${since(d.since, now)}`,
          cure: 'find that host; two routers with one router_id do not hear each other',
        })
    for (const r of g.track ?? [])
      if (!r.up && !r.pending)
        f.push({
          level: 'warn',
          object: `${g.name}: ${r.rule}`,
          what: [r.reason, `for ${since(r.since, now)}`].filter(Boolean).join(', '),
          cure: r.effect === 'fault' ? 'the node does not take part meanwhile' : r.effect ? `its priority is changed by ${r.effect} meanwhile` : 'without effect on the address',
        })
  }
  for (const b of s.bgp?.sessions ?? [])
    if (b.state !== 'established' || b.last_error)
      f.push({ level: 'bad', object: `BGP ${b.neighbor}`, what: `${b.state} for ${since(b.since, now)}${b.last_error ? ': ' + b.last_error : ''}`, cure: 'the addresses are not announced there' })
  if (s.bgp?.last_error) f.push({ level: 'bad', object: 'BGP', what: s.bgp.last_error, cure: 'see [bgp] in the configuration' })
}

function judgeL4(s: L4Status, now: number, f: Finding[]) {
  if (s.last_error) f.push({ level: 'bad', object: 'IPVS', what: s.last_error, cure: 'ipvsadm -Ln shows what stands; portico tries again by itself' })
  const down = new Map<string, { name: string; reason: string; since: string; services: string[] }>()
  for (const v of s.services ?? []) {
    if (v.owned && !v.programmed) f.push({ level: 'bad', object: label(v), what: 'is not in the kernel', cure: 'clients get no answer there: see the fault of IPVS, or the journal' })
    const servers = v.servers ?? []
    const up = servers.filter((r) => r.health === 'up' && !drained(r))
    const fell = servers.filter((r) => r.health === 'down')
    if (servers.length > 0 && up.length === 0 && servers.some((r) => r.health !== 'unknown'))
      f.push({ level: 'bad', object: label(v), what: allGone(servers), cure: 'start one of its servers, or undrain one' })
    for (const r of servers)
      if (r.sorry) f.push({ level: 'bad', object: label(v), what: `too few servers are up: ${r.address} answers in their place`, cure: 'start its servers' })
    for (const r of fell) {
      const key = `${serverName(r)}\n${r.reason ?? ''}`
      const d = down.get(key) ?? { name: serverName(r), reason: r.reason ?? '', since: r.since ?? '', services: [] }
      d.services.push(v.name || serviceName(v))
      down.set(key, d)
    }
  }
  for (const d of down.values())
    f.push({
      level: 'warn',
      object: d.name,
      what: `has been down for ${since(d.since, now)} in ${[...new Set(d.services)].join(', ')}: ${d.reason || 'no reason given'}`,
      cure: 'the others serve in its place; it comes back by itself once its check passes',
    })
  for (const d of s.drains ?? [])
    f.push({ level: 'note', object: d.target, what: `has been drained for ${since(d.since, now)}, ${plural(d.connections, 'connection')} left here`, cure: 'undrain it when the work is done' })
}

function label(v: Service): string {
  return v.name ? `${v.name} ${v.address}` : serviceName(v)
}

function drained(r: Server): boolean {
  return known(r.drained) !== undefined
}

function allGone(servers: Server[]): string {
  const serves = servers.filter((r) => r.wanted > 0 && r.health === 'down').length
  if (serves > 0) return `no server is up: ${plural(serves, 'server')} that failed ${serves === 1 ? 'gets' : 'get'} its clients all the same`
  return 'no server is up: its clients are refused'
}

function judgeNodes(p: Process, now: number, f: Finding[]) {
  for (const s of p.nodes?.selectors ?? []) {
    if (s.held) f.push({ level: 'bad', object: `nodes with ${s.selector}`, what: 'none of them can serve any more, the last ones stay', cure: 'kubectl get nodes -l ' + s.selector })
    else if (!s.nodes?.length) f.push({ level: 'bad', object: `nodes with ${s.selector}`, what: 'none is known that can serve', cure: 'kubectl get nodes -l ' + s.selector })
  }
  if (p.nodes?.error) f.push({ level: 'warn', object: 'nodes of the cluster', what: `cannot be read for ${since(p.nodes.error_since, now)}: ${p.nodes.error}`, cure: 'the last ones stay meanwhile' })
  for (const r of p.pod_routes?.faults ?? []) f.push({ level: 'bad', object: `Node ${r.node}`, what: r.reason, cure: 'Pods there are not reached from this node' })
  if (p.pod_routes?.error) f.push({ level: 'warn', object: 'routes to Pods', what: p.pod_routes.error, cure: 'the last routes stay meanwhile' })
}

function judgeL7(s: L7Status, now: number, f: Finding[]) {
  if (!s.ready) f.push({ level: 'bad', object: 'proxy', what: `is not ready: ${s.reason ?? ''}`, cure: 'directors send no clients here until it is' })
  const src = s.source
  if (src?.error) f.push({ level: 'warn', object: src.from, what: `cannot be read for ${since(src.error_since, now)}: ${src.error}`, cure: 'what was read before is served meanwhile' })
  if (known(src?.restored) !== undefined && src)
    f.push({ level: 'warn', object: src.from, what: `has not answered since the start: what it said ${since(src.restored, now)} ago is served`, cure: 'restore the way to the API server' })
  if (src?.unsaved) f.push({ level: 'warn', object: 'state', what: `cannot be kept for a start without the API server: ${src.unsaved}`, cure: 'see l7.state_dir' })
  for (const p of [...(src?.problems ?? []), ...(s.problems ?? [])]) {
    const i = p.text.lastIndexOf(': ')
    f.push({
      level: 'warn',
      object: p.object,
      what: (p.field ? p.field + ': ' : '') + (i < 0 ? p.text : p.text.slice(0, i)),
      cure: i < 0 ? 'all other objects are served' : p.text.slice(i + 2),
    })
  }
  if (s.writer?.error) f.push({ level: 'warn', object: 'API server', what: `cannot be written: ${s.writer.error}`, cure: 'Ingresses may show old addresses' })
  for (const c of s.certificates ?? []) {
    if (c.error) f.push({ level: 'warn', object: `certificate ${c.name}`, what: `${c.error}; the one before it is shown`, cure: 'correct the Secret or file' })
    const left = daysLeft(c.not_after, now)
    if (!shown(c) || left >= soon) continue
    const hosts = (c.hosts ?? []).join(', ') || 'hosts without one'
    if (left < 0) f.push({ level: 'bad', object: `certificate ${c.name}`, what: `for ${hosts} expired ${since(c.not_after, now)} ago`, cure: 'renew it: browsers refuse it' })
    else f.push({ level: left < urgent ? 'bad' : 'warn', object: `certificate ${c.name}`, what: `for ${hosts} expires in ${duration((Date.parse(c.not_after) - now) / 1000)}`, cure: 'renew it' })
  }
  for (const c of s.certificate_faults ?? []) {
    const [object, what] = split(c)
    f.push({ level: 'warn', object: object || 'certificate', what, cure: 'it is not shown to anybody' })
  }
  if (s.acme?.storage.error) f.push({ level: 'warn', object: s.acme.storage.where ?? 'ACME', what: `cannot be read: ${s.acme.storage.error}`, cure: 'no certificate is renewed meanwhile' })
  for (const b of s.engine.backends ?? [])
    if (b.breaker !== 'closed') f.push({ level: 'warn', object: `${b.backend.namespace}/${b.backend.service}`, what: `its circuit breaker is ${b.breaker}`, cure: 'its Pods fail: see their logs' })
  if (s.access_log?.error) f.push({ level: 'warn', object: s.access_log.file, what: s.access_log.error, cure: `${s.access_log.lost} lines are lost so far` })
  if (s.trace?.error) f.push({ level: 'warn', object: s.trace.endpoint, what: s.trace.error, cure: 'traces are lost meanwhile' })
  if (s.conflicts?.length) f.push({ level: 'note', object: plural(s.conflicts.length, 'rule'), what: 'never answer: older objects claim the same requests', cure: 'explain such a URL below to see which' })
}

export function daysLeft(time: string, now: number): number {
  return (Date.parse(time) - now) / 86400_000
}

// shown reports whether clients get to see a certificate.
export function shown(c: { hosts: string[] | null; default?: boolean }): boolean {
  return !!c.hosts?.length || !!c.default
}

function sum(n: NodeStatus, findings: Finding[], now: number): Verdict {
  const bad = findings.filter((x) => x.level === 'bad').length
  const warn = findings.filter((x) => x.level === 'warn').length
  const summary = summarize(n, now)
  if (bad > 0) return { level: 'bad', headline: bad === 1 ? 'One thing needs you now' : `${bad} things need you now`, summary, findings }
  if (warn > 0) return { level: 'warn', headline: warn === 1 ? 'Serving, with one fault' : `Serving, with ${warn} faults`, summary, findings }
  return { level: 'ok', headline: 'All is well', summary, findings }
}

// summarize is the state in one sentence.
function summarize(n: NodeStatus, now: number): string {
  const parts: string[] = []
  const groups = n.director?.vip?.groups ?? []
  const here = groups.filter((g) => g.owned)
  if (here.length > 0 && here.length === groups.length) parts.push(`this node owns ${here.length === 1 ? (here[0]!.addresses ?? []).map(address).join(', ') : `all ${here.length} groups`}`)
  else if (here.length > 0) parts.push(`this node owns ${here.length} of ${groups.length} groups`)
  else if (groups.length > 0) parts.push(`this node stands by`)
  const servers = new Map<string, boolean>()
  for (const v of n.director?.l4?.services ?? [])
    for (const r of v.servers ?? []) {
      const key = host(r.address)
      servers.set(key, (servers.get(key) ?? true) && r.health === 'up')
    }
  if (servers.size > 0) parts.push(`${[...servers.values()].filter(Boolean).length} of ${plural(servers.size, 'server')} up`)
  const l7 = proxyOf(n)
  if (l7) parts.push(`${plural(l7.routes, 'route')} to ${plural(l7.endpoints, 'endpoint')}`)
  const ends = (l7?.certificates ?? []).filter(shown).map((c) => daysLeft(c.not_after, now))
  if (ends.length > 0) parts.push(`next certificate ends in ${plural(Math.max(0, Math.floor(Math.min(...ends))), 'day')}`)
  const text = parts.join(', ')
  return text && text[0]!.toUpperCase() + text.slice(1)
}

export function proxyOf(n: NodeStatus): L7Status | undefined {
  return n.proxy?.l7 ?? n.director?.l7
}
