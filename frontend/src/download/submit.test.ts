// @vitest-environment happy-dom
import { QueryClient } from '@tanstack/react-query'
import { afterEach, expect, it, vi } from 'vitest'
import { client } from '../api/client'
import { session } from '../session/session'
import { texts } from '../texts'
import { submitAll } from './submit'

const urls = Array.from({ length: 30 }, (_, index) => `https://a.example/${index}`)

/** Answers instead of the service: with the status for each link. */
function answering(statusOf: (url: string) => number) {
  const answer = async (_path: string, { body }: { body: { url: string } }) => {
    const response = new Response(null, { status: statusOf(body.url) })
    return response.ok
      ? { data: { id: 1, parent_id: null }, response }
      : { error: { detail: 'No.' }, response }
  }
  return vi.spyOn(client, 'POST').mockImplementation(answer as never)
}

afterEach(() => void vi.restoreAllMocks())

it('one refused link of thirty leaves the others alone', async () => {
  answering((url) => (url === urls[7] ? 422 : 202))
  const taken = vi.fn()
  const outcome = await submitAll(new QueryClient(), urls, undefined, taken)
  expect(taken).toHaveBeenCalledTimes(29)
  expect(outcome).toEqual({ queued: 29, already: 0, refused: [{ url: urls[7], reason: 'No.' }] })
})

it.each([401, 429, 503])('after %i, the rest is kept and not asked for', async (status) => {
  session.begin('a token', 60)
  const asked = answering(() => status)
  const outcome = await submitAll(new QueryClient(), urls, undefined, () => {})
  expect(outcome.refused.map((each) => each.url).sort()).toEqual([...urls].sort())
  expect(outcome.refused[29]?.reason).toBe('No.')
  expect(asked.mock.calls.length).toBeLessThanOrEqual(4)
  expect(session.token()).toBe(status === 401 ? null : 'a token')
})

it('what was given up on, but taken after all, is handed in once more without harm', async () => {
  const queries = new QueryClient()
  const asked = vi.spyOn(client, 'POST').mockRejectedValue(new DOMException('', 'TimeoutError'))
  const first = await submitAll(queries, ['https://a.example/1'], undefined, () => {})
  expect(first.refused).toEqual([{ url: 'https://a.example/1', reason: texts.errors.offline }])
  asked.mockRestore()
  answering(() => 200) // it is under way already
  const taken = vi.fn()
  const again = await submitAll(queries, ['https://a.example/1'], undefined, taken)
  expect([again.already, again.refused, taken.mock.calls]).toEqual([1, [], [['https://a.example/1']]])
})
