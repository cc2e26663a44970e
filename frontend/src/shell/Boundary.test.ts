// @vitest-environment happy-dom
import { MantineProvider } from '@mantine/core'
import { act, type ComponentType, createElement, type ReactNode, Suspense } from 'react'
import { createRoot } from 'react-dom/client'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { part } from '../show/part'
import { texts } from '../texts'
import { Boundary } from './Boundary'

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  vi.spyOn(console, 'error').mockImplementation(() => {}) // React tells of what a boundary catches
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

function Faulty(): never {
  throw new Error('a fault')
}

/** Can't be loaded until the network is there; and never, as browsers have it, once it was asked for in vain. */
function scarce(name: string) {
  const network = { isThere: false }
  const asked = vi.fn(async () => {
    if (!network.isThere) throw new TypeError('Failed to fetch')
    return new Response()
  })
  vi.stubGlobal('fetch', asked)
  let module: Promise<{ default: ComponentType }> | undefined
  const page = part(() => {
    module ??= network.isThere
      ? Promise.resolve({ default: () => name })
      : Promise.reject(new TypeError('Failed to fetch dynamically imported module'))
    return module
  })
  return { network, asked, page }
}

async function show(child: ReactNode) {
  const place = document.createElement('div')
  const root = createRoot(place)
  const render = (shown: ReactNode) =>
    act(async () =>
      root.render(
        createElement(
          MantineProvider,
          { env: 'test' },
          createElement(Suspense, { fallback: 'loading' }, shown),
        ),
      ),
    )
  await render(child)
  return { place, render }
}

const within = (child: ReactNode) => createElement(Boundary, { isPart: true }, child)

it('a part that could not be loaded comes when the network is back', async () => {
  const { network, page } = scarce('the history')
  const { place } = await show(within(createElement(page)))
  expect(place.textContent).toContain(texts.errors.offline)
  network.isThere = true
  await act(async () => window.dispatchEvent(new Event('online')))
  expect(place.textContent).toContain('the history')
})

it('a part that still cannot be loaded says so again, and is asked for once at each try', async () => {
  const { asked, page } = scarce('the history')
  const { place } = await show(within(createElement(page)))
  await act(async () => place.querySelector('button')?.click())
  expect(place.textContent).toContain(texts.errors.offline)
  expect(asked).toHaveBeenCalledTimes(2)
})

it('who comes back to a part that could not be loaded has it tried anew', async () => {
  const { network, page } = scarce('the history')
  const { place, render } = await show(within(createElement(page)))
  await render('elsewhere')
  network.isThere = true
  await render(within(createElement(page)))
  expect(place.textContent).toContain('the history')
})

it('what could not be loaded ahead is loaded when it is wanted', async () => {
  const { network, page } = scarce('the history')
  expect(await page.ahead()).toBe(false)
  network.isThere = true
  const { place } = await show(within(createElement(page)))
  expect(place.textContent).toContain('the history')
})

it('a fault of the page is told as one', async () => {
  const { place } = await show(within(createElement(Faulty)))
  expect(place.textContent).toContain(texts.errors.broken)
})
