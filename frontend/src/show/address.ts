/** What is chosen in a list, kept in the page's address: it survives a reload, and the way back leads to it. */

import { useEffect, useEffectEvent, useMemo, useState } from 'react'
import { useLocation, useSearch } from 'wouter'

const LAST = 10_000_000

/** Read the choice from the address; `choose` writes it there. Turning pages can be gone back on. */
export function useAddress<T extends { page: number }>(
  read: (given: URLSearchParams) => T,
): [T, (next: T) => void] {
  const search = useSearch()
  const [location, go] = useLocation()
  const chosen = useMemo(() => read(new URLSearchParams(search)), [read, search])
  const choose = useMemo(
    () => (next: T) => {
      go(`${location}${searchOf(next)}`, { replace: next.page === 1 })
      window.scrollTo({ top: 0 })
    },
    [go, location],
  )
  return [chosen, choose]
}

/** What stands in a search box; it is chosen once nobody has typed for a moment. */
export function useWords(chosen: string, choose: (q: string) => void): [string, (words: string) => void] {
  const [words, setWords] = useState(chosen)
  const chooseNow = useEffectEvent(choose)
  // What only differs by a space at its end is still being typed.
  useEffect(() => setWords((now) => (now.trim() === chosen ? now : chosen)), [chosen])
  useEffect(() => {
    if (words.trim() === chosen) return
    const timer = setTimeout(() => chooseNow(words.trim()), 250)
    return () => clearTimeout(timer)
  }, [words, chosen])
  return [words, setWords]
}

export function pageOf(given: URLSearchParams): number {
  const page = Number(given.get('page') ?? 1)
  return Number.isSafeInteger(page) && page >= 1 && page <= LAST ? page : 1
}

/** "?q=…&page=2", without what is empty and the first page. */
export function searchOf(chosen: object): string {
  const said = Object.entries(chosen).filter(([name, value]) => value && !(name === 'page' && value === 1))
  const text = new URLSearchParams(said.map(([name, value]) => [name, String(value)])).toString()
  return text ? `?${text}` : ''
}
