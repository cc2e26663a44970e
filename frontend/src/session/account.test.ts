// @vitest-environment happy-dom
import { afterEach, expect, it, vi } from 'vitest'
import { ApiError, client } from '../api/client'
import { clashing, signIn } from './account'
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

it.each([
  [409, 'This username is taken; choose another.', 'username'],
  [409, 'An account with this email address exists already; log in instead.', 'email'],
  [409, 'This clashes with what is already there.', undefined],
  [429, 'Too many tries with this username.', undefined],
])('a refusal with %i and “%s” is about %s', (status, said, field) => {
  expect(clashing(new ApiError(status, said))).toBe(field)
})
