import { Button } from '@mantine/core'
import { Suspense, useMemo, useRef, useState } from 'react'
import { Link } from 'wouter'
import type { Download } from '../api/client'
import { useQueue } from '../live/live'
import { EMPTY, shown } from '../live/queue'
import { Heading } from '../shell/Heading'
import { count } from '../show/format'
import { IconCircleCheck, IconLink } from '../show/icons'
import { part } from '../show/part'
import { Empty, Failed } from '../show/states'
import { texts } from '../texts'
import { type Actions, useActions } from './actions'
import { Box } from './Box'
import styles from './DownloadPage.module.css'
import { Rows, RowsSkeleton, type Section } from './Rows'

const Dialog = part(() => import('../show/Dialog'))

const MOST_ENDED = 30
const ACTIVE = 'active'

/** The first page: the box, and what becomes of the links below it. */
export default function DownloadPage() {
  return (
    <>
      <Heading title={texts.download.page} isHidden />
      <Box />
      <LiveQueue />
    </>
  )
}

function LiveQueue() {
  const queue = useQueue()
  const actions = useActions()
  const { active, ended } = useMemo(() => shown(queue.data ?? EMPTY), [queue.data])
  const sections = useMemo(() => sectionsOf(active, ended, actions), [active, ended, actions])
  if (!queue.data?.isLoaded) {
    if (queue.isError) return <Failed error={queue.error} onRetry={() => void queue.refetch()} />
    return <RowsSkeleton />
  }
  if (!active.length && !ended.length) {
    return <Empty icon={IconLink} title={texts.download.emptyTitle} text={texts.download.empty} />
  }
  return <Rows label={texts.download.active} sections={sections} actions={actions} />
}

function sectionsOf(active: Download[], ended: Download[], actions: Actions): Section[] {
  const isDone = ended[0]?.status === 'completed'
  const sections: Section[] = [
    {
      key: ACTIVE,
      heading: (
        <div className={styles.heading}>
          <h2>{texts.download.active}</h2>
          {active.length > 0 && <span className={styles.count}>{count(active.length)}</span>}
          {active.length > 1 && <CancelAll active={active} actions={actions} />}
          {!active.length && (
            <p className={styles.idle}>
              {isDone && <IconCircleCheck aria-hidden size={18} />}
              {isDone ? texts.download.done : texts.download.idle}
            </p>
          )}
        </div>
      ),
      downloads: active,
    },
  ]
  if (ended.length) {
    sections.push({
      key: 'ended',
      heading: (
        <div className={styles.heading}>
          <h2>{texts.download.ended}</h2>
          <Link href="/history" className={styles.all}>
            {texts.download.allEnded}
          </Link>
        </div>
      ),
      downloads: ended.slice(0, MOST_ENDED),
    })
  }
  return sections
}

function CancelAll({ active, actions }: { active: Download[]; actions: Actions }) {
  const [isAsking, setAsking] = useState(false)

  const stopping = useRef<AbortController>(null)

  function cancelAll(): Promise<void> {
    stopping.current = new AbortController()
    // The newest first, so that none begins while others are cancelled.
    return actions.cancelAll([...active].reverse(), stopping.current.signal)
  }

  function close(): void {
    stopping.current?.abort()
    setAsking(false)
  }

  return (
    <>
      <Button variant="subtle" size="compact-sm" color="gray" onClick={() => setAsking(true)}>
        {texts.download.cancelAll}
      </Button>
      {isAsking ? (
        <Suspense>
          <Dialog
            title={texts.download.cancelAllAsk(active.length)}
            text={texts.download.cancelAllHint}
            keep={texts.download.keepAll}
            confirm={texts.download.cancelAll}
            otherwise={() => document.querySelector<HTMLElement>(`[data-key=${ACTIVE}]`)}
            onClose={close}
            onConfirm={cancelAll}
          />
        </Suspense>
      ) : null}
    </>
  )
}
