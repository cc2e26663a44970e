/**
 * The live queue, as plain data: what the list says and what the events tell, whichever is the later word.
 * Nothing here asks or waits.
 */

import type { Download, Status } from '../api/client'
import type { ServerEvent } from '../api/sse'

export interface Queue {
  readonly downloads: ReadonlyMap<number, Download>
  /** Deleted meanwhile; an older list or event must not bring them back. */
  readonly deleted: ReadonlySet<number>
  readonly isLoaded: boolean
}

export type Change =
  | { kind: 'download'; download: Download }
  | { kind: 'deleted'; id: number }
  | { kind: 'reset' }

export const EMPTY: Queue = { downloads: new Map(), deleted: new Set(), isLoaded: false }

const ACTIVE: readonly Status[] = ['pending', 'in-progress']

export function isActive(download: Pick<Download, 'status'>): boolean {
  return ACTIVE.includes(download.status)
}

/** Understands one event; null for what is unknown, so that a later service may say more. */
export function changeOf({ event, data }: ServerEvent): Change | null {
  try {
    if (event === 'reset') return { kind: 'reset' }
    const told: unknown = JSON.parse(data)
    if (typeof told !== 'object' || told === null || typeof (told as { id?: unknown }).id !== 'number')
      return null
    if (event === 'deleted') return { kind: 'deleted', id: (told as { id: number }).id }
    return event === 'download' ? { kind: 'download', download: told as Download } : null
  } catch {
    return null
  }
}

/** Takes over what events told of submitted downloads, in their order; the same queue if nothing is new. */
export function applyChanges(queue: Queue, changes: readonly Change[]): Queue {
  const downloads = new Map(queue.downloads)
  const deleted = new Set(queue.deleted)
  let isNew = false
  for (const change of changes) {
    if (change.kind === 'deleted') {
      deleted.add(change.id)
      isNew = true
      downloads.delete(change.id)
    } else if (change.kind === 'download' && change.download.parent_id === null) {
      const { id } = change.download
      if (deleted.has(id) || !isLater(change.download, downloads.get(id))) continue
      downloads.set(id, change.download)
      isNew = true
    }
  }
  return isNew ? { ...queue, downloads, deleted } : queue
}

/**
 * Takes over a list that holds all that is active. It is merged by time; what seemed active but isn't in there has
 * ended unseen, and leaves the queue (the history shows it), if it was `known` when the list was asked for.
 */
export function applyList(
  queue: Queue,
  listed: readonly Download[],
  known: ReadonlySet<number> = new Set(queue.downloads.keys()),
): Queue {
  const downloads = new Map(queue.downloads)
  const present = new Set(listed.map((each) => each.id))
  for (const [id, each] of downloads)
    if (known.has(id) && isActive(each) && !present.has(id)) downloads.delete(id)
  for (const each of listed) {
    if (!queue.deleted.has(each.id) && isLater(each, downloads.get(each.id))) downloads.set(each.id, each)
  }
  return { ...queue, downloads, isLoaded: true }
}

/** Takes back that a download is deleted, as the service refused it. */
export function undeleted(queue: Queue, download: Download, wasShown: boolean): Queue {
  const downloads = new Map(queue.downloads)
  const deleted = new Set(queue.deleted)
  deleted.delete(download.id)
  if (wasShown) downloads.set(download.id, download)
  return { ...queue, downloads, deleted }
}

/** Whether a word on a download is the later one, or the only one. */
export function isLater(download: Download, than: Download | undefined): boolean {
  if (!than) return true
  const [one, other] = [Date.parse(download.updated_at), Date.parse(than.updated_at)]
  return one === other ? download.updated_at >= than.updated_at : one > other
}

interface Shown {
  active: Download[]
  ended: Download[]
}

/** What was submitted: running ones first, then those that wait in their order; the rest, the latest first. */
export function shown(queue: Queue): Shown {
  const submitted = [...queue.downloads.values()]
  const active = submitted
    .filter(isActive)
    .sort(
      (one, other) =>
        Number(other.status === 'in-progress') - Number(one.status === 'in-progress') || one.id - other.id,
    )
  const ended = submitted
    .filter((each) => !isActive(each))
    .sort((one, other) => endOf(other) - endOf(one) || other.id - one.id)
  return { active, ended }
}

function endOf(download: Download): number {
  return Date.parse(download.completed_at ?? download.updated_at)
}

/** Takes over what events told in a list that somebody looks at; the same list if none of it is there. */
export function patched(rows: readonly Download[], changes: readonly Change[]): readonly Download[] {
  let result = rows
  for (const change of changes) {
    if (change.kind === 'deleted' && result.some((each) => each.id === change.id)) {
      result = result.filter((each) => each.id !== change.id)
    } else if (change.kind === 'download') {
      const at = result.findIndex((each) => each.id === change.download.id)
      if (at >= 0 && isLater(change.download, result[at])) result = result.with(at, change.download)
    }
  }
  return result
}

/** The same for the tracks of a collection, which may still become more. */
export function patchedTracks(
  tracks: readonly Download[],
  parentId: number,
  changes: readonly Change[],
): readonly Download[] {
  const fresh = changes.filter(
    (change) =>
      change.kind === 'download' &&
      change.download.parent_id === parentId &&
      !tracks.some((each) => each.id === change.download.id),
  )
  const more = new Map(
    fresh.flatMap((change) =>
      change.kind === 'download' ? [[change.download.id, change.download] as const] : [],
    ),
  )
  const all = more.size ? [...tracks, ...more.values()].sort((one, other) => one.id - other.id) : tracks
  return patched(all, changes)
}
