import { describe, expect, it } from 'vitest'
import { searchOf } from '../show/address'
import { chosenEntries, chosenOfAll } from './chosen'

const given = (text: string) => new URLSearchParams(text)

describe('what is chosen, in the address', () => {
  it('comes back as it was put there', () => {
    const entries = { user: '7', action: 'auth.login', since: '2026-02-01', until: '2026-02-28', page: 3 }
    expect(chosenEntries(given(searchOf(entries)))).toEqual(entries)
    const all = { q: 'blue & green', status: 'failed' as const, page: 1, user: '12' }
    expect(chosenOfAll(given(searchOf(all)))).toEqual(all)
  })

  it('says nothing where nothing is chosen', () => {
    expect(searchOf(chosenEntries(given('')))).toBe('')
    expect(searchOf(chosenOfAll(given('')))).toBe('')
  })

  it('takes nothing that the service would refuse', () => {
    const odd = given('user=-1&action=%3Cb%3E&since=yesterday&until=2026-13-45&page=0&status=lost')
    expect(chosenEntries(odd)).toEqual({ user: '', action: '', since: '', until: '', page: 1 })
    expect(chosenOfAll(odd)).toEqual({ q: '', status: '', user: '', page: 1 })
  })
})
