// @vitest-environment happy-dom
import { QueryClient } from '@tanstack/react-query'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Download, DownloadPage } from '../api/client'
import { download } from './example'
import { keys, tell } from './live'
import { applyList, EMPTY, patched } from './queue'
import { overtaken } from './words'

const page = [...keys.history, { page: 1 }]
const later = '2026-11-25T08:00:05Z'
let queries: QueryClient

beforeEach(() => {
  vi.useFakeTimers()
  queries = new QueryClient()
})
afterEach(() => void vi.useRealTimers())

function word(id: number, more: Partial<Download> = {}) {
  return { kind: 'download', download: download(id, { updated_at: later, ...more }) } as const
}

it('a list does not undo what was told while it was under way', async () => {
  const rows = await overtaken(
    async () => {
      tell(queries, [word(1, { status: 'completed' }), { kind: 'deleted', id: 2 }])
      return [download(1), download(2)] as readonly Download[]
    },
    (listed, changes) => patched(listed, changes),
  )
  expect(rows.map((each) => [each.id, each.status])).toEqual([[1, 'completed']])
})

it('a history that lacks a download is asked for anew at another status, and not at each tick', () => {
  const running = download(1, { status: 'in-progress' })
  queries.setQueryData(keys.queue, applyList(EMPTY, [running], { isComplete: true }))
  queries.setQueryData(page, { downloads: [] as Download[] } as DownloadPage)
  const isAskedAnew = () => {
    vi.advanceTimersByTime(2_000)
    return queries.getQueryState(page)?.isInvalidated
  }
  tell(queries, [word(1, { status: 'in-progress' })])
  expect(isAskedAnew()).toBe(false)
  tell(queries, [word(1, { status: 'completed' })])
  expect(isAskedAnew()).toBe(true)
})

it('a history by status is asked for anew once a row of it has another', () => {
  const running = download(1, { status: 'in-progress' })
  const byStatus = [...keys.history, { q: '', status: 'in-progress', page: 1 }]
  queries.setQueryData(keys.queue, applyList(EMPTY, [running], { isComplete: true }))
  queries.setQueryData(byStatus, { downloads: [running] } as DownloadPage)
  const isAskedAnew = () => {
    vi.advanceTimersByTime(2_000)
    return queries.getQueryState(byStatus)?.isInvalidated
  }
  tell(queries, [word(1, { status: 'in-progress' })])
  expect(isAskedAnew()).toBe(false)
  tell(queries, [word(1, { status: 'cancelled' })])
  expect(isAskedAnew()).toBe(true)
})

it('what nothing was told of is left alone', () => {
  const tracks = [download(2, { parent_id: 9 })]
  queries.setQueryData(keys.tracks(9), tracks, { updatedAt: 1 })
  tell(queries, [word(1)])
  expect(queries.getQueryState(keys.tracks(9))?.dataUpdatedAt).toBe(1)
})
