/** Server-sent events over fetch, since EventSource can't send the bearer header (HTML Living Standard, 9.2). */

import { session } from '../session/session'
import { prefix } from './prefix'

export interface ServerEvent {
  event: string
  data: string
}

/** Cuts what arrives in pieces into events; comments only show that somebody is there. */
export class EventParser {
  private rest = ''
  private event = ''
  private data: string[] = []

  push(piece: string): ServerEvent[] {
    const found: ServerEvent[] = []
    this.rest += piece
    const lines = this.rest.split(/\r\n|\n|\r(?!$)/)
    this.rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') {
        if (this.data.length) found.push({ event: this.event || 'message', data: this.data.join('\n') })
        this.event = ''
        this.data = []
        continue
      }
      const colon = line.indexOf(':')
      const field = colon < 0 ? line : line.slice(0, colon)
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
      if (field === 'event') this.event = value
      if (field === 'data') this.data.push(value)
    }
    return found
  }
}

const FIRST_WAIT = 1_000
const LONGEST_WAIT = 30_000
const SILENCE = 40_000 // the service says something every 15 s

/** Milliseconds before the next try, after so many that failed; a part is random, so that not all come at once. */
export function backoff(failures: number, random = Math.random()): number {
  const whole = Math.min(FIRST_WAIT * 2 ** (failures - 1), LONGEST_WAIT)
  return whole / 2 + (whole / 2) * random
}

export interface Following {
  /** Connected: now is the time to ask for the list. */
  onOpen: () => void
  onEvent: (event: ServerEvent) => void
  /** The connection broke off, or there was none. */
  onLost: () => void
  onUnauthorized: () => void
}

/** Follows the events until the returned function is called, and connects again as often as needed. */
export function follow(told: Following): { stop: () => void; hurry: () => void } {
  const stopping = new AbortController()
  let attempt = new AbortController()
  let wake: () => void = () => {}
  let failures = 0

  async function connect(): Promise<void> {
    attempt = new AbortController()
    const token = session.token()
    const signal = AbortSignal.any([stopping.signal, attempt.signal])
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
      failures = 0
      told.onOpen()
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        clearTimeout(silence)
        silence = setTimeout(() => attempt.abort(), SILENCE)
        for (const event of parser.push(read.value)) told.onEvent(event)
      }
    } finally {
      clearTimeout(silence)
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
  }
}
