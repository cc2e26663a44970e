/** What a row says about its download, in one line; decided purely. */

import type { Download } from '../api/client'
import { texts } from '../texts'
import { length, size, speed, wait } from './format'

interface Said {
  /** The parts of the line, the most important one first. */
  parts: string[]
  /** What stands after them where there is room for it. */
  aside?: string
  tone: 'quiet' | 'active' | 'good' | 'bad'
  /** 0 to 100; null where nobody knows how far it is; undefined where there is nothing to show. */
  percent?: number | null
}

export function stateOf(download: Download): Said {
  return download.kind === 'collection' && download.items ? ofCollection(download) : ofTrack(download)
}

function ofTrack(download: Download): Said {
  const { item } = texts
  const { progress } = download
  switch (download.status) {
    case 'completed':
      // Within a collection, its name stands above already.
      return {
        parts: [download.parent_id === null ? download.album : null, facts(download)].filter(isText),
        ...(download.file_size ? { aside: size(download.file_size) } : {}),
        tone: 'quiet',
      }
    case 'failed':
      return { parts: [item.status.failed], tone: 'bad' }
    case 'cancelled':
      return { parts: [item.status.cancelled], tone: 'quiet' }
    case 'pending':
      return {
        parts: [
          download.attempts > 0 && download.error_code
            ? item.waitingAgain(download.attempts)
            : item.status.pending,
        ],
        tone: 'quiet',
      }
    case 'in-progress': {
      if (!progress) return { parts: [item.status['in-progress']], tone: 'active', percent: null }
      const parts = [item.phase[progress.phase]]
      if (progress.phase === 'downloading') {
        const { downloaded_bytes: part, total_bytes: whole, speed: pace, eta } = progress
        if (part) parts.push(whole != null ? item.of(size(part), size(whole)) : size(part))
        if (pace) parts.push(speed(pace))
        if (eta != null && eta >= 1) parts.push(item.left(wait(eta)))
      }
      return { parts, tone: 'active', percent: progress.percent ?? null }
    }
  }
}

function ofCollection(download: Download): Said {
  const { item } = texts
  const { total, completed, failed } = download.items ?? { total: 0, completed: 0, failed: 0 }
  const lost = failed > 0 ? [item.collectionFailed(failed)] : []
  if (download.status === 'in-progress' || download.status === 'pending') {
    const parts = total ? [item.collection(completed, total), ...lost] : [item.phase.resolving]
    return { parts, tone: 'active', percent: total ? ((completed + failed) / total) * 100 : null }
  }
  const whole = completed === total ? item.collectionDone(total) : item.collection(completed, total)
  if (download.status === 'completed') return { parts: [whole, ...lost], tone: lost.length ? 'bad' : 'quiet' }
  // What failed of it is told by the service's own sentence, right below.
  if (download.status === 'failed') return { parts: [completed ? whole : item.status.failed], tone: 'bad' }
  return { parts: [item.status[download.status], whole, ...lost], tone: 'quiet' }
}

/** "OPUS · 3:07", as far as it is known. */
function facts(download: Download): string {
  return [download.codec?.toUpperCase(), download.duration != null ? length(download.duration) : null]
    .filter(isText)
    .join(' · ')
}

function isText(value: string | null | undefined): value is string {
  return Boolean(value)
}
