import { describe, expect, it } from 'vitest'
import { backoff, EventParser } from './sse'

describe('the parser of events', () => {
  it('finds the same events however the stream is cut', () => {
    const stream =
      ': hello\r\nretry: 3000\r\n\r\nevent: download\ndata: {"a":\ndata: "ü"}\n\n: ping\n\nevent: reset\rdata: {}\r\r\n'
    const whole = new EventParser().push(stream)
    expect(whole).toEqual([
      { event: 'download', data: '{"a":\n"ü"}' },
      { event: 'reset', data: '{}' },
    ])
    for (let size = 1; size < stream.length; size += 1) {
      const parser = new EventParser()
      const pieces = stream.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? []
      expect(pieces.flatMap((piece) => parser.push(piece))).toEqual(whole)
    }
  })

  it('tells nothing of an event that is not whole', () => {
    expect(new EventParser().push('event: download\ndata: {}\n')).toEqual([])
  })
})

describe('the wait before the next try', () => {
  it('doubles up to half a minute, and is never all the same', () => {
    expect([1, 2, 3, 5, 6, 60].map((failures) => backoff(failures, 1))).toEqual([
      1000, 2000, 4000, 16000, 30000, 30000,
    ])
    expect(backoff(1, 0)).toBe(500)
  })
})
