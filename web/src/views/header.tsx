import type { Picture } from '../live'
import { duration } from '../format'
import type { Theme } from '../theme'
import type { Orders } from './orders'

const places = [
  ['addresses', 'Addresses'],
  ['services', 'Servers'],
  ['traffic', 'Traffic'],
  ['backends', 'Backends'],
  ['routes', 'Routes'],
  ['certificates', 'Certificates'],
  ['events', 'Events'],
] as const

const themes: Record<Theme, string> = { auto: 'as the system', light: 'light', dark: 'dark' }

interface Props {
  picture: Picture
  theme: Theme
  cycle: () => void
  orders: Orders
  // age is how old the numbers are while they are not live, in seconds.
  age: number
}

export function Header({ picture, theme, cycle, orders, age }: Props) {
  const p = picture.node?.director ?? picture.node?.proxy
  const takes = p?.admin?.orders ?? false
  return (
    <header class="top">
      <div class="bar">
        <span class="name">
          <img src="./icon.svg" alt="" width="22" height="22" />
          <b>{p?.node ?? 'portico'}</b>
        </span>
        <Live picture={picture} />
        <div class="controls">
          {takes ? (
            <button type="button" onClick={orders.unlocked ? orders.lock : orders.unlock} aria-pressed={orders.unlocked} title={orders.unlocked ? 'Forget the token' : 'Type the token that orders need'}>
              <Lock open={orders.unlocked} /> <span>{orders.unlocked ? 'Lock' : 'Unlock'}</span>
            </button>
          ) : (
            p && (
              <span class="dim readonly" title="Name a file with a token in admin.token_file to give orders here">
                read-only
              </span>
            )
          )}
          <button type="button" onClick={cycle} aria-label={`Colours: ${themes[theme]}. Change`} title={`Colours: ${themes[theme]}`}>
            <ThemeIcon theme={theme} />
          </button>
        </div>
      </div>
      <nav aria-label="Parts of the page">
        {places.map(([id, text]) => (
          <a key={id} href={`#${id}`}>
            {text}
          </a>
        ))}
      </nav>
      <Banner picture={picture} age={age} />
    </header>
  )
}

// Live tells how old the numbers are.
function Live({ picture: p }: { picture: Picture }) {
  if (!p.node) return <span class="live">{p.fault ? 'no answer' : 'asking…'}</span>
  return (
    <span class={`live ${p.stale ? 'stale' : ''}`}>
      <i /> {p.stale ? 'not live' : 'live'}
    </span>
  )
}

// Banner stays in sight while the numbers below are not live.
function Banner({ picture: p, age }: { picture: Picture; age: number }) {
  if (!p.stale) return null
  const name = p.node?.director?.node ?? p.node?.proxy?.node ?? 'This node'
  return (
    <div class="banner" role="alert">
      <b>
        {name} does not answer{p.fault ? `: ${p.fault}` : ''}.
      </b>{' '}
      {p.node
        ? `What is below is ${duration(age)} old and may be different by now. Another node may have taken over: look at its dashboard, and here at systemctl status portico.`
        : 'On the node, systemctl status portico and portico status say more.'}
    </div>
  )
}

function Lock({ open }: { open: boolean }) {
  return (
    <svg width="14" height="14" viewBox="0 0 16 16" aria-hidden="true" class="line-icon">
      <rect x="3" y="7" width="10" height="7" rx="1.5" />
      <path d={open ? 'M5.5 7V4.500a2.5 2.5 0 0 1 4.9-.700' : 'M5.5 7V4.500a2.5 2.5 0 0 1 5 0V7'} />
    </svg>
  )
}

function ThemeIcon({ theme }: { theme: Theme }) {
  return (
    <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" class="line-icon">
      {theme === 'light' && <path d="M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.4 1.400M11.6 11.6 13 13M13 3l-1.4 1.400M4.4 11.6 3 13M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6z" />}
      {theme === 'dark' && <path d="M13 9.500A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.500z" />}
      {theme === 'auto' && (
        <>
          <circle cx="8" cy="8" r="5.5" />
          <path d="M8 2.500v11a5.5 5.5 0 0 0 0-11z" class="fill" />
        </>
      )}
    </svg>
  )
}
