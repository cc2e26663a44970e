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

function read(): Session | null {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Partial<Session> | null
    if (typeof kept?.token !== 'string' || typeof kept.endsAt !== 'number' || kept.endsAt <= Date.now())
      return null
    return { token: kept.token, endsAt: kept.endsAt, owner: ownerOf(kept.token) }
  } catch {
    return null
  }
}

function ownerOf(token: string): string {
  try {
    const claims = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    return String((JSON.parse(atob(claims)) as { sub?: unknown }).sub ?? '')
  } catch {
    return ''
  }
}

function change(next: Session | null, how: Ending | null): void {
  current = next
  ending = how
  try {
    if (next) localStorage.setItem(KEY, JSON.stringify({ token: next.token, endsAt: next.endsAt }))
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
    change({ token, endsAt: Date.now() + seconds * 1000, owner: ownerOf(token) }, null)
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
