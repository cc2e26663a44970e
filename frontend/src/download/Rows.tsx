import { Skeleton } from '@mantine/core'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { type ReactNode, useCallback, useLayoutEffect, useMemo, useRef, useState } from 'react'
import type { Download } from '../api/client'
import { useUnfolded } from '../live/live'
import { texts } from '../texts'
import type { Actions } from './actions'
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
  | { kind: 'row'; key: string; download: Download; isTrack: boolean }
  | { kind: 'wait' | 'empty'; key: string }

interface RowsProps {
  label: string
  sections: readonly Section[]
  actions: Actions | null
  /** Whose a download is, where that has to be told. */
  ownerOf?: (download: Download) => string
  /** Whether collections can be unfolded. */
  canUnfold?: boolean
}

/** A list of downloads of any length: only what can be seen is there. */
export function Rows({ label, sections, actions, ownerOf, canUnfold = true }: RowsProps) {
  const [unfolded, setUnfolded] = useState<readonly number[]>([])
  const [detailed, setDetailed] = useState<ReadonlySet<number>>(new Set())
  const [removing, setRemoving] = useState<Download | null>(null)
  const tracks = useUnfolded(unfolded)
  const items = useMemo(() => flattened(sections, unfolded, tracks), [sections, unfolded, tracks])
  const place = useRef<HTMLDivElement>(null)
  const [margin, setMargin] = useState(0)

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
      >
        {virtualizer.getVirtualItems().map((virtual) => {
          const item = items[virtual.index]
          if (!item) return null
          return (
            <div
              key={virtual.key}
              ref={virtualizer.measureElement}
              data-index={virtual.index}
              role="listitem"
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
                  onFold={canUnfold ? onFold : null}
                  onDetails={onDetails}
                  onRemove={setRemoving}
                />
              ) : item.kind === 'heading' ? (
                item.heading
              ) : item.kind === 'empty' ? (
                <div className={styles.empty}>{texts.item.empty}</div>
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
  tracks: ReadonlyMap<number, readonly Download[] | undefined>,
): Item[] {
  const items: Item[] = []
  for (const section of sections) {
    if (section.heading) items.push({ kind: 'heading', key: section.key, heading: section.heading })
    for (const download of section.downloads) {
      items.push({ kind: 'row', key: `${download.id}`, download, isTrack: false })
      if (download.kind !== 'collection' || !unfolded.includes(download.id)) continue
      const known = tracks.get(download.id)
      if (!known) items.push({ kind: 'wait', key: `${download.id} wait` })
      else if (!known.length) items.push({ kind: 'empty', key: `${download.id} empty` })
      for (const track of known ?? [])
        items.push({ kind: 'row', key: `${track.id}`, download: track, isTrack: true })
    }
  }
  return items
}

export function RowSkeleton() {
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
