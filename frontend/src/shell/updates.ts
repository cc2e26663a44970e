/** A page that is older than the service asks for parts that are gone; the new page has them. */

const KEY = 'nas-music.reloaded'
const SETTLED = 30_000 // milliseconds; a reload that didn't help isn't tried again

export function reloadAfterUpdates(): void {
  window.addEventListener('vite:preloadError', () => {
    if (!navigator.onLine) return
    try {
      if (Date.now() - Number(sessionStorage.getItem(KEY) ?? 0) < SETTLED) return
      sessionStorage.setItem(KEY, String(Date.now()))
    } catch {
      return // without a memory of it, it could go on for ever
    }
    window.location.reload()
  })
}
