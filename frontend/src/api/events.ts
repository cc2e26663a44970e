/** Server-sent events over fetch, since EventSource can't send the bearer header (HTML Living Standard, 9.2). */

import { session } from '../session/session'
import { prefix } from './prefix'
import { backoff, EventParser, type ServerEvent } from './sse'

const SILENCE = 40_000 // the service says something every 15 s
const STEADY = 20_000 // what breaks off sooner is one failure more, not a new beginning
const NOTICED = 3_000 // what is mended sooner nobody needs to hear of

interface Following {
  /** Connected: now is the time to ask for the list. */
  onOpen: () => void
  onEvent: (event: ServerEvent) => void
  /** There has been no connection for a while, or at the second try. */
  onLost: () => void
  onUnauthorized: () => void
}

/** Follows the events until the returned function is called, and connects again as often as needed. */
export function follow(told: Following): { stop: () => void; hurry: () => void; breakOff: () => void } {
  const stopping = new AbortController()
  let attempt = new AbortController()
  let wake: () => void = () => {}
  let failures = 0
  let noticing: ReturnType<typeof setTimeout> | undefined

  function lose(): void {
    clearTimeout(noticing)
    noticing = undefined
    told.onLost()
  }

  /** Whether the token was taken for one; whatever else goes wrong is only a failure. */
  async function connect(token: string): Promise<boolean> {
    attempt = new AbortController()
    const signal = AbortSignal.any([stopping.signal, attempt.signal])
    let opened = Number.POSITIVE_INFINITY
    let silence = setTimeout(() => attempt.abort(), SILENCE)
    try {
      const response = await fetch(`${prefix}/api/events`, {
        headers: { Authorization: `Bearer ${token}`, Accept: 'text/event-stream' },
        cache: 'no-store',
        signal,
      })
      if (response.status === 401) {
        if (token === session.token()) told.onUnauthorized()
        return false
      }
      if (!response.ok || !response.body) return true
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      const parser = new EventParser()
      opened = Date.now()
      clearTimeout(noticing)
      noticing = undefined
      told.onOpen()
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        clearTimeout(silence)
        silence = setTimeout(() => attempt.abort(), SILENCE)
        for (const event of parser.push(read.value)) told.onEvent(event)
      }
      return true
    } finally {
      clearTimeout(silence)
      if (Date.now() - opened >= STEADY) failures = 0
    }
  }

  async function run(): Promise<void> {
    for (let token = session.token(); token && !stopping.signal.aborted; token = session.token()) {
      const isTaken = await connect(token).catch(() => true)
      if (stopping.signal.aborted || !session.token()) break
      if (isTaken) failures += 1 // a new password ends the token, and another is on its way
      if (failures > 1) lose()
      else noticing ??= setTimeout(lose, NOTICED)
      if (token === session.token()) await pause(token)
    }
    clearTimeout(noticing)
  }

  /** Waits before the next try, until somebody is in a hurry or there is another token. */
  async function pause(token: string): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => wake(), backoff(Math.max(failures, 1)))
      const unsubscribe = session.subscribe(() => {
        if (session.token() !== token) wake()
      })
      wake = () => {
        clearTimeout(timer)
        unsubscribe()
        resolve()
      }
    })
  }

  void run()
  return {
    stop: () => {
      stopping.abort()
      clearTimeout(noticing)
      wake()
    },
    hurry: () => wake(),
    /** What is open may be dead without knowing it. */
    breakOff: () => attempt.abort(),
  }
}
