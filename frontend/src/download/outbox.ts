/**
 * What stands in the box, and what becomes of it: apart from the component, so that handing in goes on while
 * another page is shown. A line leaves the box when the service has taken it.
 */

import type { QueryClient } from '@tanstack/react-query'
import { useSyncExternalStore } from 'react'
import type { Format } from '../api/client'
import { draft } from '../session/draft'
import { session } from '../session/session'
import { toast } from '../show/toast'
import { texts } from '../texts'
import { added, linesWithoutLink, linksIn, without } from './links'
import { type Refused, submitAll } from './submit'

interface Outbox {
  text: string
  complaint: string
  refused: readonly Refused[]
  /** How many links are still to be handed in. */
  sending: number
}

const MOST_NAMED = 3
const LONGEST_NAMED = 80
const EMPTY: Outbox = { text: '', complaint: '', refused: [], sending: 0 }

let state: Outbox = { ...EMPTY, text: draft.read() }
let owners = 0
const watchers = new Set<() => void>()

function change(next: Partial<Outbox>): void {
  state = { ...state, ...next }
  draft.write(state.text)
  for (const watcher of watchers) watcher()
}

export function useOutbox(): Outbox {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    () => state,
  )
}

export const outbox = {
  now: (): Outbox => state,
  write: (text: string): void => change({ text, complaint: '' }),
  /** Adds the links in what was pasted, dropped or shared; without a link there, it is taken as it is. */
  add: (given: string): void => {
    if (given) outbox.write(added(state.text, given) || given)
  },
  forgive: (): void => change({ refused: [] }),
  /** Hands in all links; what couldn't be taken stays, and so does what is typed meanwhile. */
  async submit(queries: QueryClient, format: Format | undefined): Promise<void> {
    if (state.sending) return
    const urls = linksIn(state.text)
    if (!urls.length) return change({ complaint: state.text.trim() ? texts.download.notALink : '' })
    change({ sending: urls.length, refused: [], complaint: '' })
    const begun = owners
    const taken = new Set<string>()
    const outcome = await submitAll(queries, urls, format, (url) => {
      if (begun !== owners) return
      taken.add(url)
      change({ text: without(state.text, taken), sending: urls.length - taken.size })
    })
    if (begun !== owners) return
    // What a session's end has stopped stands in the box, and the sign-in page says the rest.
    const refused = session.token() ? outcome.refused : []
    change({ sending: 0, refused, complaint: complaintOf(linesWithoutLink(state.text)) })
    if (outcome.queued) toast.done(texts.download.queued(outcome.queued))
    if (outcome.already) toast.done(texts.download.already(outcome.already))
  },
}

function complaintOf(lines: readonly string[]): string {
  if (!lines.length) return ''
  const named = lines.slice(0, MOST_NAMED).map((each) => `“${each.slice(0, LONGEST_NAMED)}”`)
  if (lines.length > MOST_NAMED) named.push(texts.download.refusedMore(lines.length - MOST_NAMED))
  return texts.download.notLinks(named.join(', '))
}

// Nobody sees what somebody else was about to hand in.
session.whenOver(() => {
  owners += 1
  change(EMPTY)
})
