import { describe, expect, test } from 'vitest'
import type { Group, L7Status, NodeStatus, Process, Server, Service } from './api'
import { judge } from './verdict'

const now = Date.parse('2026-01-02T03:04:05Z')
const ago = (s: number) => new Date(now - s * 1000).toISOString()
const stats = { connections: 0, connection_rate: 0, byte_rate_in: 0, byte_rate_out: 0 }

const server = (o: Partial<Server> = {}): Server => ({
  address: '10.0.0.1:80',
  configured: 1,
  wanted: 1,
  weight: 1,
  health: 'up',
  since: ago(60),
  active: 0,
  inactive: 0,
  persistent: 0,
  stats,
  ...o,
})
const service = (servers: Server[], o: Partial<Service> = {}): Service => ({
  name: 'web',
  address: '192.0.2.10:80',
  protocol: 'tcp',
  scheduler: 'mh',
  forward: 'dr',
  owned: true,
  programmed: true,
  servers,
  stats,
  ...o,
})
const group = (o: Partial<Group> = {}): Group => ({
  name: 'edge',
  interface: 'eth0',
  owner: 'vrrp',
  addresses: ['192.0.2.10/32'],
  state: 'Active',
  owned: true,
  since: ago(5),
  reason: 'no Active heard',
  active: '192.0.2.1',
  transitions: 1,
  ...o,
})
const process = (o: Partial<Process>): Process => ({ version: '1', node: 'n', started: ago(100), config: { path: '/p', loaded: ago(100) }, ...o })
const l7 = (o: Partial<L7Status> = {}): L7Status => ({
  ready: true,
  routes: 2,
  backends: 1,
  endpoints: 3,
  engine: { requests: 0, responses: {}, connections: 0, tunnels: 0, retries: 0, backends: [] },
  ...o,
})
const node = (groups: Group[], services: Service[], proxy: L7Status = l7()): NodeStatus => ({
  director: process({ vip: { groups }, l4: { last_reconcile: ago(1), services } }),
  proxy: process({ l7: proxy }),
})

// told is what the verdict says, a line each.
const told = (n: NodeStatus) => judge(n, now).findings.map((f) => `${f.level} ${f.object}: ${f.what}`)

describe('verdict', () => {
  test('all is well', () => {
    const v = judge(node([group()], [service([server()])]), now)
    expect(v).toEqual({ level: 'ok', headline: 'All is well', summary: 'This node owns 192.0.2.10, 1 of 1 server up, 2 routes to 3 endpoints', findings: [] })
  })

  test('a node that stands by is well', () => {
    const v = judge(node([group({ state: 'Backup', owned: false })], [service([server()], { owned: false, programmed: false })]), now)
    expect(v.level).toBe('ok')
    expect(v.summary).toContain('This node stands by')
  })

  test('a server that is down in two services is one fault', () => {
    const down = server({ health: 'down', reason: 'connection refused', wanted: 0, since: ago(30) })
    const n = node([group()], [service([down, server({ address: '10.0.0.2:80' })]), service([down, server({ address: '10.0.0.2:80' })], { name: 'tls' })])
    expect(told(n)).toEqual(['warn 10.0.0.1: has been down for 30s in web, tls: connection refused'])
    expect(judge(n, now).headline).toBe('Serving, with one fault')
  })

  test('no server is up', () => {
    const n = node([group()], [service([server({ health: 'down', reason: 'x', wanted: 0 })])])
    expect(told(n)[0]).toBe('bad web 192.0.2.10:80: no server is up: its clients are refused')
    expect(judge(n, now).headline).toBe('One thing needs you now')
  })

  test.each<[string, NodeStatus, string]>([
    ['nobody owns', node([group({ state: 'Backup', owned: false, active: undefined })], []), 'bad edge 192.0.2.10: no node is heard that owns it'],
    ['fault', node([group({ state: 'Fault', owned: false, reason: 'fault' })], []), 'bad edge 192.0.2.10: this node does not take part: fault'],
    ['two owners', node([group({ duplicates: [{ address: '192.0.2.10', mac: '02:00:00:00:00:09', since: ago(7) }] })], []), 'bad 192.0.2.10: is claimed by 02:00:00:00:00:09 as well, for 7s'],
    ['not programmed', node([group()], [service([server()], { programmed: false })]), 'bad web 192.0.2.10:80: is not in the kernel'],
    ['drained', { director: process({ l4: { last_reconcile: ago(1), services: [], drains: [{ target: 'a', since: ago(3), programmed: 1, serving: 0, connections: 1 }] } }) }, 'note a: has been drained for 3s, 1 connection left here'],
    ['not dropped', { director: process({ shield: { configured: 1, ordered: 0, fault: 'no XDP' } }) }, 'warn denied networks: are not dropped: no XDP'],
    ['file refused', { director: process({ config: { path: '/p', loaded: ago(9), error: 'line 3: no', failed: ago(4) } }) }, 'bad /p: the director refused it 4s ago, the file before runs: line 3: no'],
    ['a process is missing', { director: process({}), missing: ['/run/l7.sock: portico is not running: systemctl start portico'] }, 'bad /run/l7.sock: portico is not running: systemctl start portico'],
    ['not ready', node([], [], l7({ ready: false, reason: 'no routes' })), 'bad proxy: is not ready: no routes'],
    ['problem', node([], [], l7({ problems: [{ object: 'Ingress a/b', field: 'spec.x', text: 'is wrong: correct it' }] })), 'warn Ingress a/b: spec.x: is wrong'],
    ['expired', node([], [], l7({ certificates: [{ name: 'c', hosts: ['h'], not_after: ago(3600) }] })), 'bad certificate c: for h expired 1h 0m ago'],
    ['expires', node([], [], l7({ certificates: [{ name: 'c', hosts: ['h'], not_after: ago(-5 * 86400) }] })), 'warn certificate c: for h expires in 5d 0h'],
    ['bgp', { director: process({ vip: { groups: [], bgp: { sessions: [{ neighbor: '192.0.2.254', as: 1, state: 'idle', since: ago(8), announced: 0, last_error: 'refused' }] } } }) }, 'bad BGP 192.0.2.254: idle for 8s: refused'],
  ])('%s', (_, n, want) => {
    expect(told(n)).toEqual([want])
  })

  test('nobody is shown it, nobody is told of it', () => {
    expect(told(node([], [], l7({ certificates: [{ name: 'c', hosts: [], not_after: ago(1) }] })))).toEqual([])
  })

  test('the worst comes first', () => {
    const n = node([group()], [service([server({ health: 'down', reason: 'x' }), server({ address: '10.0.0.2:80' })], { programmed: false })])
    expect(told(n).map((t) => t.split(' ')[0])).toEqual(['bad', 'warn'])
  })
})
