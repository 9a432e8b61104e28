// An edge of three nodes in an emulated machine, and a browser outside of it.

import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import axe from 'axe-core'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'

const root = path.resolve(import.meta.dirname, '../..')

// patience is for what takes moments on a machine that emulates another one,
// in milliseconds. It bounds waiting and is no claim.
export const patience = 60_000

// bootTime is what the machine and the edge may take to start, with the machines
// of other tests that end before.
export const bootTime = 600_000

// token is what test/browser gives its nodes.
export const token = 'correct-horse-battery-staple'

export class Edge {
  readonly nodes = ['edge-1', 'edge-2', 'edge-3']
  private readonly ports: number[]
  private readonly vm: ChildProcess
  private readonly said: string[] = []

  private constructor(ports: number[]) {
    this.ports = ports
    const forwards = [9170, 9180, 9181, 9182].flatMap((guest, i) => ['-forward', `${ports[i]}:${guest}`])
    this.vm = spawn(path.join(root, 'bin/vm'), ['-timeout', '15m', ...forwards, '--', path.join(root, 'bin/browser')], {
      env: { ...process.env, PORTICO_BIN: process.env.PORTICO_BIN ?? path.join(root, 'bin/portico') },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const out of [this.vm.stdout, this.vm.stderr]) out?.on('data', (d) => this.said.push(String(d)))
  }

  static async start(): Promise<Edge> {
    const e = new Edge(await Promise.all([freePort(), freePort(), freePort(), freePort()]))
    await until('the edge is up', () => e.owner(), bootTime, () => e.log())
    return e
  }

  log(): string {
    return this.said.join('')
  }

  // url is where a node's admin listener is reached.
  url(node: string): string {
    return `http://127.0.0.1:${this.ports[1 + this.nodes.indexOf(node)]}/`
  }

  owner(): Promise<string> {
    return this.control('GET', '/owner')
  }

  kill(node: string, process: 'director' | 'proxy'): Promise<string> {
    return this.control('POST', `/kill?node=${node}&process=${process}`)
  }

  start(node: string, process: 'director' | 'proxy'): Promise<string> {
    return this.control('POST', `/start?node=${node}&process=${process}`)
  }

  private async control(method: string, path: string): Promise<string> {
    if (this.vm.exitCode !== null) throw new Error(`the machine has ended: ${this.log()}`)
    const r = await fetch(`http://127.0.0.1:${this.ports[0]}${path}`, { method, signal: AbortSignal.timeout(30_000) })
    const text = await r.text()
    if (!r.ok) throw new Error(`${path}: ${text}`)
    return text
  }

  async end(): Promise<void> {
    const ended = new Promise((done) => this.vm.once('exit', done))
    await this.control('POST', '/end').catch(() => {})
    await Promise.race([ended, sleep(20_000)])
    this.vm.kill('SIGTERM')
  }
}

async function freePort(): Promise<number> {
  const s = createServer()
  await new Promise<void>((done) => s.listen(0, '127.0.0.1', done))
  const { port } = s.address() as AddressInfo
  await new Promise((done) => s.close(done))
  return port
}

// until waits for a value that is there.
export async function until<T>(what: string, ask: () => Promise<T> | T, within = patience, more = () => ''): Promise<NonNullable<T>> {
  const deadline = Date.now() + within
  for (let last: unknown; ; ) {
    try {
      const v = await ask()
      if (v !== undefined && v !== null && v !== false) return v as NonNullable<T>
      last = v
    } catch (e) {
      last = e
    }
    if (Date.now() > deadline) throw new Error(`${what}: not within ${within / 1000} s: ${last}\n${more()}`)
    await sleep(200)
  }
}

// launch starts the browser. It makes no connection of its own.
export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
}

// A View is one page with all that it complained of.
export interface View {
  page: Page
  // faults are exceptions, violations of the policy, complaints on the console,
  // and requests to anybody but the node.
  faults: string[]
}

export async function view(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<View> {
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...options })
  const page = await context.newPage()
  const faults: string[] = []
  page.setDefaultTimeout(patience)
  page.on('pageerror', (e) => faults.push(`exception: ${e.message}`))
  page.on('console', (m) => {
    // That a node does not answer, or refuses, is told by the browser, too.
    if (m.type() !== 'log' && !m.text().startsWith('Failed to load resource')) faults.push(`console ${m.type()}: ${m.text()}`)
  })
  page.on('request', (r) => {
    if (!r.url().startsWith(url)) faults.push(`request to ${r.url()}`)
  })
  page.on('dialog', (d) => {
    faults.push(`dialog: ${d.message()}`)
    void d.dismiss()
  })
  await page.goto(url)
  await page.getByRole('heading', { level: 1 }).waitFor()
  return { page, faults }
}

// hindrances are what keeps people from reading or using the page, by the rules
// of WCAG that a program can tell.
export async function hindrances(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const found = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run())
  return found.violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html}: ${n.failureSummary}`))
}

// shots is where pictures are left for people to look at.
const shots = path.join(root, 'bin/screenshots')

// picture takes one and returns how many bytes it has.
export async function picture(page: Page, name: string, fullPage = false): Promise<number> {
  mkdirSync(shots, { recursive: true })
  return (await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage })).length
}
