// @vitest-environment happy-dom
import { act, createElement } from 'react'
import { createRoot, type Root } from 'react-dom/client'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { chosenOf } from '../history/chosen'
import { useAddress, useLastPage, useWords } from './address'

let pages: number | undefined
let list: ReturnType<typeof useAddress<ReturnType<typeof chosenOf>>>
let type: (words: string) => void
let root: Root

function List() {
  list = useAddress(chosenOf)
  const [chosen, choose] = list
  type = useWords(chosen.q, (q, how) => choose({ ...chosen, q, page: 1 }, how))[1]
  useLastPage(chosen, pages, choose)
  return null
}

const show = () => act(async () => root.render(createElement(List)))

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  vi.useFakeTimers()
  window.scrollTo = () => {}
  window.history.replaceState(null, '', '/history')
  pages = undefined
  root = createRoot(document.createElement('div'))
})
afterEach(async () => {
  await act(async () => root.unmount())
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

it('a chosen status and the way to the first page can be gone back on, what is typed can’t', async () => {
  await show()
  const pushed = vi.spyOn(window.history, 'pushState')
  await act(async () => list[1]({ ...list[0], status: 'failed', page: 1 }))
  await act(async () => list[1]({ ...list[0], page: 2 }))
  await act(async () => list[1]({ ...list[0], page: 1 }))
  expect(pushed).toHaveBeenCalledTimes(3)
  await act(async () => type('some'))
  await act(async () => vi.advanceTimersByTime(300))
  expect(list[0].q).toBe('some')
  expect(pushed).toHaveBeenCalledTimes(3)
})

it('a page that isn’t there any more becomes the last one', async () => {
  window.history.replaceState(null, '', '/history?page=99')
  await show()
  expect(list[0].page).toBe(99)
  pages = 4
  await show()
  expect([list[0].page, window.location.search]).toEqual([4, '?page=4'])
})
