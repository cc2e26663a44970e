// @vitest-environment happy-dom
import { afterEach, expect, it, vi } from 'vitest'
import { client } from '../api/client'
import { signIn } from './account'
import { session } from './session'

afterEach(() => void vi.restoreAllMocks())

function answering(status: number, data?: object) {
  const response = new Response(null, { status })
  const answer = data ? { data, response } : { error: { detail: 'Wrong.' }, response }
  vi.spyOn(client, 'POST').mockResolvedValue(answer as never)
}

it('a password that is refused leaves the session that is there', async () => {
  session.begin('a token', 60)
  answering(401)
  await expect(signIn('somebody', 'not the right one')).rejects.toThrow('Wrong.')
  expect(session.token()).toBe('a token')
})

it('a password that is taken begins another session', async () => {
  session.begin('a token', 60)
  answering(200, { access_token: 'another', expires_in: 60 })
  await signIn('somebody', 'the right one')
  expect(session.token()).toBe('another')
})
