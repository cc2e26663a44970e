// @vitest-environment happy-dom
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { loadAhead, part } from '../show/part'
import { reloadAfterUpdates } from './updates'

const reload = vi.fn()

beforeAll(() => {
  reloadAfterUpdates()
  vi.spyOn(window.location, 'reload').mockImplementation(reload)
})
beforeEach(() => sessionStorage.clear())
afterEach(() => {
  vi.unstubAllGlobals()
  reload.mockClear()
})

/** Fails to load a part while the service answers so. */
async function miss(page: () => Promise<Response>): Promise<void> {
  vi.stubGlobal('fetch', page)
  window.dispatchEvent(new Event('vite:preloadError'))
  await new Promise((resolve) => setTimeout(resolve))
}

it('a part that is gone has the page loaded again, once', async () => {
  await miss(async () => new Response(null, { status: 200 }))
  await miss(async () => new Response(null, { status: 200 }))
  expect(reload).toHaveBeenCalledTimes(1)
})

it('while the service is away or starting, the page stays', async () => {
  await miss(() => Promise.reject(new TypeError('no network')))
  await miss(async () => new Response(null, { status: 502 }))
  expect(reload).not.toHaveBeenCalled()
})

it('a part that nobody waits for yet leaves the page alone', async () => {
  vi.stubGlobal('fetch', async () => new Response())
  part(async () => {
    await miss(async () => new Response(null, { status: 200 }))
    throw new TypeError('gone')
  })
  await loadAhead()
  expect(reload).not.toHaveBeenCalled()
})
