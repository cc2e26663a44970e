// @vitest-environment happy-dom
import { afterEach, expect, it, vi } from 'vitest'
import { session } from '../session/session'
import { follow } from './events'

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

it('a stream that breaks off at once is asked for ever more rarely', async () => {
  vi.useFakeTimers()
  const asked = vi.fn(async () => new Response(': hello\n\n'))
  vi.stubGlobal('fetch', asked)
  session.begin('a token', 3600)
  const onOpen = vi.fn()
  const following = follow({ onOpen, onEvent() {}, onLost() {}, onUnauthorized() {} })
  await vi.advanceTimersByTimeAsync(120_000)
  following.stop()
  expect(onOpen).toHaveBeenCalled()
  expect(asked.mock.calls.length).toBeGreaterThan(3)
  expect(asked.mock.calls.length).toBeLessThan(15)
})
