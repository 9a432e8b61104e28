// How numbers, times and names are written.

import type { Backend, Rule, Server, Service } from './api'

// duration writes seconds as coarsely as people do.
export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds))
  if (s < 60) return `${s}s`
  if (s < 3600) return `${Math.floor(s / 60)}m ${s % 60}s`
  if (s < 48 * 3600) return `${Math.floor(s / 3600)}h ${Math.floor((s % 3600) / 60)}m`
  const days = Math.floor(s / 86400)
  return days < 30 ? `${days}d ${Math.floor((s % 86400) / 3600)}h` : `${days}d`
}

// known is a time of the API, in milliseconds: undefined where there is none.
export function known(time: string | undefined): number | undefined {
  if (!time || time.startsWith('0001-')) return undefined
  const t = Date.parse(time)
  return Number.isNaN(t) ? undefined : t
}

export function since(time: string | undefined, now: number): string {
  const t = known(time)
  return t === undefined ? '–' : duration((now - t) / 1000)
}

const scales = ['', 'k', 'M', 'G', 'T', 'P']

// compact writes a number in three or four digits.
export function compact(n: number): string {
  let i = 0
  while (Math.abs(n) >= 9999.5 && i < scales.length - 1) {
    n /= 1000
    i++
  }
  const digits = i > 0 ? (Math.abs(n) < 100 ? 1 : 0) : Math.abs(n) >= 10 || Number.isInteger(n) ? 0 : 1
  return n.toFixed(digits).replace(/\.0$/, '') + scales[i]
}

export function bytes(n: number): string {
  if (n < 1000) return `${Math.round(n)} B`
  let i = 0
  while (n >= 999.5 && i < scales.length - 1) {
    n /= 1000
    i++
  }
  return `${n.toFixed(n < 10 ? 1 : 0)} ${i === 1 ? 'k' : scales[i]}B`
}

export function plural(n: number, one: string, many = one + 's'): string {
  return `${n} ${n === 1 ? one : many}`
}

// clock is the time of day, and the date where it is another day's.
export function clock(ms: number, now: number): string {
  const t = new Date(ms)
  const time = t.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })
  if (t.toDateString() === new Date(now).toDateString()) return time
  return t.toLocaleDateString([], { day: 'numeric', month: 'short' }) + ' ' + time
}

// host is an address without its port or prefix length.
export function host(address: string): string {
  if (address.startsWith('[')) return address.slice(1, address.indexOf(']'))
  const slash = address.indexOf('/')
  if (slash >= 0) return address.slice(0, slash)
  return address.split(':').length === 2 ? address.slice(0, address.indexOf(':')) : address
}

// address leaves out the length of a prefix that is a single host.
export function address(prefix: string): string {
  return prefix.replace(prefix.includes(':') ? /\/128$/ : /\/32$/, '')
}

export function serverName(s: Server): string {
  return s.name || host(s.address)
}

export function serviceName(s: Service): string {
  if (!s.fwmark) return `${s.protocol} ${s.address}`
  return `fwmark ${s.fwmark}${s.address.startsWith('[') ? ', IPv6' : ''}`
}

export function scheduling(s: Service): string {
  const words = [s.scheduler, s.tunnel ? `${s.forward} ${s.tunnel}` : s.forward]
  if (s.persistence) words.push(`persistent ${duration(s.persistence)}`)
  return words.join(' · ')
}

export function backendName(b: Backend): string {
  if (!b.service) return '503'
  return `${b.namespace}/${b.service}:${b.port}` + (b.as ? ` (${b.as})` : '')
}

export function originName(r: Rule): string {
  const o = r.origin
  return [o.kind, o.namespace ? `${o.namespace}/${o.name}` : o.name].filter(Boolean).join(' ')
}

export function steps(r: Rule): string[] {
  return (r.steps ?? []).flatMap((s) => Object.keys(s))
}
