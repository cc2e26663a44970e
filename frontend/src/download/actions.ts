/** What one does to a download: shown at once where that is safe, and taken back with a word if it fails. */

import { type QueryClient, useQueryClient } from '@tanstack/react-query'
import { useMemo } from 'react'
import { ApiError, ask, client, type Download } from '../api/client'
import { heldBack, keys, ownTracks, tell } from '../live/live'
import { type Queue, undeleted } from '../live/queue'
import { words } from '../live/words'
import { player } from '../player/player'
import { toast } from '../show/toast'
import { texts } from '../texts'
import { save } from './save'

export interface Actions {
  cancel: (download: Download) => Promise<void>
  /** Cancels them one after the other, until one can't be or `signal` tells to stop. */
  cancelAll: (downloads: readonly Download[], signal: AbortSignal) => Promise<void>
  retry: (download: Download) => Promise<void>
  remove: (download: Download, options: { file: boolean }) => Promise<void>
  play: (download: Download) => Promise<void>
  save: (download: Download) => Promise<void>
}

export function useActions(): Actions {
  const queries = useQueryClient()
  return useMemo(() => actions(queries), [queries])
}

/** What is being tried again: a second press on the way asks for nothing more. */
const retrying = new Set<number>()

export function actions(queries: QueryClient): Actions {
  const of = (download: Download) => ({ params: { path: { download_id: download.id } } })

  /** Returns what it failed of, if it did. */
  async function changed(
    download: Download,
    status: Download['status'],
    call: () => Promise<Download>,
  ): Promise<unknown> {
    // The time stays, so that whatever the service says next is the later word.
    if (download.kind === 'track')
      tell(queries, [
        {
          kind: 'download',
          download: { ...download, status, progress: null, error_code: null, error_message: null },
        },
      ])
    try {
      tell(queries, [{ kind: 'download', download: await heldBack(download.id, call) }])
      return null
    } catch (error) {
      words.forget(download.id)
      askAgain(queries)
      // What has ended in the same moment needs no cancelling any more, and what goes on again no second try.
      const isSo = error instanceof ApiError && error.status === 409
      return isSo ? null : error
    }
  }

  const cancelled = (download: Download) =>
    changed(download, 'cancelled', () =>
      ask(client.POST('/api/downloads/{download_id}/cancel', of(download))),
    )

  return {
    async cancel(download) {
      const fault = await cancelled(download)
      if (fault) toast.failed(fault)
    },
    async cancelAll(downloads, signal) {
      const { fault, done } = await untilFault(downloads, cancelled, signal)
      if (fault) toast.failed(fault, texts.download.cancelledSome(done, downloads.length))
    },
    async retry(download) {
      if (retrying.has(download.id)) return
      retrying.add(download.id)
      const fault = await changed(download, 'pending', () =>
        ask(client.POST('/api/downloads/{download_id}/retry', of(download))),
      )
      retrying.delete(download.id)
      if (fault) toast.failed(fault)
    },
    async remove(download, { file }) {
      const wasShown = queries.getQueryData<Queue>(keys.queue)?.downloads.has(download.id) ?? false
      tell(queries, [{ kind: 'deleted', id: download.id }])
      try {
        await ask(
          client.DELETE('/api/downloads/{download_id}', {
            params: { path: { download_id: download.id }, query: { delete_file: file } },
          }),
        )
        if (file) player.drop(download.id)
        toast.done(removal(download, file))
      } catch (error) {
        words.forget(download.id)
        queries.setQueryData<Queue>(keys.queue, (queue) => queue && undeleted(queue, download, wasShown))
        toast.failed(error)
        askAgain(queries)
      }
    },
    async play(download) {
      const isTrack = download.kind === 'track'
      const parentId = isTrack ? download.parent_id : download.id
      if (parentId === null) return player.play(download)
      const again = () => queries.fetchQuery({ ...ownTracks(parentId), staleTime: 0 })
      try {
        const tracks = await queries.fetchQuery(ownTracks(parentId))
        const first = isTrack ? download : tracks.find((each) => each.status === 'completed')
        if (first) player.play(first, tracks, again)
      } catch (error) {
        if (isTrack) player.play(download, [download], again)
        else toast.failed(error)
      }
    },
    save,
  }
}

function removal({ kind }: Download, file: boolean): string {
  const { item } = texts
  if (!file) return item.removed
  // The service doesn't tell whether somebody else's download has kept it.
  return kind === 'collection' ? item.removedFiles : item.removedFile
}

/** Does one after the other, up to the first fault or until it is told to stop; tells how many were done. */
export async function untilFault<T>(
  all: readonly T[],
  act: (each: T) => Promise<unknown>,
  signal: AbortSignal,
): Promise<{ fault: unknown; done: number }> {
  let done = 0
  for (const each of all) {
    if (signal.aborted) break
    const fault = await act(each)
    if (fault) return { fault, done }
    done += 1
  }
  return { fault: null, done }
}

/** Has each list that may show a download asked for anew: what was shown in advance may not be so. */
function askAgain(queries: QueryClient): void {
  for (const queryKey of [keys.queue, keys.history, keys.allTracks])
    void queries.invalidateQueries({ queryKey })
}
