// Orders: what the page can change, each asked about before it is given.

import { useState } from 'preact/hooks'
import { order, Refused } from '../api'
import { keep, token as stored } from '../token'
import { Dialog, Icon } from './parts'

export interface Order {
  title: string
  // text says what will happen, warning what speaks against it.
  text: string
  warning?: string
  verb: string
  path: string
  // choices are the bodies among which to choose, by what they are called.
  choices: { label: string; body: unknown }[]
}

export interface Orders {
  unlocked: boolean
  unlock: () => void
  lock: () => void
  ask: (o: Order) => void
}

// useOrders keeps the token and the dialogs. done is called after an order was
// taken.
export function useOrders(done: () => void): { orders: Orders; dialogs: preact.ComponentChildren } {
  const [token, setToken] = useState(stored)
  const [entering, setEntering] = useState<string>()
  const [asked, setAsked] = useState<Order>()
  const set = (t: string) => {
    setToken(t)
    keep(t)
  }
  const orders: Orders = {
    unlocked: token !== '',
    unlock: () => setEntering(''),
    lock: () => set(''),
    ask: setAsked,
  }
  const give = async (o: Order, body: unknown): Promise<string> => {
    try {
      await order(o.path, body, token)
    } catch (e) {
      if (e instanceof Refused && e.status === 401) {
        set('')
        setAsked(undefined)
        setEntering('That is not the token of this node.')
        return ''
      }
      return e instanceof Error ? e.message : String(e)
    }
    setAsked(undefined)
    done()
    return ''
  }
  const dialogs = (
    <>
      {asked && <Confirm order={asked} give={give} close={() => setAsked(undefined)} />}
      {entering !== undefined && (
        <Enter
          fault={entering}
          close={() => setEntering(undefined)}
          set={(t) => {
            set(t)
            setEntering(undefined)
          }}
        />
      )}
    </>
  )
  return { orders, dialogs }
}

function Confirm({ order: o, give, close }: { order: Order; give: (o: Order, body: unknown) => Promise<string>; close: () => void }) {
  const [choice, setChoice] = useState(0)
  const [refusal, setRefusal] = useState('')
  const [busy, setBusy] = useState(false)
  return (
    <Dialog title={o.title} close={close}>
      <p>{o.text}</p>
      {o.warning && (
        <p class="warning" role="alert">
          <Icon tone="warn" /> {o.warning}
        </p>
      )}
      {o.choices.length > 1 && (
        <fieldset>
          <legend class="hidden">What it concerns</legend>
          {o.choices.map((c, i) => (
            <label key={c.label}>
              <input type="radio" name="choice" checked={i === choice} onChange={() => setChoice(i)} /> {c.label}
            </label>
          ))}
        </fieldset>
      )}
      {refusal && (
        <p class="refusal" role="alert">
          <Icon tone="bad" /> {refusal}
        </p>
      )}
      <div class="buttons">
        <button type="button" onClick={close}>
          Cancel
        </button>
        <button
          type="button"
          class="primary"
          disabled={busy}
          onClick={async () => {
            setBusy(true)
            setRefusal(await give(o, o.choices[choice]?.body))
            setBusy(false)
          }}
        >
          {o.verb}
        </button>
      </div>
    </Dialog>
  )
}

function Enter({ fault, set, close }: { fault: string; set: (t: string) => void; close: () => void }) {
  const [text, setText] = useState('')
  return (
    <Dialog title="Unlock orders" close={close}>
      <p>Type the token of this node, which stands in the file of admin.token_file. It is kept until this tab is closed, and sent to this node alone.</p>
      {fault && (
        <p class="refusal" role="alert">
          <Icon tone="bad" /> {fault}
        </p>
      )}
      <form
        onSubmit={(e) => {
          e.preventDefault()
          if (text.trim()) set(text.trim())
        }}
      >
        <label for="token" class="hidden">
          Token
        </label>
        <input id="token" type="password" autocomplete="off" placeholder="Token" value={text} onInput={(e) => setText(e.currentTarget.value)} />
        <div class="buttons">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary">
            Unlock
          </button>
        </div>
      </form>
    </Dialog>
  )
}
