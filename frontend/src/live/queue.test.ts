import { describe, expect, it } from 'vitest'
import type { Download } from '../api/client'
import { download } from './example'
import {
  applyChanges,
  applyList,
  changeOf,
  EMPTY,
  patched,
  patchedTracks,
  type Queue,
  shown,
  undeleted,
} from './queue'

function queueOf(...downloads: Download[]): Queue {
  return applyList(EMPTY, downloads)
}

const later = '2026-11-25T08:00:05.100000Z'
const latest = '2026-11-25T08:00:05.200000Z'

describe('the live queue', () => {
  it('takes a later word and passes over an older one', () => {
    const done = download(1, { status: 'completed', updated_at: latest })
    const queue = applyChanges(queueOf(download(1)), [{ kind: 'download', download: done }])
    const old = download(1, { status: 'in-progress', updated_at: later })
    expect(applyChanges(queue, [{ kind: 'download', download: old }])).toBe(queue)
    expect(applyList(queue, [old]).downloads.get(1)).toBe(done)
  })

  it('tells times apart that differ by less than a millisecond', () => {
    const first = download(1, { updated_at: '2026-11-25T08:00:05.000100Z', status: 'in-progress' })
    const second = download(1, { updated_at: '2026-11-25T08:00:05.000200Z', status: 'completed' })
    const queue = applyChanges(queueOf(second), [{ kind: 'download', download: first }])
    expect(queue.downloads.get(1)?.status).toBe('completed')
  })

  it('does not let an older list or event bring back what was deleted', () => {
    const queue = applyChanges(queueOf(download(1)), [{ kind: 'deleted', id: 1 }])
    const late = applyChanges(queue, [{ kind: 'download', download: download(1, { updated_at: latest }) }])
    expect(late.downloads.size).toBe(0)
    expect(applyList(queue, [download(1)]).downloads.size).toBe(0)
  })

  it('shows again what could not be deleted, whatever else is deleted meanwhile', () => {
    const removed = applyChanges(queueOf(download(1), download(2)), [
      { kind: 'deleted', id: 1 },
      { kind: 'deleted', id: 2 },
    ])
    const queue = undeleted(removed, download(1), true)
    expect([...queue.downloads.keys()]).toEqual([1])
    expect([...applyList(queue, [download(1), download(2)]).downloads.keys()]).toEqual([1])
  })

  it('lets go of what ended while nobody listened', () => {
    const queue = applyList(queueOf(download(1), download(2)), [download(2)])
    expect([...queue.downloads.keys()]).toEqual([2])
  })

  it('keeps what was submitted after the list was asked for', () => {
    const known = new Set([1])
    const queue = applyChanges(queueOf(download(1)), [{ kind: 'download', download: download(2) }])
    expect([...applyList(queue, [download(1)], known).downloads.keys()]).toEqual([1, 2])
  })

  it('leaves the tracks of a collection to the collection', () => {
    const queue = applyChanges(queueOf(), [{ kind: 'download', download: download(2, { parent_id: 1 }) }])
    expect(queue.downloads.size).toBe(0)
  })

  it('shows what runs first, then what waits in its order, then what ended last', () => {
    const queue = queueOf(
      download(1),
      download(2, { status: 'completed', completed_at: later }),
      download(3, { status: 'in-progress' }),
      download(4, { status: 'failed', completed_at: latest }),
      download(5),
    )
    const { active, ended } = shown(queue)
    expect(active.map((each) => each.id)).toEqual([3, 1, 5])
    expect(ended.map((each) => each.id)).toEqual([4, 2])
  })
})

describe('lists that somebody looks at', () => {
  it('change in place, and stay the same where nothing of theirs changed', () => {
    const rows = [download(1), download(2)]
    const change = { kind: 'download', download: download(2, { title: 'New', updated_at: later }) } as const
    expect(patched(rows, [change]).map((each) => each.title)).toEqual([null, 'New'])
    expect(patched(rows, [{ kind: 'download', download: download(3) }])).toBe(rows)
    expect(patched(rows, [{ kind: 'deleted', id: 1 }]).map((each) => each.id)).toEqual([2])
  })

  it('of a collection grow by its own tracks, in their order', () => {
    const own = { kind: 'download', download: download(2, { parent_id: 9 }) } as const
    const other = { kind: 'download', download: download(4, { parent_id: 8 }) } as const
    const tracks = patchedTracks([download(3, { parent_id: 9 })], 9, [own, other])
    expect(tracks.map((each) => each.id)).toEqual([2, 3])
  })
})

describe('an event', () => {
  it('is a change, a deletion or a reset', () => {
    expect(changeOf({ event: 'download', data: '{"id": 1}' })).toEqual({
      kind: 'download',
      download: { id: 1 },
    })
    expect(changeOf({ event: 'deleted', data: '{"id": 1}' })).toEqual({ kind: 'deleted', id: 1 })
    expect(changeOf({ event: 'reset', data: '{}' })).toEqual({ kind: 'reset' })
  })

  it('that is not understood is passed over', () => {
    for (const data of ['', 'null', '[]', '{"id": "1"}', '{', '{"id": 1}']) {
      expect(changeOf({ event: 'unheard-of', data })).toBeNull()
    }
    expect(changeOf({ event: 'download', data: '{' })).toBeNull()
  })
})
