/** Which part of everybody's downloads, and of the audit log, is chosen, as the address has it. */

import { type Chosen, chosenOf } from '../history/chosen'
import { pageOf } from '../show/address'

export interface ChosenOfAll extends Chosen {
  user: string
}

export interface ChosenEntries {
  user: string
  action: string
  since: string
  until: string
  page: number
}

export function chosenOfAll(given: URLSearchParams): ChosenOfAll {
  return { ...chosenOf(given), user: userOf(given) }
}

export function chosenEntries(given: URLSearchParams): ChosenEntries {
  return {
    user: userOf(given),
    action: /^[a-z._-]{1,64}$/.exec(given.get('action') ?? '')?.[0] ?? '',
    since: dayOf(given.get('since')),
    until: dayOf(given.get('until')),
    page: pageOf(given),
  }
}

function userOf(given: URLSearchParams): string {
  return /^[1-9]\d{0,14}$/.exec(given.get('user') ?? '')?.[0] ?? ''
}

function dayOf(text: string | null): string {
  return text && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) ? text : ''
}
