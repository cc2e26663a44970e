/** Server-sent events over fetch, since EventSource can't send the bearer header (HTML Living Standard, 9.2). */

import { session } from '../session/session'
import { prefix } from './prefix'
import { backoff, EventParser, type ServerEvent } from './sse'

const SILENCE = 40_000 // the service says something every 15 s
const STEADY = 20_000 // what breaks off sooner is one failure more, not a new beginning

interface Following {
  /** Connected: now is the time to ask for the list. */
  onOpen: () => void
  onEvent: (event: ServerEvent) => void
  /** The connection broke off, or there was none. */
  onLost: () => void
  onUnauthorized: () => void
}

/** Follows the events until the returned function is called, and connects again as often as needed. */
export function follow(told: Following): { stop: () => void; hurry: () => void; breakOff: () => void } {
  const stopping = new AbortController()
  let attempt = new AbortController()
  let wake: () => void = () => {}
  let failures = 0

  async function connect(): Promise<void> {
    attempt = new AbortController()
    const token = session.token()
    const signal = AbortSignal.any([stopping.signal, attempt.signal])
    let opened = Number.POSITIVE_INFINITY
    let silence = setTimeout(() => attempt.abort(), SILENCE)
    try {
      const response = await fetch(`${prefix}/api/events`, {
        headers: { Authorization: `Bearer ${token}`, Accept: 'text/event-stream' },
        cache: 'no-store',
        signal,
      })
      if (response.status === 401 && token === session.token()) return told.onUnauthorized()
      if (!response.ok || !response.body) return
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      const parser = new EventParser()
      opened = Date.now()
      told.onOpen()
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        clearTimeout(silence)
        silence = setTimeout(() => attempt.abort(), SILENCE)
        for (const event of parser.push(read.value)) told.onEvent(event)
      }
    } finally {
      clearTimeout(silence)
      if (Date.now() - opened >= STEADY) failures = 0
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted && session.token()) {
      await connect().catch(() => {})
      if (stopping.signal.aborted || !session.token()) return
      failures += 1
      told.onLost()
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, backoff(failures))
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  void run()
  return {
    stop: () => {
      stopping.abort()
      wake()
    },
    hurry: () => wake(),
    /** What is open may be dead without knowing it. */
    breakOff: () => attempt.abort(),
  }
}
