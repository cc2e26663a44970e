import { Skeleton } from '@mantine/core'
import { defaultRangeExtractor, type Range, useWindowVirtualizer } from '@tanstack/react-virtual'
import { type ReactNode, useCallback, useLayoutEffect, useMemo, useRef, useState } from 'react'
import type { Download } from '../api/client'
import { ownTracks, type Tracks, type TracksQuery, useUnfolded } from '../live/live'
import { Failed } from '../show/states'
import { texts } from '../texts'
import type { Actions } from './actions'
import { useKeptFocus } from './focus'
import { RemoveDialog } from './RemoveDialog'
import { Row } from './Row'
import styles from './Rows.module.css'

const ROW = 64
const OVERSCAN = 8

export interface Section {
  key: string
  heading?: ReactNode
  downloads: readonly Download[]
}

type Item =
  | { kind: 'heading'; key: string; heading: ReactNode }
  | { kind: 'row'; key: string; download: Download; isTrack: boolean; at: number; of: number }
  | { kind: 'wait' | 'empty'; key: string }
  | { kind: 'failed'; key: string; error: unknown; again: () => void }

interface RowsProps {
  label: string
  sections: readonly Section[]
  actions: Actions | null
  /** Whose a download is, where that has to be told. */
  ownerOf?: (download: Download) => string
  /** How the tracks of an unfolded collection are had; one's own, unless told otherwise. */
  tracksOf?: (id: number) => TracksQuery
}

/** A list of downloads of any length: only what can be seen is there. */
export function Rows({ label, sections, actions, ownerOf, tracksOf = ownTracks }: RowsProps) {
  const [unfolded, setUnfolded] = useState<readonly number[]>([])
  const [detailed, setDetailed] = useState<ReadonlySet<number>>(new Set())
  const [removing, setRemoving] = useState<Download | null>(null)
  const tracks = useUnfolded(unfolded, tracksOf)
  const items = useMemo(() => flattened(sections, unfolded, tracks), [sections, unfolded, tracks])
  const place = useRef<HTMLDivElement>(null)
  const [margin, setMargin] = useState(0)
  const { held, onFocus, onBlur } = useKeptFocus(place, removing !== null)

  useLayoutEffect(() => {
    const measure = () => setMargin((place.current?.getBoundingClientRect().top ?? 0) + window.scrollY)
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(document.body)
    return () => observer.disconnect()
  }, [])

  const virtualizer = useWindowVirtualizer({
    count: items.length,
    estimateSize: () => ROW,
    overscan: OVERSCAN,
    scrollMargin: margin,
    getItemKey: (index) => items[index]?.key ?? index,
    rangeExtractor: (range) => withHeld(range, held.current?.index),
  })

  const onFold = useCallback((id: number) => {
    setUnfolded((now) => (now.includes(id) ? now.filter((each) => each !== id) : [...now, id]))
  }, [])
  const onDetails = useCallback((id: number) => {
    setDetailed((now) => {
      const next = new Set(now)
      if (!next.delete(id)) next.add(id)
      return next
    })
  }, [])

  return (
    <>
      <div
        ref={place}
        role="list"
        aria-label={label}
        className={styles.rows}
        style={{ height: virtualizer.getTotalSize() }}
        onFocus={onFocus}
        onBlur={onBlur}
      >
        {virtualizer.getVirtualItems().map((virtual) => {
          const item = items[virtual.index]
          if (!item) return null
          return (
            <div
              key={virtual.key}
              ref={virtualizer.measureElement}
              data-index={virtual.index}
              data-key={item.key}
              data-kind={item.kind}
              tabIndex={-1}
              role="listitem"
              {...placeOf(item)}
              className={styles.item}
              style={{ transform: `translateY(${virtual.start - virtualizer.options.scrollMargin}px)` }}
            >
              {item.kind === 'row' ? (
                <Row
                  download={item.download}
                  actions={actions}
                  isTrack={item.isTrack}
                  isUnfolded={unfolded.includes(item.download.id)}
                  isDetailed={detailed.has(item.download.id)}
                  owner={ownerOf?.(item.download)}
                  onFold={onFold}
                  onDetails={onDetails}
                  onRemove={setRemoving}
                />
              ) : item.kind === 'heading' ? (
                item.heading
              ) : item.kind === 'empty' ? (
                <div className={styles.empty}>{texts.item.empty}</div>
              ) : item.kind === 'failed' ? (
                <Failed error={item.error} onRetry={item.again} />
              ) : (
                <RowSkeleton />
              )}
            </div>
          )
        })}
      </div>
      {actions && removing ? (
        <RemoveDialog download={removing} onClose={() => setRemoving(null)} onRemove={actions.remove} />
      ) : null}
    </>
  )
}

function flattened(
  sections: readonly Section[],
  unfolded: readonly number[],
  tracks: ReadonlyMap<number, Tracks>,
): Item[] {
  const items: Item[] = []
  const add = (downloads: readonly Download[], isTrack: boolean) => {
    downloads.forEach((download, index) => {
      items.push({
        kind: 'row',
        key: `${download.id}`,
        download,
        isTrack,
        at: index + 1,
        of: downloads.length,
      })
      if (isTrack || download.kind !== 'collection' || !unfolded.includes(download.id)) return
      const known = tracks.get(download.id)
      if (known?.list?.length) add(known.list, true)
      else if (known?.list) items.push({ kind: 'empty', key: `${download.id} empty` })
      else if (known?.error)
        items.push({ kind: 'failed', key: `${download.id} failed`, error: known.error, again: known.again })
      else items.push({ kind: 'wait', key: `${download.id} wait` })
    })
  }
  for (const section of sections) {
    if (section.heading) items.push({ kind: 'heading', key: section.key, heading: section.heading })
    add(section.downloads, false)
  }
  return items
}

/** Where a row stands, since those before and after it may not be in the page: among its section, or its album. */
function placeOf(item: Item): { 'aria-setsize'?: number; 'aria-posinset'?: number; 'aria-level'?: number } {
  if (item.kind !== 'row') return {}
  return { 'aria-setsize': item.of, 'aria-posinset': item.at, 'aria-level': item.isTrack ? 2 : 1 }
}

function withHeld(range: Range, index: number | undefined): number[] {
  const seen = defaultRangeExtractor(range)
  if (index === undefined || index >= range.count || seen.includes(index)) return seen
  return [...seen, index].sort((one, other) => one - other)
}

function RowSkeleton() {
  return (
    <div className={styles.skeleton} aria-hidden>
      <Skeleton width={48} height={48} radius={8} />
      <div>
        <Skeleton height={14} width="45%" mb={10} />
        <Skeleton height={11} width="70%" />
      </div>
    </div>
  )
}

/** Stands in for a list that is on its way. */
export function RowsSkeleton({ count = 6 }: { count?: number }) {
  return (
    <div role="status" aria-label={texts.common.loading}>
      {Array.from({ length: count }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike
        <RowSkeleton key={index} />
      ))}
    </div>
  )
}
