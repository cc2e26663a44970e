// @vitest-environment happy-dom
import { expect, it } from 'vitest'
import { ApiError } from '../api/client'
import { texts } from '../texts'
import { refused } from './EverywhereForm'

it('what is too short to be a password is told as the wrong one', () => {
  const tooShort = new ApiError(422, 'Something in the request can’t be used; look at: new_password.')
  expect(refused(tooShort)).toBe(texts.account.wrongPassword)
  expect(refused(new ApiError(429, 'Too many tries.'))).toBe('Too many tries.')
})
