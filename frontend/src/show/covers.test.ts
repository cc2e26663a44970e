// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { unwish, wish } from './covers'

let asked: AbortSignal[]
let answer: (response: Response) => void

beforeEach(() => {
  asked = []
  vi.stubGlobal('fetch', (_address: string, { signal }: { signal: AbortSignal }) => {
    asked.push(signal)
    return new Promise<Response>((resolve, reject) => {
      answer = resolve
      signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError')))
    })
  })
})
afterEach(() => vi.unstubAllGlobals())

it('a cover is asked for once, and no longer than somebody wants it', async () => {
  const [one, other] = [wish(1), wish(1)]
  expect(asked.length).toBe(1)
  unwish(1, one)
  expect(asked[0]?.aborted).toBe(false)
  unwish(1, other)
  expect(asked[0]?.aborted).toBe(true)
  expect(await other.url).toBeNull()
  wish(1) // the one that was given up doesn't take this one along
  await Promise.resolve()
  wish(1)
  expect(asked.length).toBe(2)
})

it('a cover that is here is kept', async () => {
  const cover = wish(2)
  answer(new Response('x', { headers: { 'Content-Type': 'image/png' } }))
  const url = await cover.url
  expect(url).toMatch(/^blob:/)
  unwish(2, cover)
  expect(await wish(2).url).toBe(url)
  expect(asked.length).toBe(1)
})
