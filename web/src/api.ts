// What the admin listener answers, as far as the page shows it. The names and
// meanings are those of /api/v1/openapi.json.

export interface NodeStatus {
  director?: Process
  proxy?: Process
  missing?: string[]
}

export interface Process {
  version: string
  node: string
  started: string
  config: { path: string; loaded: string; error?: string; failed?: string }
  admin?: { listen?: string; orders: boolean; last_error?: string }
  vip?: VIPStatus
  notify?: { name: string; kind: string; sent: number; failed: number; dropped: number; waiting: number; last_error?: string }[]
  l4?: L4Status
  xdp?: XDPStatus
  shield?: ShieldStatus
  guard?: { on: boolean; packets: number; peers?: { address: string; left_out?: string }[]; last_error?: string }
  nodes?: NodesStatus
  pod_routes?: { routes: unknown[] | null; faults?: { node: string; reason: string }[]; error?: string; error_since?: string }
  l7?: L7Status
}

export interface VIPStatus {
  groups: Group[] | null
  bgp?: { sessions: BGPSession[] | null; last_error?: string }
  last_error?: string
}

export interface Group {
  name: string
  interface: string
  owner: string
  addresses: string[] | null
  state: string
  owned: boolean
  adopting?: boolean
  since: string
  reason: string
  priority?: number
  effective_priority?: number
  active?: string
  active_priority?: number
  transitions: number
  history?: Transition[]
  duplicates?: { address: string; mac: string; since: string }[]
  last_error?: string
  track?: { rule: string; up: boolean; pending?: boolean; since?: string; reason?: string; effect?: string }[]
}

export interface Transition {
  seq: number
  at: string
  from: string
  to: string
  reason: string
}

export interface BGPSession {
  neighbor: string
  as: number
  state: string
  since: string
  announced: number
  bfd?: string
  last_error?: string
}

export interface L4Status {
  last_reconcile: string
  last_error?: string
  services: Service[] | null
  drains?: Drain[]
}

export interface Drain {
  target: string
  since: string
  programmed: number
  serving: number
  connections: number
}

export interface Stats {
  connections: number
  connection_rate: number
  byte_rate_in: number
  byte_rate_out: number
}

export interface Service {
  name: string
  vip?: string
  address: string
  fwmark?: number
  protocol: string
  scheduler: string
  forward: string
  tunnel?: string
  persistence?: number
  owned: boolean
  programmed: boolean
  dataplane?: string
  dataplane_mode?: string
  dataplane_reason?: string
  servers: Server[] | null
  stats: Stats
}

export interface Server {
  address: string
  name?: string
  node_selector?: string
  configured: number
  wanted: number
  weight: number
  percent?: number
  health: string
  since?: string
  reason?: string
  active: number
  inactive: number
  persistent: number
  stats: Stats
  drained?: string
  draining_until?: string
  sorry?: boolean
}

export interface XDPStatus {
  interfaces?: { name: string; mode?: string; reason?: string }[]
  layout?: string
  services: number
  backends: number
  verdicts?: Record<string, number>
  events?: Record<string, number>
  last_error?: string
}

export interface ShieldStatus {
  configured: number
  ordered: number
  syn_rate?: number
  syn_burst?: number
  fault?: string
}

// Denials are the networks whose packets are dropped.
export interface Denials {
  fault?: string
  denials: Denial[]
}

export interface Denial {
  network: string
  by: string
  since?: string
  until?: string
  reason?: string
  packets: number
}

export interface NodesStatus {
  error?: string
  error_since?: string
  selectors: { selector: string; nodes: { name: string }[] | null; left_out?: { name: string; reason: string }[]; held?: boolean }[] | null
}

export interface L7Status {
  ready: boolean
  reason?: string
  source?: {
    from: string
    changed: string
    error?: string
    error_since?: string
    restored?: string
    unsaved?: string
    problems?: Problem[]
  }
  routes: number
  backends: number
  endpoints: number
  conflicts?: { winner: Rule; loser: Rule }[]
  problems?: Problem[]
  writer?: { writer: string; elected: boolean; error?: string }
  certificates?: Certificate[]
  certificate_faults?: string[]
  acme?: { ca: string; storage: { where?: string; error?: string; orders?: string }; hosts?: { not_after?: string }[] }
  access_log?: { file: string; lines: number; lost: number; error?: string }
  trace?: { endpoint: string; spans: number; sent: number; error?: string }
  engine: {
    requests: number
    responses: Record<string, number>
    connections: number
    tunnels: number
    retries: number
    backends: Pool[] | null
  }
}

export interface Problem {
  object: string
  field: string
  text: string
}

export interface Certificate {
  name: string
  hosts: string[] | null
  default?: boolean
  not_after: string
  error?: string
}

export interface Backend {
  namespace: string
  service: string
  port: string
  as?: string
}

export interface Pool {
  backend: Backend
  endpoints: Endpoint[] | null
  retries: number
  breaker: string
  queued: number
  rejected?: number
}

export interface Endpoint {
  addr: string
  leaving?: boolean
  requests: number
  in_flight: number
  failed_dials: number
  ejected?: { why: string }
}

export interface Rule {
  host: string
  path: string
  match: string
  priority?: number
  backend: Backend
  choices?: { backend: Backend }[]
  entrypoints?: string[]
  steps?: Record<string, unknown>[]
  origin: { kind: string; namespace: string; name: string; created: string }
}

export interface Route extends Rule {
  endpoints: number
}

export interface Explanation {
  entrypoint: string
  host: string
  path: string
  route?: Rule
  answer?: string
  others?: { route: Rule; why: string }[]
  conflicts?: Rule[]
  backends?: { backend: Backend; share: number; because?: string; endpoints: Endpoint[] | null }[]
  certificate?: Certificate
  problems?: Problem[]
  dialects?: { dialect: string; route?: Rule; same: boolean }[]
}

// A Point is what the node did in the seconds before its time; l4 is not there
// where it does not balance, l7 where no proxy answered.
export interface Point {
  time: string
  l4?: { connections: number; new_connections: number; packets: number; bytes: number }
  l7?: { connections: number; new_connections: number; requests: number; errors: number; bytes_sent: number }
}

export interface History {
  step: number
  points: Point[]
}

export interface Event {
  at: string
  level: string
  part: string
  object: string
  text: string
}

// Refused is an answer that is none: status is that of HTTP, message what the
// node says, which names the cure.
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message)
  }
}

// An Answer is what was asked for and the node's own time when it was given,
// in milliseconds; undefined where it sends none.
export interface Answer<T> {
  body: T
  at: number | undefined
}

// patience is how long a node may take, in milliseconds.
const patience = 8000

async function ask(path: string, init: RequestInit): Promise<Response> {
  const response = await fetch('/api/v1/' + path, { cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(patience), ...init })
  if (!response.ok) throw new Refused(response.status, (await response.text()).trim() || `status ${response.status}`)
  return response
}

export async function get<T>(path: string): Promise<Answer<T>> {
  const response = await ask(path, {})
  const date = Date.parse(response.headers.get('Date') ?? '')
  return { body: (await response.json()) as T, at: Number.isNaN(date) ? undefined : date }
}

export async function explain(url: string): Promise<Explanation> {
  const response = await ask('explain', post({ url }))
  return (await response.json()) as Explanation
}

export async function order(path: string, body: unknown, token: string): Promise<void> {
  await ask(path, post(body, { Authorization: `Bearer ${token}` }))
}

function post(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json', ...headers } }
}
