/** Which part of a list is chosen, as its address has it. */

import type { Status } from '../api/client'

export interface Chosen {
  q: string
  status: Status | ''
  page: number
}

export const STATUSES: readonly Status[] = ['completed', 'failed', 'in-progress', 'pending', 'cancelled']

export function chosenOf(search: string): Chosen {
  const given = new URLSearchParams(search)
  const page = Number(given.get('page') ?? 1)
  return {
    q: (given.get('q') ?? '').slice(0, 200),
    status: STATUSES.find((each) => each === given.get('status')) ?? '',
    page: Number.isSafeInteger(page) && page >= 1 && page <= 10_000_000 ? page : 1,
  }
}

export function searchOf({ q, status, page }: Chosen): string {
  const given = new URLSearchParams()
  if (q) given.set('q', q)
  if (status) given.set('status', status)
  if (page > 1) given.set('page', String(page))
  const text = given.toString()
  return text ? `?${text}` : ''
}
