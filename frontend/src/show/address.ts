/** What is chosen in a list, kept in the page's address: it survives a reload, and the way back leads to it. */

import { useEffect, useEffectEvent, useMemo, useState } from 'react'
import { useLocation, useSearch } from 'wouter'

const LAST = 10_000_000

/** How a choice gets into the address: in place of the one before, where that needs no way back. */
interface How {
  replace: boolean
}

type Choose<T> = (next: T, how?: How) => void

/** Read the choice from the address; `choose` writes it there, so that it can be gone back on. */
export function useAddress<T extends { page: number }>(read: (given: URLSearchParams) => T): [T, Choose<T>] {
  const search = useSearch()
  const [location, go] = useLocation()
  const chosen = useMemo(() => read(new URLSearchParams(search)), [read, search])
  const choose = useMemo(
    () =>
      (next: T, how: How = { replace: false }) => {
        go(`${location}${searchOf(next)}`, how)
        window.scrollTo({ top: 0 })
      },
    [go, location],
  )
  return [chosen, choose]
}

/** The pages of a list may have become fewer than the one that is looked at: then it is the last one. */
export function useLastPage<T extends { page: number }>(
  chosen: T,
  pages: number | undefined,
  choose: Choose<T>,
): void {
  const goTo = useEffectEvent((page: number) => choose({ ...chosen, page }, { replace: true }))
  useEffect(() => {
    if (pages && chosen.page > pages) goTo(pages)
  }, [chosen.page, pages])
}

/** What stands in a search box; it is chosen once nobody has typed for a moment, and needs no way back then. */
export function useWords(
  chosen: string,
  choose: (q: string, how: How) => void,
): [string, (words: string) => void] {
  const [words, setWords] = useState(chosen)
  const chooseNow = useEffectEvent(choose)
  // What only differs by a space at its end is still being typed.
  useEffect(() => setWords((now) => (now.trim() === chosen ? now : chosen)), [chosen])
  useEffect(() => {
    if (words.trim() === chosen) return
    const timer = setTimeout(() => chooseNow(words.trim(), { replace: true }), 250)
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
