/**
 * Who is signed in: the token and when it ends, kept in localStorage so that a second tab, the bookmarklet and
 * the phone's share sheet find it (see docs/adr/0014). All tabs share one session and its end.
 */

import { useSyncExternalStore } from 'react'

const KEY = 'nas-music.session'

export interface Session {
  token: string
  /** Milliseconds since 1970. */
  endsAt: number
  /** Whose it is, as the token has it; '' where that can't be read. */
  owner: string
}

type Ending = 'left' | 'expired'

let current: Session | null = read()
let ending: Ending | null = null
let renewals = 0
const listeners = new Set<() => void>()

/** What all tabs share: the session, or how the last one ended. */
function kept(): Partial<Session> & { ended?: unknown } {
  try {
    return (JSON.parse(localStorage.getItem(KEY) ?? 'null') as object | null) ?? {}
  } catch {
    return {}
  }
}

function read(): Session | null {
  const { token, endsAt } = kept()
  if (typeof token !== 'string' || typeof endsAt !== 'number' || endsAt <= Date.now()) return null
  return { token, endsAt, owner: ownerOf(token) }
}

function ownerOf(token: string): string {
  try {
    const claims = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    return String((JSON.parse(atob(claims)) as { sub?: unknown }).sub ?? '')
  } catch {
    return ''
  }
}

function take(next: Session | null, how: Ending | null): void {
  current = next
  ending = how
  for (const listener of listeners) listener()
}

function change(next: Session | null, how: Ending | null): void {
  try {
    const told = next ? { token: next.token, endsAt: next.endsAt } : { ended: how }
    localStorage.setItem(KEY, JSON.stringify(told))
  } catch {
    // Without storage, the session lasts as long as the page.
  }
  take(next, how)
}

window.addEventListener('storage', (event) => {
  if (event.key !== KEY && event.key !== null) return
  const next = read()
  const { ended, token } = kept()
  // Storage that was emptied counts as left; a token that has run out doesn't.
  take(next, next ? null : ended === 'expired' || token ? 'expired' : 'left')
})

export const session = {
  token: (): string | null => current?.token ?? null,
  begin(token: string, seconds: number): void {
    change({ token, endsAt: Date.now() + seconds * 1000, owner: ownerOf(token) }, null)
  },
  /** The service doesn't take the token any more; another tab may have begun with another one, or have left. */
  expire(): void {
    if (renewals > 0 || !current) return
    const other = read()
    if (other && other.token !== current.token) take(other, null)
    else change(null, kept().ended === 'left' ? 'left' : 'expired')
  },
  /** Runs what ends the token and begins a session with another; until it is done, nobody is sent away. */
  async renew(renewal: () => Promise<void>): Promise<void> {
    renewals += 1
    try {
      await renewal()
    } finally {
      renewals -= 1
    }
  },
  leave(): void {
    change(null, 'left')
  },
  /** How the last session ended, for a word about it. */
  ending: (): Ending | null => ending,
  subscribe(listener: () => void): () => void {
    listeners.add(listener)
    return () => listeners.delete(listener)
  },
  /**
   * Runs `forget` when nobody may see any more what was loaded: who it belongs to has left, or somebody else has
   * come in their place. A session that merely ended comes back to what it left.
   */
  whenOver(forget: (how: 'left' | 'replaced') => void): void {
    let owner = current?.owner
    listeners.add(() => {
      if (!current) {
        if (ending === 'left') forget('left')
        return
      }
      const isAnother = owner !== undefined && (owner === '' || owner !== current.owner)
      owner = current.owner
      if (isAnother) forget('replaced')
    })
  },
}

export function useSession(): Session | null {
  return useSyncExternalStore(session.subscribe, () => current)
}
