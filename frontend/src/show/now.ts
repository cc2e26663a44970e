import { useSyncExternalStore } from 'react'

const EVERY = 30_000

let now = Date.now()
const watchers = new Set<() => void>()
setInterval(() => {
  now = Date.now()
  for (const watcher of watchers) watcher()
}, EVERY)

/** The time, for words such as "3 minutes ago"; it moves on twice a minute. */
export function useNow(): number {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    () => now,
  )
}
