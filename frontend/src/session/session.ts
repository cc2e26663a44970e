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
}

type Ending = 'left' | 'expired'

let current: Session | null = read()
let ending: Ending | null = null
let renewals = 0
const listeners = new Set<() => void>()

function read(): Session | null {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Partial<Session> | null
    if (typeof kept?.token !== 'string' || typeof kept.endsAt !== 'number' || kept.endsAt <= Date.now())
      return null
    return { token: kept.token, endsAt: kept.endsAt }
  } catch {
    return null
  }
}

function change(next: Session | null, how: Ending | null): void {
  current = next
  ending = how
  try {
    if (next) localStorage.setItem(KEY, JSON.stringify(next))
    else localStorage.removeItem(KEY)
  } catch {
    // Without storage, the session lasts as long as the page.
  }
  for (const listener of listeners) listener()
}

window.addEventListener('storage', (event) => {
  if (event.key !== KEY && event.key !== null) return
  const next = read()
  ending = next ? null : current && current.endsAt <= Date.now() ? 'expired' : 'left'
  current = next
  for (const listener of listeners) listener()
})

export const session = {
  token: (): string | null => current?.token ?? null,
  begin(token: string, seconds: number): void {
    change({ token, endsAt: Date.now() + seconds * 1000 }, null)
  },
  /** The service doesn't take the token any more. */
  expire(): void {
    if (renewals > 0) return
    if (current) change(null, 'expired')
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
}

export function useSession(): Session | null {
  return useSyncExternalStore(session.subscribe, () => current)
}
