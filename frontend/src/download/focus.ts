/** Keeps the focus in a list whose rows and buttons come and go under it. */

import { type FocusEvent, type RefObject, useEffect, useLayoutEffect, useRef } from 'react'

const AFTER_OTHERS = 30 // milliseconds; a menu or a dialog that closes may want to give the focus back itself

interface Held {
  key: string
  index: number
}

interface Keeping {
  /** Where the focus is; a row that is scrolled away has to stay in the page as long as it has it. */
  held: RefObject<Held | null>
  onFocus: (event: FocusEvent<HTMLElement>) => void
  onBlur: (event: FocusEvent<HTMLElement>) => void
}

/**
 * Where the focused button is gone, its row is focused; where that has left its place, the row that stands there
 * now, or else what is before it: at last the heading. While `isBusy`, a dialog about one of the rows has the focus.
 * Each child of the list carries `tabIndex`, `data-key`, `data-index` and `data-kind`.
 */
export function useKeptFocus(list: RefObject<HTMLElement | null>, isBusy: boolean): Keeping {
  const held = useRef<Held | null>(null)

  useLayoutEffect(() => {
    if (isBusy || !held.current) return
    const { key, index } = held.current
    const timer = setTimeout(() => {
      if (document.activeElement !== document.body || !list.current) return
      rowToFocus(list.current, key, index)?.focus({ preventScroll: true })
    }, AFTER_OTHERS)
    return () => clearTimeout(timer)
  })
  useEffect(
    () => () => {
      if (!held.current) return
      // The last row has gone, and the list with it.
      setTimeout(() => {
        if (document.activeElement === document.body) document.querySelector<HTMLElement>('h1')?.focus()
      }, AFTER_OTHERS)
    },
    [],
  )

  return {
    held,
    onFocus({ target }) {
      const row = target.closest<HTMLElement>('[data-key]')
      if (row && list.current?.contains(row))
        held.current = { key: row.dataset.key ?? '', index: Number(row.dataset.index) }
    },
    onBlur({ relatedTarget }) {
      // React tells nothing of what it removes itself; the rows' menus are elsewhere in the page, but theirs.
      const isInMenu = relatedTarget instanceof Element && relatedTarget.closest('[role=menu]')
      if (!isBusy && !isInMenu) held.current = null
    },
  }
}

function rowToFocus(list: HTMLElement, key: string, index: number): HTMLElement | undefined {
  const rows = [...list.querySelectorAll<HTMLElement>(':scope > [data-key]')]
  const at = (place: number) => rows.find((row) => Number(row.dataset.index) === place)
  const same = at(index)
  if (same?.dataset.key === key) return same
  const before = rows.filter((row) => Number(row.dataset.index) < index)
  return same?.dataset.kind === 'row' ? same : before.at(-1)
}
