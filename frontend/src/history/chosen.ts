/** Which part of a list of downloads is chosen, as its address has it. */

import type { Status } from '../api/client'
import { pageOf } from '../show/address'

export interface Chosen {
  q: string
  status: Status | ''
  page: number
}

export const STATUSES: readonly Status[] = ['completed', 'failed', 'in-progress', 'pending', 'cancelled']

export function chosenOf(given: URLSearchParams): Chosen {
  return {
    q: (given.get('q') ?? '').slice(0, 200),
    status: STATUSES.find((each) => each === given.get('status')) ?? '',
    page: pageOf(given),
  }
}
