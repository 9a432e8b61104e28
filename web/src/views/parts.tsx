// The small parts that all views are made of.

import type { ComponentChildren } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'

export type Tone = 'ok' | 'warn' | 'bad' | 'off' | 'info'

// Each tone has a shape of its own, for those who cannot tell the colours apart.
const shapes: Record<Tone, string> = {
  ok: 'M3.5 8.5 6.5 11.5 12.5 4.5',
  warn: 'M8 4v5M8 11.800v.4',
  bad: 'M4.5 4.500l7 7M11.5 4.500l-7 7',
  off: 'M4 8h8',
  info: 'M8 7.500V12M8 4v.4',
}

export function Icon({ tone, size = 16 }: { tone: Tone; size?: number }) {
  return (
    <svg class={`icon ${tone}`} width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      <circle cx="8" cy="8" r="8" />
      <path d={shapes[tone]} />
    </svg>
  )
}

export function Pill({ tone, children, title }: { tone: Tone; children: ComponentChildren; title?: string }) {
  return (
    <span class={`pill ${tone}`} title={title}>
      {children}
    </span>
  )
}

export function Section({ id, title, note, tools, children }: { id: string; title: string; note?: ComponentChildren; tools?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section id={id} class="section" aria-labelledby={`${id}-title`} tabIndex={-1}>
      <header>
        <h2 id={`${id}-title`}>{title}</h2>
        {note && <span class="note">{note}</span>}
        {tools && <div class="tools">{tools}</div>}
      </header>
      {children}
    </section>
  )
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>
}

export function Search({ label, value, set }: { label: string; value: string; set: (v: string) => void }) {
  return <input type="search" class="search" aria-label={label} placeholder={label} value={value} onInput={(e) => set(e.currentTarget.value)} spellcheck={false} autocomplete="off" />
}

// most is how many of a list are shown at all: who looks for one of thousands
// filters.
const most = 500

// useCap shows the first of many, and most when asked.
export function useCap<T>(all: T[], first: number): [T[], ComponentChildren] {
  const [whole, set] = useState(false)
  if (all.length <= first) return [all, null]
  const more = (
    <button type="button" class="more" onClick={() => set(!whole)} aria-expanded={whole}>
      {whole ? 'Show fewer' : `Show ${Math.min(all.length, most) - first} more`}
    </button>
  )
  return [all.slice(0, whole ? most : first), more]
}

// Dialog asks something; whatever closes it calls close.
export function Dialog({ title, close, children }: { title: string; close: () => void; children: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null)
  useLayoutEffect(() => {
    const before = document.activeElement
    ref.current?.showModal()
    return () => before instanceof HTMLElement && before.focus()
  }, [])
  return (
    <dialog ref={ref} aria-labelledby="dialog-title" onClose={close} onClick={(e) => e.target === ref.current && close()}>
      <div class="dialog">
        <h2 id="dialog-title">{title}</h2>
        {children}
      </div>
    </dialog>
  )
}
