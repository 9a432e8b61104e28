import { useEffect, useState } from 'preact/hooks'
import { get, type Denial, type Denials, type ShieldStatus } from '../api'
import { compact, known, duration, plural, since } from '../format'
import type { Order } from './orders'
import { Empty, Icon, Section, useCap } from './parts'

// every is how often the list is read, in milliseconds.
const every = 5000

const times: [string, string][] = [
  ['10m', 'for 10 minutes'],
  ['1h', 'for an hour'],
  ['24h', 'for a day'],
  ['', 'until taken back'],
]

interface Props {
  status: ShieldStatus
  live: boolean
  now: number
  // ask is there where orders can be given.
  ask?: (o: Order) => void
}

// Shield lists the networks whose packets are dropped, and takes orders.
export function Shield({ status, live, now, ask }: Props) {
  const list = useDenials(live, status.configured + status.ordered)
  const [first, more] = useCap(list?.denials ?? [], 8)
  const fault = list?.fault ?? status.fault
  const rate = status.syn_rate ? `${status.syn_rate} connections/s a source` : ''
  return (
    <Section id="shield" title="Denied networks" note={[list && list.denials.length > 0 ? plural(list.denials.length, 'network') : '', rate].filter(Boolean).join(', ')}>
      {fault && (
        <p class="dim wrap">
          <Icon tone="off" size={14} /> {fault}
        </p>
      )}
      {list?.denials.length === 0 && !fault && <Empty>No network is denied.</Empty>}
      <ul class="rows">
        {first.map((d) => (
          <DenialRow key={d.network} denial={d} now={now} ask={ask} />
        ))}
      </ul>
      {more}
      {ask && !fault && <DenyForm ask={ask} />}
    </Section>
  )
}

function DenialRow({ denial: d, now, ask }: { denial: Denial; now: number; ask?: (o: Order) => void }) {
  const until = known(d.until)
  const ordered = d.by === 'order'
  return (
    <li>
      <Icon tone="info" size={14} />
      <div class="wrap">
        <b class="mono">{d.network}</b> <span class="dim">{compact(d.packets)} dropped</span>
        <div class="dim">
          {ordered ? `ordered ${since(d.since, now)} ago, ${until === undefined ? 'until taken back' : `ends in ${duration((until - now) / 1000)}`}` : 'by the configuration'}
          {d.reason && `: ${d.reason}`}
        </div>
      </div>
      {ask && ordered && (
        <button type="button" onClick={() => ask(allowOrder(d.network))} aria-label={`Allow ${d.network}`}>
          Allow
        </button>
      )}
    </li>
  )
}

function DenyForm({ ask }: { ask: (o: Order) => void }) {
  const [network, setNetwork] = useState('')
  const [time, setTime] = useState('1h')
  const [reason, setReason] = useState('')
  return (
    <form
      class="deny"
      onSubmit={(e) => {
        e.preventDefault()
        if (network.trim()) ask(denyOrder(network.trim(), time, reason.trim()))
      }}
    >
      <input type="text" aria-label="Network to deny" placeholder="192.0.2.0/24" value={network} onInput={(e) => setNetwork(e.currentTarget.value)} spellcheck={false} autocapitalize="off" autocomplete="off" />
      <select aria-label="How long" value={time} onChange={(e) => setTime(e.currentTarget.value)}>
        {times.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
      <input type="text" aria-label="Reason" placeholder="Reason" maxLength={100} value={reason} onInput={(e) => setReason(e.currentTarget.value)} autocomplete="off" />
      <button type="submit">Deny</button>
    </form>
  )
}

function denyOrder(network: string, time: string, reason: string): Order {
  const how = times.find(([value]) => value === time)?.[1] ?? ''
  return {
    title: `Deny ${network}?`,
    text: `Every packet from there is dropped by this node, ${how}, established connections too. Other nodes that may own the address need the order, too.`,
    verb: 'Deny',
    path: 'deny',
    choices: [{ label: network, body: { network, ...(time && { for: time }), ...(reason && { reason }) } }],
  }
}

function allowOrder(network: string): Order {
  return { title: `Allow ${network}?`, text: 'Its packets are no longer dropped by this node.', verb: 'Allow', path: 'deny', choices: [{ label: network, body: { network, off: true } }] }
}

// useDenials reads the list, and again at once when its length is another.
function useDenials(live: boolean, length: number): Denials | undefined {
  const [list, set] = useState<Denials>()
  useEffect(() => {
    if (!live) return
    let ended = false
    const read = async () => {
      if (document.visibilityState !== 'visible') return
      try {
        const { body } = await get<Denials>('deny')
        if (!ended) set(body)
      } catch {
        // What the node does not tell is not shown: the banner tells why.
        if (!ended) set(undefined)
      }
    }
    void read()
    const timer = setInterval(read, every)
    return () => {
      ended = true
      clearInterval(timer)
    }
  }, [live, length])
  return list
}
