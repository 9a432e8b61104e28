// The node as it was last heard, and how long ago that is.

import { useEffect, useState } from 'preact/hooks'
import { get, type Event, type History, type NodeStatus, type Point } from './api'

// every is how often the node is asked, and fresh how old an answer may be to
// be shown as what is, in milliseconds. A large edge that takes long to tell
// all is asked less often: idle is how many times as long it is left alone, but
// not longer than rest.
const every = 2000
const fresh = 7000
const idle = 3
const rest = 8000

// tick is how often ages move on, in milliseconds.
const tick = 1000

// span is how much of the past charts show, in milliseconds.
export const span = 10 * 60_000

export interface Picture {
  node?: NodeStatus
  // before is the answer before node, for rates, and apart how many seconds
  // lie between the two.
  before?: NodeStatus
  apart: number
  points: Point[]
  events: Event[]
  // fault is why the last question was not answered.
  fault?: string
  // stale says that all of this may be different by now.
  stale: boolean
  // asOf is the node's time of the answer, now the node's time now, as long as
  // it answers: of numbers that are not live the ages stand still. Milliseconds.
  asOf: number
  now: number
}

const nothing: Picture = { apart: 0, points: [], events: [], stale: false, asOf: 0, now: Date.now() }

// Live asks the node again and again while somebody looks.
export class Live {
  private picture = nothing
  // heard is when the last answer came, and offset what the node's clock is
  // ahead of ours.
  private heard = performance.now()
  private offset = 0
  private took = 0
  private asking = false
  private readonly listeners = new Set<(p: Picture) => void>()

  start(): () => void {
    let next = 0
    const look = () => {
      if (document.visibilityState !== 'visible' || performance.now() < next) return
      next = performance.now() + Math.max(every, this.pause()) - tick / 2
      void this.ask()
    }
    const shown = () => {
      next = 0
      look()
    }
    const timer = setInterval(() => {
      look()
      this.tell()
    }, tick)
    document.addEventListener('visibilitychange', shown)
    look()
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', shown)
    }
  }

  listen(f: (p: Picture) => void): () => void {
    this.listeners.add(f)
    f(this.view())
    return () => this.listeners.delete(f)
  }

  // ask asks everything that moves. The charts' points come one by one.
  async ask(): Promise<void> {
    if (this.asking) return
    this.asking = true
    const began = performance.now()
    try {
      const last = this.picture.points.at(-1)?.time
      const [node, history, events] = await Promise.all([
        get<NodeStatus>('node'),
        get<History>('history' + (last ? '?since=' + encodeURIComponent(last) : '')),
        get<Event[]>('events'),
      ])
      const heard = performance.now()
      this.took = heard - began
      if (node.at !== undefined) this.offset = closer(this.offset, node.at - Date.now())
      this.picture = {
        ...this.picture,
        node: node.body,
        before: this.picture.node,
        apart: (heard - this.heard) / 1000,
        points: recent([...this.picture.points, ...history.body.points]),
        events: events.body,
        fault: undefined,
        asOf: Date.now() + this.offset,
      }
      this.heard = heard
    } catch (e) {
      this.picture = { ...this.picture, fault: why(e) }
    } finally {
      this.asking = false
      this.tell()
    }
  }

  // pause is how long a node is left alone that takes long to answer.
  private pause(): number {
    return Math.min(this.took * idle, rest)
  }

  private view(): Picture {
    const p = this.picture
    const stale = p.fault !== undefined || performance.now() - this.heard > fresh + this.pause()
    return { ...p, stale, now: stale && p.node ? p.asOf : Date.now() + this.offset }
  }

  private tell() {
    const v = this.view()
    for (const f of this.listeners) f(v)
  }
}

// closer is the better of two guesses at what a clock is ahead. The header Date
// leaves out the milliseconds, so the larger one is, unless a clock was set.
function closer(old: number, guess: number): number {
  return Math.abs(guess - old) < 1500 ? Math.max(old, guess) : guess
}

function why(e: unknown): string {
  if (!(e instanceof Error)) return String(e)
  if (e.name === 'TimeoutError') return 'no answer in time'
  return e instanceof TypeError ? 'the connection is refused or broken' : e.message
}

// recent leaves out what charts show no more. A node whose clock was set back
// begins anew.
function recent(points: Point[]): Point[] {
  const last = Date.parse(points.at(-1)?.time ?? '')
  return points.filter((p) => {
    const t = Date.parse(p.time)
    return t > last - span - every && t <= last
  })
}

export function usePicture(live: Live): Picture {
  const [picture, set] = useState<Picture>(nothing)
  useEffect(() => live.listen(set), [live])
  return picture
}
