// Light or dark: the system's choice, unless somebody made another here.

import { useEffect, useState } from 'preact/hooks'

export type Theme = 'auto' | 'light' | 'dark'

const key = 'portico.theme'
const next: Record<Theme, Theme> = { auto: 'light', light: 'dark', dark: 'auto' }

function stored(): Theme {
  try {
    const t = localStorage.getItem(key)
    return t === 'light' || t === 'dark' ? t : 'auto'
  } catch {
    return 'auto' // storage may be forbidden
  }
}

// useTheme returns the choice, whether the page is dark by it, and how to go on
// to the next one.
export function useTheme(): { theme: Theme; dark: boolean; cycle: () => void } {
  const [theme, set] = useState(stored)
  const [system, setSystem] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches)
  useEffect(() => {
    const query = matchMedia('(prefers-color-scheme: dark)')
    const change = () => setSystem(query.matches)
    query.addEventListener('change', change)
    return () => query.removeEventListener('change', change)
  }, [])
  const dark = theme === 'auto' ? system : theme === 'dark'
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
  return {
    theme,
    dark,
    cycle: () => {
      set(next[theme])
      try {
        localStorage.setItem(key, next[theme])
      } catch {
        // it lasts as long as the page
      }
    },
  }
}
