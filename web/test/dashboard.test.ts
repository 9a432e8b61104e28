// The page in a real browser, beside three nodes that run the real binary.

import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bootTime, Edge, hindrances, launch, picture, token, until, view, type View } from './edge'

let edge: Edge
let browser: Browser
let owner: string
const views = new Map<string, View>()
const all: View[] = []

const on = (node: string): Page => views.get(node)!.page
const others = () => edge.nodes.filter((n) => n !== owner)
const headline = (p: Page) => p.getByRole('heading', { level: 1 })
const section = (p: Page, name: string): Locator => p.getByRole('region', { name, exact: true })
const address = (node: string) => `172.20.0.${113 + edge.nodes.indexOf(node)}`
// row is a node's row among the servers of the first service.
const row = (p: Page, node: string) => p.locator('.service').first().locator('tr.server', { hasText: address(node) })

async function open(node: string, options = {}): Promise<View> {
  const v = await view(browser, edge.url(node), options)
  all.push(v)
  return v
}

beforeAll(async () => {
  edge = await Edge.start()
  browser = await launch()
  owner = await edge.owner()
  for (const n of edge.nodes) views.set(n, await open(n))
}, bootTime + 60_000)

afterAll(async () => {
  await browser?.close()
  await edge?.end()
}, 60_000)

test('every node tells who owns the address, and since when', async () => {
  await until('the owner says so', async () => (await section(on(owner), 'Virtual addresses').textContent())?.includes('This node owns it'))
  for (const n of others()) {
    const text = (await section(on(n), 'Virtual addresses').textContent())!
    expect(text).toContain(`${address(owner)} owns it`)
    expect(text).toMatch(/Backup for \d+[smh]/)
  }
  expect(await on(owner).title()).toContain(owner)
})

test('every server is shown with health, weight and connections', async () => {
  const p = on(owner)
  for (const n of edge.nodes) {
    await until(`${n} is up`, async () => (await row(p, n).textContent())?.includes('up'))
    await until('and has its weight', async () => (await row(p, n).locator('[data-label=weight]').textContent()) === '1')
  }
  await until('connections are counted', async () => {
    const counts = await p.locator('.service').first().locator('td[data-label=active]').allTextContents()
    return counts.reduce((sum, c) => sum + Number(c), 0) >= 6
  })
  const other = on(others()[0]!)
  expect(await other.locator('.service .pill').first().textContent()).toBe('balanced elsewhere')
  await until('no weight is shown where nothing is balanced', async () => /up.*–/.test((await row(other, owner).textContent()) ?? ''))
})

test('charts are drawn and move', async () => {
  const p = on(owner)
  const chart = p.getByRole('img', { name: /^Requests over ten minutes/ })
  await until('requests are counted', async () => /now [1-9]/.test((await chart.getAttribute('aria-label')) ?? ''))
  const canvas = p.locator('.chart canvas').first()
  const before = await canvas.screenshot()
  await until('the chart moves', async () => !before.equals(await canvas.screenshot()))
  expect(await p.locator('.chart').count()).toBe(4)
})

test('names that are markup stay text', async () => {
  const p = on(owner)
  const hostile = `<img src=x onerror=document.title='owned'>`
  await p.getByLabel('Search host, path, backend, object').fill('hostile.example')
  await until('the object is shown by its name', async () => (await section(p, 'Routes').textContent())?.includes(`Ingress default/${hostile}`))
  await p.getByRole('button', { name: 'hostile.example.test' }).click()
  await p.locator('.explanation', { hasText: hostile }).waitFor()
  expect(await p.locator('img:not([src="./icon.svg"])').count()).toBe(0)
  expect(await p.title()).not.toBe('owned')
  expect(await p.getByRole('region', { name: 'Verdict' }).textContent()).toContain('Ingress default/faulty')
})

test('a route is found and explained', async () => {
  const p = on(owner)
  const rows = p.locator('.routes tbody tr')
  await p.getByLabel('Search host, path, backend, object').fill('tenant-07 web')
  await until('one is left', async () => (await rows.count()) === 1)
  await rows.getByRole('button').click()
  const x = p.locator('.explanation')
  await until('it is explained', async () => (await x.textContent())?.includes('Won byIngress default/tenant-07'))
  expect(await x.textContent()).toContain('10.244.1.')

  await p.getByLabel('Which rule answers').fill('https://api.example.test/v1/orders')
  await p.keyboard.press('Enter')
  await until('the certificate is named', async () => /Won byIngress default\/api.*Certificatedefault\/api-tls/s.test((await x.textContent()) ?? ''))

  await p.getByLabel('Which rule answers').fill('ftp://nonsense')
  await p.keyboard.press('Enter')
  await until('what is no request is refused', async () => (await section(p, 'Routes').getByRole('alert').textContent())?.includes('is no URL of a request'))
})

test('certificates are listed by how long they last', async () => {
  const list = section(on(owner), 'Certificates').getByRole('listitem')
  expect(await list.allTextContents()).toEqual([expect.stringMatching(/admin-tls.*4 days/), expect.stringMatching(/api-tls.*79 days/)])
})

test('a server that fails goes red, and is told of', async () => {
  const p = on(owner)
  const victim = others()[0]!
  await edge.kill(victim, 'proxy')
  await until('it is down', async () => (await row(p, victim).getAttribute('class'))?.includes('bad'))
  await until('the verdict tells', async () => (await p.getByRole('region', { name: 'Verdict' }).textContent())?.includes(`${address(victim)} has been down for`))
  await until('its weight goes', async () => (await row(p, victim).locator('[data-label=weight]').textContent()) === '0')
  await until('an event tells', async () => /health.*down:/s.test((await section(p, 'Events').textContent()) ?? ''))
  await until('the node itself says what is missing', async () => (await headline(on(victim)).textContent())?.includes('need'))
  await picture(p, 'down')
  await edge.start(victim, 'proxy')
  await until('it is up again', async () => (await row(p, victim).getAttribute('class'))?.includes('ok'))
})

test('without a token nothing can be changed', async () => {
  expect(await on(owner).getByRole('button', { name: /^(Drain|Undrain) / }).count()).toBe(0)
})

test('a server is drained and given back, with a token and after a question', async () => {
  const p = on(owner)
  const victim = others()[1]!
  const drain = p.getByRole('button', { name: `Drain ${address(victim)}` }).first()
  const dialog = p.getByRole('dialog')
  const unlock = async (text: string) => {
    await dialog.getByLabel('Token').fill(text)
    await p.keyboard.press('Enter')
  }
  await p.getByRole('button', { name: 'Unlock' }).click()
  await unlock('not the token of this node')
  await drain.click()
  await dialog.getByRole('button', { name: 'Drain' }).click()
  await until('a wrong token is refused', async () => (await dialog.getByRole('alert').textContent())?.includes('That is not the token of this node'))
  await unlock(token)

  await drain.click()
  await dialog.waitFor()
  await p.keyboard.press('Escape')
  await until('the question is withdrawn', async () => (await dialog.count()) === 0)
  expect(await row(p, victim).textContent()).not.toContain('drained')

  await drain.click()
  expect(await dialog.textContent()).toContain(`Drain ${address(victim)}?`)
  await picture(p, 'drain')
  await dialog.getByRole('button', { name: 'Drain' }).click()
  await until('it is drained', async () => (await row(p, victim).textContent())?.includes('drained'))
  await until('its weight is 0', async () => (await row(p, victim).locator('[data-label=weight]').textContent()) === '0')
  await until('the drain is listed', async () => (await section(p, 'Drains').textContent())?.includes(address(victim)))

  await section(p, 'Drains').getByRole('button', { name: `Undrain ${address(victim)}` }).click()
  await dialog.getByRole('button', { name: 'Undrain' }).click()
  await until('it serves again', async () => (await row(p, victim).locator('[data-label=weight]').textContent()) === '1')
  await until('events tell of both', async () => /given back to service.*taken out of service/s.test((await section(p, 'Events').textContent()) ?? ''))
  expect(await p.evaluate(() => JSON.stringify(localStorage) + document.cookie)).not.toContain(token)
  await p.getByRole('button', { name: 'Lock' }).click()
  expect(await p.getByRole('button', { name: /^Drain / }).count()).toBe(0)
})

test('the keyboard is enough', async () => {
  const p = on(owner)
  await p.reload()
  await headline(p).waitFor()
  await p.keyboard.press('Tab')
  expect(await p.evaluate(() => document.activeElement?.textContent)).toBe('To the content')
  const reached = new Set<string>()
  for (let i = 0; i < 24; i++) {
    await p.keyboard.press('Tab')
    reached.add(await p.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.id ?? ''))
  }
  expect([...reached]).toEqual(expect.arrayContaining([expect.stringMatching(/^Colours/), 'explain-url']))
})

test.each([
  ['light', { width: 1360, height: 900 }],
  ['dark', { width: 1360, height: 900 }],
  ['light', { width: 360, height: 740 }],
  ['dark', { width: 360, height: 740 }],
] as const)('%s, %o', async (colorScheme, viewport) => {
  const { page: p } = await open(owner, { colorScheme, viewport })
  await p.locator('.chart canvas').first().waitFor()
  await p.locator('.routes tbody tr').first().waitFor()
  expect(await p.evaluate(() => document.documentElement.dataset.theme)).toBe(colorScheme)
  expect(await p.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(viewport.width)
  expect(await picture(p, `${colorScheme}-${viewport.width}`, true)).toBeGreaterThan(50_000)
  expect(await hindrances(p)).toEqual([])
  await p.context().close()
})

test('colours follow the switch, and are remembered', async () => {
  const { page: p } = await open(owner, { colorScheme: 'light' })
  const theme = () => p.evaluate(() => document.documentElement.dataset.theme)
  const back = () => p.evaluate(() => getComputedStyle(document.body).backgroundColor)
  const button = p.getByRole('button', { name: /^Colours/ })
  const light = await back()
  await button.click()
  await button.click()
  await until('it is dark', async () => (await theme()) === 'dark' && (await back()) !== light)
  await p.reload()
  await headline(p).waitFor()
  expect(await theme()).toBe('dark')
  await p.context().close()
})

test('numbers of a node that does not answer are not shown as live', async () => {
  const p = on(owner)
  await edge.kill(owner, 'director')
  await until('it says so', async () => (await headline(p).textContent()) === 'Not known: no answer')
  expect(await p.locator('.banner').textContent()).toContain(`${owner} does not answer`)
  expect(await p.locator('main.stale').count()).toBe(1)
  expect(await p.getByText('not live').isVisible()).toBe(true)
  await picture(p, 'stale')
  // The address stays on the interface of a director that was killed: who owns
  // it is what the others say.
  const owns = async (n: string) => (await section(on(n), 'Virtual addresses').textContent())?.includes('This node owns it')
  await until('another takes over, and says so', async () => {
    for (const n of others()) if (await owns(n)) return n
  })
  await edge.start(owner, 'director')
  await until('it is live again', async () => (await p.locator('.banner').count()) === 0)
  expect(await headline(p).textContent()).not.toContain('Not known')
})

test('nothing complained, and nothing was asked of anybody else', () => {
  expect(all.flatMap((v) => v.faults)).toEqual([])
  expect(all.length).toBeGreaterThan(6)
})
