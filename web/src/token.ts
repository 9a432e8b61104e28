// The token that orders need. It lives as long as the tab, and nowhere else.

const key = 'portico.token'

export function token(): string {
  try {
    return sessionStorage.getItem(key) ?? ''
  } catch {
    return ''
  }
}

export function keep(token: string) {
  try {
    if (token) sessionStorage.setItem(key, token)
    else sessionStorage.removeItem(key)
  } catch {
    // the caller has it until the page is left
  }
}
