/** Keeps what the page shows in step with the service: the events, and a list wherever one may have been missed. */

import { type QueryClient, useQueries, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useSyncExternalStore } from 'react'
import { ask, client, type Download, type DownloadPage, type Status } from '../api/client'
import { follow } from '../api/events'
import { session } from '../session/session'
import {
  applyChanges,
  applyList,
  type Change,
  changeOf,
  EMPTY,
  patched,
  patchedTracks,
  type Queue,
} from './queue'
import { overtaken, words } from './words'

export type Connection = 'connecting' | 'open' | 'lost'

const GATHER = 80 // milliseconds; many downloads at once make one change of the page
const HIDDEN_TOO_LONG = 60_000 // then the stream is given back; a person may have ten
export const PER_PAGE = 100
const MOST_PAGES = 50
const SETTLE = 1_000
const HELD_AT_MOST = 10_000 // a network that is gone may keep a call for minutes
const LONG_ENOUGH = 2_500 // a proxy that holds the stream back says nothing until it gives up

let connection: Connection = 'connecting'
let hasWaited = false // for the stream, as long as makes sense
const watchers = new Set<() => void>()

function setConnection(next: Connection): void {
  connection = next
  for (const watcher of watchers) watcher()
}

function setWaited(next: boolean): void {
  hasWaited = next
  for (const watcher of watchers) watcher()
}

function watch(watcher: () => void): () => void {
  watchers.add(watcher)
  return () => watchers.delete(watcher)
}

export function useConnection(): Connection {
  return useSyncExternalStore(watch, () => connection)
}

/** The keys of what is cached; everything about downloads is brought up to date from here. */
export const keys = {
  queue: ['queue'] as const,
  history: ['history'] as const,
  allTracks: ['tracks'] as const,
  tracks: (parentId: number) => ['tracks', parentId] as const,
}

/** Follows the events as long as the component is there. */
export function useLive(): void {
  const queries = useQueryClient()
  useEffect(() => {
    let waiting: Change[] = []
    let timer: ReturnType<typeof setTimeout> | undefined
    let hidden: ReturnType<typeof setTimeout> | undefined
    let running: ReturnType<typeof follow> | null = null

    function flush(): void {
      timer = undefined
      const changes = waiting.filter((each) => !isHeld(each))
      waiting = waiting.filter(isHeld)
      if (changes.length) tell(queries, changes)
    }

    function gather(): void {
      timer ??= setTimeout(flush, GATHER)
    }

    function start(): void {
      running = follow({
        onOpen() {
          setConnection('open')
          catchUpEverything(queries)
        },
        onEvent(event) {
          const change = changeOf(event)
          if (!change) return
          if (change.kind === 'reset') return catchUpEverything(queries)
          waiting.push(change)
          gather()
        },
        onLost: () => setConnection('lost'),
        onUnauthorized: () => session.expire(),
      })
    }

    function look(): void {
      clearTimeout(hidden)
      if (document.hidden) {
        hidden = setTimeout(() => {
          running?.stop()
          running = null
        }, HIDDEN_TOO_LONG)
      } else if (running) running.hurry()
      else start()
    }

    const hurry = () => running?.hurry()
    const breakOff = () => running?.breakOff()
    const waited = setTimeout(setWaited, LONG_ENOUGH, true)
    start()
    release = gather
    document.addEventListener('visibilitychange', look)
    window.addEventListener('online', hurry)
    window.addEventListener('offline', breakOff)
    return () => {
      release = () => {}
      document.removeEventListener('visibilitychange', look)
      window.removeEventListener('online', hurry)
      window.removeEventListener('offline', breakOff)
      clearTimeout(timer)
      clearTimeout(hidden)
      clearTimeout(waited)
      running?.stop()
      setConnection('connecting') // for who signs in next
      setWaited(false)
    }
  }, [queries])
}

function catchUpEverything(queries: QueryClient): void {
  // A first list that is still under way was asked for before the stream was open, and may lack something.
  void queries.cancelQueries({ queryKey: keys.queue }, { silent: true })
  void queries.refetchQueries({ queryKey: keys.queue })
  void queries.invalidateQueries({ queryKey: keys.history })
  void queries.invalidateQueries({ queryKey: keys.allTracks })
}

/** Downloads that somebody has just done something to, and how many answers are waited for. */
const held = new Map<number, number>()
let release = () => {}

function isHeld(change: Change): boolean {
  return change.kind === 'download' && held.has(change.download.id)
}

/**
 * Keeps back what events tell of a download until the service has answered a call about it. They still tell of
 * the time before, and would bring back for a moment what is shown as done.
 */
export async function heldBack<T>(id: number, call: () => Promise<T>): Promise<T> {
  held.set(id, (held.get(id) ?? 0) + 1)
  let isWaiting = true
  const letGo = () => {
    if (!isWaiting) return
    isWaiting = false
    const left = (held.get(id) ?? 1) - 1
    if (left > 0) held.set(id, left)
    else held.delete(id)
    release()
  }
  const patience = setTimeout(letGo, HELD_AT_MOST)
  try {
    return await call()
  } finally {
    clearTimeout(patience)
    letGo()
  }
}

let settling: ReturnType<typeof setTimeout> | undefined

/** Takes changes over wherever they are shown; also for what this page itself has just done. */
export function tell(queries: QueryClient, changes: readonly Change[]): void {
  words.remember(changes)
  const before = queries.getQueryData<Queue>(keys.queue)
  const queue = before && applyChanges(before, changes)
  if (queue !== before) queries.setQueryData(keys.queue, queue)
  for (const [key, tracks] of queries.getQueriesData<readonly Download[]>({ queryKey: keys.allTracks })) {
    const next = tracks && patchedTracks(tracks, Number(key[1]), changes)
    if (next !== tracks) queries.setQueryData(key, next)
  }
  let isElsewhere = false
  for (const [key, page] of queries.getQueriesData<DownloadPage>({ queryKey: keys.history })) {
    if (!page) continue
    const downloads = patched(page.downloads, changes)
    isElsewhere ||= changes.some(
      (change) =>
        change.kind === 'download' &&
        change.download.parent_id === null &&
        isNews(change.download, before?.downloads.get(change.download.id)) &&
        !downloads.some((each) => each.id === change.download.id),
    )
    if (downloads.length < page.downloads.length) isElsewhere = true
    const status = (key[1] as { status?: Status | '' } | undefined)?.status
    if (status && downloads !== page.downloads && downloads.some((each) => each.status !== status))
      isElsewhere = true
    if (downloads !== page.downloads) queries.setQueryData(key, { ...page, downloads })
  }
  if (!isElsewhere || settling) return
  settling = setTimeout(() => {
    settling = undefined
    void queries.invalidateQueries({ queryKey: keys.history })
  }, SETTLE)
}

/** Whether more has changed than how far a download is, so that it may stand on another page of a list. */
function isNews(download: Download, before: Download | undefined): boolean {
  return download.status !== before?.status || download.completed_at !== before.completed_at
}

// Nobody hears what somebody else was told.
session.whenOver(() => words.clear())

/**
 * The live queue. Whoever shows it waits for the connection, so that nothing falls between list and events; but
 * not for long. The list is asked for again once there is a connection.
 */
export function useQueue() {
  const queries = useQueryClient()
  const mayAsk = useSyncExternalStore(watch, () => hasWaited || connection !== 'connecting')
  return useQuery({
    queryKey: keys.queue,
    queryFn: () => overtaken(() => catchUp(queries), applyChanges),
    enabled: mayAsk,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: Number.POSITIVE_INFINITY,
  })
}

/** One call for most people; where the list is longer than a page, also all that is still active. */
async function catchUp(queries: QueryClient): Promise<Queue> {
  const now = () => queries.getQueryData<Queue>(keys.queue) ?? EMPTY
  const known = new Set(now().downloads.keys())
  const first = await list(1)
  const listed = [...first.downloads]
  if (first.pages > 1)
    for (const status of ['in-progress', 'pending'] as const) listed.push(...(await listAll({ status })))
  return applyList(now(), listed, known)
}

function list(page: number, query: { status?: Status; parent_id?: number } = {}): Promise<DownloadPage> {
  return ask(client.GET('/api/downloads', { params: { query: { page, per_page: PER_PAGE, ...query } } }))
}

function listAll(query: { status?: Status; parent_id?: number }): Promise<Download[]> {
  return allPages((page) => list(page, query))
}

/** Whatever a list holds, page by page. */
export async function allPages<D extends Download>(
  ask: (page: number) => Promise<{ downloads: D[]; pages: number }>,
): Promise<D[]> {
  const all: D[] = []
  for (let page = 1, pages = 1; page <= Math.min(pages, MOST_PAGES); page += 1) {
    const answer = await ask(page)
    pages = answer.pages
    all.push(...answer.downloads)
  }
  return all
}

/** The tracks of a collection, in its order. */
async function fetchTracks(parentId: number): Promise<readonly Download[]> {
  return overtaken(
    async () => inOrder(await listAll({ parent_id: parentId })),
    (tracks, changes) => patchedTracks(tracks, parentId, changes),
  )
}

/** Each once, in the order in which they stand in their collection. */
export function inOrder<D extends Download>(tracks: readonly D[]): readonly D[] {
  const all = new Map(tracks.map((each) => [each.id, each]))
  return [...all.values()].sort((one, other) => one.id - other.id)
}

/** How the tracks of a collection are had; administrators look at those of others in another way. */
export interface TracksQuery {
  queryKey: readonly unknown[]
  queryFn: () => Promise<readonly Download[]>
  staleTime?: number
  refetchInterval?: number
}

export const ownTracks = (id: number): TracksQuery => ({
  queryKey: keys.tracks(id),
  queryFn: () => fetchTracks(id),
  staleTime: 60_000,
})

export interface Tracks {
  /** Undefined while they are on their way, and where they couldn't be had. */
  list: readonly Download[] | undefined
  error: unknown
  again: () => void
}

/** The tracks of those collections that a list shows unfolded. */
export function useUnfolded(
  ids: readonly number[],
  tracksOf: (id: number) => TracksQuery,
): ReadonlyMap<number, Tracks> {
  return useQueries({
    queries: ids.map(tracksOf),
    combine: (results) =>
      new Map(
        results.map((result, index) => [
          ids[index] ?? 0,
          { list: result.data, error: result.error, again: () => void result.refetch() },
        ]),
      ),
  })
}
