/**
 * The last word on each download, for about a minute: a list that was under way when it came may be older, and
 * would undo it.
 */

import { type Change, isLater } from './queue'

const KEPT = 60_000 // milliseconds; no list is under way for longer

interface Word {
  change: Exclude<Change, { kind: 'reset' }>
  order: number
  at: number
}

const last = new Map<number, Word>()
let order = 0

export const words = {
  remember(changes: readonly Change[], now = Date.now()): void {
    for (const change of changes) {
      if (change.kind === 'reset') continue
      const id = change.kind === 'deleted' ? change.id : change.download.id
      const before = last.get(id)?.change
      if (change.kind === 'download' && before) {
        if (before.kind === 'deleted' || !isLater(change.download, before.download)) continue
      }
      last.delete(id) // so that the oldest stand first
      order += 1
      last.set(id, { change, order, at: now })
    }
    for (const [id, { at }] of last) {
      if (now - at <= KEPT) break
      last.delete(id)
    }
  },
  /** Takes back what turned out not to be so. */
  forget: (id: number): void => void last.delete(id),
  clear: (): void => last.clear(),
  /** Where the words stand, to ask later for those since. */
  mark: (): number => order,
  since: (mark: number): readonly Change[] =>
    [...last.values()].filter((word) => word.order > mark).map((word) => word.change),
}

/** Asks for a list and has what was told while it was under way put on top, which it may be too old to hold. */
export async function overtaken<T>(
  list: () => Promise<T>,
  put: (listed: T, changes: readonly Change[]) => T,
): Promise<T> {
  const mark = words.mark()
  return put(await list(), words.since(mark))
}
