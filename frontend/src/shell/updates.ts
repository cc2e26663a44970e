/** A page that is older than the service asks for parts that are gone; the new page has them. */

import { base } from '../api/prefix'
import { isLoadingAhead } from '../show/part'

const KEY = 'nas-music.reloaded'
const SETTLED = 30_000 // milliseconds; a reload that didn't help isn't tried again

export function reloadAfterUpdates(): void {
  window.addEventListener('vite:preloadError', () => {
    if (!isLoadingAhead()) void reload() // once somebody wants it
  })
}

/** Reloads only where there is a page to come: a service that is just starting again would leave nothing. */
async function reload(): Promise<void> {
  const answer = await fetch(`${base}/`, { cache: 'no-store' }).catch(() => null)
  if (answer?.status !== 200) return
  try {
    if (Date.now() - Number(sessionStorage.getItem(KEY) ?? 0) < SETTLED) return
    sessionStorage.setItem(KEY, String(Date.now()))
  } catch {
    return // without a memory of it, it could go on for ever
  }
  window.location.reload()
}
