// @vitest-environment happy-dom
import { QueryClient } from '@tanstack/react-query'
import { afterEach, expect, it, vi } from 'vitest'
import { client } from '../api/client'
import { session } from '../session/session'
import { outbox } from './outbox'

afterEach(() => void vi.restoreAllMocks())

it('lines that are no links are named beside links that were refused', async () => {
  const refusal = { error: { detail: 'No.' }, response: new Response(null, { status: 422 }) }
  vi.spyOn(client, 'POST').mockResolvedValue(refusal as never)
  session.begin('a token', 60)
  outbox.write('https://a.example/1\nsome words\nothers')
  await outbox.submit(new QueryClient(), undefined)
  const { complaint, refused } = outbox.now()
  expect(refused).toEqual([{ url: 'https://a.example/1', reason: 'No.' }])
  expect(complaint).toContain('“some words”, “others”')
})
