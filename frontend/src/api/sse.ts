/** What server-sent events are made of (HTML Living Standard, 9.2), and when to ask for them again. */

const FIRST_WAIT = 1_000
const LONGEST_WAIT = 30_000

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

/** Milliseconds before the next try, after so many that failed; a part is random, so that not all come at once. */
export function backoff(failures: number, random = Math.random()): number {
  const whole = Math.min(FIRST_WAIT * 2 ** (failures - 1), LONGEST_WAIT)
  return whole / 2 + (whole / 2) * random
}
