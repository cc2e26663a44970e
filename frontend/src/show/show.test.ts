import { beforeAll, describe, expect, it, vi } from 'vitest'
import { albumsThatFit, freeBytes, inOurWords, onScale } from '../admin/space'
import { download } from '../live/example'
import { mayBegin } from '../player/beginning'
import { around } from './around'
import { ago, length, nameOf, size, wait } from './format'
import { stateOf } from './state'

beforeAll(() => void vi.stubGlobal('navigator', { language: 'en-US' }))

describe('numbers as people write them', () => {
  it('are sizes', () => {
    expect([0, 999, 999_999, 5_300_000, 48_000_000_000].map(size)).toEqual([
      '0 byte',
      '999 byte',
      '1 MB',
      '5.3 MB',
      '48 GB',
    ])
  })

  it('are lengths', () => {
    expect([0, 59.6, 187, 3600, 3725].map(length)).toEqual(['0:00', '1:00', '3:07', '1:00:00', '1:02:05'])
  })

  it('are waits', () => {
    expect([0.2, 8, 200, 7300].map(wait)).toEqual(['1 sec', '8 sec', '4 min', '3 hr'])
  })

  it('are times, as far away as one counts them', () => {
    const now = Date.parse('2026-11-25T12:00:00Z')
    expect(ago('2026-11-25T11:59:50Z', now)).toBe('now')
    expect(ago('2026-11-25T11:57:00Z', now)).toBe('3 minutes ago')
    expect(ago('2026-11-24T12:00:00Z', now)).toBe('yesterday')
    expect(ago('2026-01-02T12:00:00Z', now)).toBe('Jan 2, 2026')
  })
})

describe('what a row says', () => {
  it('is how far a transfer is', () => {
    const progress = {
      phase: 'downloading' as const,
      percent: 25,
      downloaded_bytes: 1e6,
      total_bytes: 4e6,
      speed: 5e5,
      eta: 6,
    }
    const said = stateOf(download(1, { status: 'in-progress', progress }))
    expect(said.parts).toEqual(['Downloading', '1 MB of 4 MB', '500 kB/s', '6 sec left'])
    expect(said.percent).toBe(25)
  })

  it('is nothing of a transfer of which nothing has come', () => {
    const progress = { phase: 'downloading' as const, percent: 0, downloaded_bytes: 0, total_bytes: null }
    const begun = { ...progress, speed: null, eta: null }
    expect(stateOf(download(1, { status: 'in-progress', progress: begun })).parts).toEqual(['Downloading'])
  })

  it('is what came of it, and its size where there is room', () => {
    const done = download(1, { status: 'completed', codec: 'opus', duration: 187, file_size: 214_000 })
    expect(stateOf({ ...done, album: 'One' })).toMatchObject({
      parts: ['One', 'OPUS · 3:07'],
      aside: '214 kB',
    })
    expect(stateOf({ ...done, album: 'One', parent_id: 9 }).parts).toEqual(['OPUS · 3:07'])
  })

  it('is how many tracks of a collection have come', () => {
    const list = download(1, {
      kind: 'collection',
      status: 'in-progress',
      items: { total: 4, completed: 1, failed: 1 },
    })
    expect(stateOf(list)).toMatchObject({ parts: ['1 of 4 tracks', '1 failed'], percent: 50 })
  })

  it('is that it waits to be tried again', () => {
    const waiting = download(1, { attempts: 1, error_code: 'unavailable' })
    expect(stateOf(waiting).parts).toEqual(['Waiting to try again (attempt 2)'])
  })

  it('names what has no title yet by its address', () => {
    expect(nameOf({ title: null, url: 'https://www.a.example/x/A%20Song.mp3' })).toBe(
      'a.example · A Song.mp3',
    )
    expect(nameOf({ title: null, url: 'https://a.example/%ff' })).toBe('https://a.example/%ff')
  })
})

describe('the pages of a list', () => {
  it('show the first, the last and those around', () => {
    expect(around(1, 1)).toEqual([1])
    expect(around(5, 9)).toEqual([1, null, 4, 5, 6, null, 9])
  })
})

describe('free space', () => {
  it('is read out of the health check', () => {
    expect(freeBytes('0.5 GiB free, less than the 1.0 GiB to keep')).toBe(0.5 * 1024 ** 3)
    expect(freeBytes('the library can’t be written to')).toBeNull()
    expect([1e9, 1e11, 1e13, 0].map(onScale)).toEqual([0, 50, 100, 0])
    expect(albumsThatFit(68.6e9)).toBe(570)
    expect(inOurWords('0.5 GiB free, less than the 1.0 GiB to keep')).toBe(
      '537 MB free, less than the 1.1 GB to keep',
    )
    expect(inOurWords('a worker is running')).toBe('A worker is running')
  })
})

describe('a file that is still arriving', () => {
  it('plays before it is whole only where the rest takes long', () => {
    expect(mayBegin({ loaded: 1e6, total: 2e8, milliseconds: 1500 })).toBe(true)
    expect(mayBegin({ loaded: 1e6, total: 2e6, milliseconds: 1500 })).toBe(false)
    expect(mayBegin({ loaded: 1e8, total: 2e8, milliseconds: 500 })).toBe(false)
  })
})
