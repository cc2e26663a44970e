// @vitest-environment happy-dom
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { act, createElement } from 'react'
import { createRoot } from 'react-dom/client'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { client, type Download, type DownloadPage } from '../api/client'
import { session } from '../session/session'
import { download } from './example'
import { keys, tell, useLive, useQueue } from './live'
import { applyList, EMPTY, patched } from './queue'
import { overtaken } from './words'

const page = [...keys.history, { page: 1 }]
const later = '2026-11-25T08:00:05Z'
let queries: QueryClient

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  queries = new QueryClient()
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

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
  queries.setQueryData(keys.queue, applyList(EMPTY, [running]))
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
  queries.setQueryData(keys.queue, applyList(EMPTY, [running]))
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

function Shown() {
  useLive()
  return [...(useQueue().data?.downloads.keys() ?? [])].join(' ')
}

/** Shows the queue while the stream and the list answer only when they are told to. */
async function showQueue() {
  const answers = {
    open: (_: Response) => {},
    lists: [] as ((...downloads: Download[]) => void)[],
  }
  vi.stubGlobal(
    'fetch',
    () =>
      new Promise<Response>((resolve) => {
        answers.open = resolve
      }),
  )
  vi.spyOn(client, 'GET').mockImplementation(
    (() =>
      new Promise((resolve) =>
        answers.lists.push((...downloads) =>
          resolve({ data: { downloads, pages: 1 }, response: new Response() }),
        ),
      )) as never,
  )
  session.begin('a token', 3600)
  const place = document.createElement('div')
  const root = createRoot(place)
  await act(async () =>
    root.render(createElement(QueryClientProvider, { client: queries }, createElement(Shown))),
  )
  const after = (milliseconds: number) => act(() => vi.advanceTimersByTimeAsync(milliseconds))
  return { answers, after, place, leave: () => act(async () => root.unmount()) }
}

it('the queue is shown though the stream does not answer', async () => {
  const { answers, after, place, leave } = await showQueue()
  await after(1_000)
  expect(answers.lists.length).toBe(0) // it may answer yet
  await after(2_000)
  expect(answers.lists.length).toBe(1)
  answers.lists[0]?.(download(7))
  await after(100)
  expect(place.textContent).toBe('7')
  await leave()
})

it('a list that was asked for before the stream was open is asked for again', async () => {
  const { answers, after, place, leave } = await showQueue()
  await after(3_000)
  answers.open(new Response(new ReadableStream()))
  await after(100)
  answers.lists[0]?.(download(7))
  await after(100)
  answers.lists[1]?.(download(7), download(8))
  await after(100)
  expect(place.textContent).toBe('7 8')
  await leave()
})

it('a stream that opens at once has the list asked for once', async () => {
  const { answers, after, leave } = await showQueue()
  answers.open(new Response(new ReadableStream()))
  await after(5_000)
  expect(answers.lists.length).toBe(1)
  await leave()
})
