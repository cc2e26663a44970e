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

/** Follows a stream that answers so, time after time, and at last never. */
function following(...answers: (() => Response)[]) {
  const asked = vi.fn((_address: string, _options: RequestInit): Promise<Response> => {
    const answer = answers.shift()
    return answer ? Promise.resolve(answer()) : new Promise(() => {})
  })
  vi.stubGlobal('fetch', asked)
  const told = { onOpen: vi.fn(), onEvent: vi.fn(), onLost: vi.fn(), onUnauthorized: vi.fn() }
  return { asked, told, ...follow(told) }
}

const open = () => new Response(new ReadableStream())
const brief = () => new Response(': hello\n\n')
const away = () => new Response(null, { status: 502 })

it('a connection that is there again at once was never lost', async () => {
  vi.useFakeTimers()
  session.begin('a token', 3600)
  const { told, stop } = following(brief, open)
  await vi.advanceTimersByTimeAsync(10_000)
  stop()
  expect(told.onOpen).toHaveBeenCalledTimes(2)
  expect(told.onLost).not.toHaveBeenCalled()
})

it('a second failure is told, and so is a second try that gets no answer', async () => {
  vi.useFakeTimers()
  session.begin('a token', 3600)
  const failing = following(brief, away)
  await vi.advanceTimersByTimeAsync(1_500)
  failing.stop()
  expect(failing.told.onLost).toHaveBeenCalledTimes(1)
  const hanging = following(brief)
  await vi.advanceTimersByTimeAsync(4_000)
  expect(hanging.told.onLost).toHaveBeenCalledTimes(1)
  hanging.stop()
})

it('another token is used at once, and the one before is no failure', async () => {
  vi.useFakeTimers()
  session.begin('a token', 3600)
  const ended = () => new Response(null, { status: 401 })
  const { asked, told, stop } = following(brief, ended, open)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(asked).toHaveBeenCalledTimes(2)
  session.begin('another', 3600)
  await vi.advanceTimersByTimeAsync(0)
  expect(asked.mock.lastCall?.[1].headers).toMatchObject({ Authorization: 'Bearer another' })
  await vi.advanceTimersByTimeAsync(10_000)
  stop()
  expect(told.onLost).not.toHaveBeenCalled()
})
