import { ActionIcon, Skeleton } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ApiError, type Condition, client, type Health } from '../api/client'
import { atEnd } from '../show/atEnd'
import { ago, count, size } from '../show/format'
import { IconAlertTriangle, IconCircleCheck, IconCircleX, IconRefresh } from '../show/icons'
import { useNow } from '../show/now'
import { Failed } from '../show/states'
import { texts } from '../texts'
import styles from './HealthPart.module.css'
import { albumsThatFit, freeBytes, inOurWords, onScale } from './space'

const EVERY = 15_000
const ICONS = { healthy: IconCircleCheck, degraded: IconAlertTriangle, unhealthy: IconCircleX }

/** How the service is: each part, and the room that is left. */
export function HealthPart() {
  const now = useNow()
  const health = useQuery({ queryKey: ['health'], queryFn: fetchHealth, refetchInterval: EVERY })
  const [isLooking, setLooking] = useState(false)
  async function look(): Promise<void> {
    if (isLooking) return
    setLooking(true)
    await health.refetch()
    setLooking(false)
  }
  if (health.isError) return <Failed error={health.error} onRetry={() => void health.refetch()} />
  if (!health.data) return <Skeleton height={320} radius="lg" />
  const { status, checks, version } = health.data
  return (
    <>
      <div className={styles.summary} data-condition={status}>
        <Sign condition={status} size={34} />
        <div className={styles.words}>
          <h2>{texts.health.condition[status]}</h2>
          <span className={styles.about}>
            {texts.health.version(version)} ·{' '}
            {texts.health.looked(ago(new Date(health.dataUpdatedAt).toISOString(), now))}
          </span>
        </div>
        <ActionIcon
          variant="default"
          size="lg"
          aria-label={texts.health.again}
          {...atEnd(isLooking)}
          onClick={() => void look()}
        >
          <IconRefresh aria-hidden size={20} />
        </ActionIcon>
      </div>
      <ul className={styles.checks}>
        {Object.entries(checks).map(([name, check]) => (
          <li key={name} className={styles.check} data-condition={check.status}>
            <Sign condition={check.status} size={22} />
            <div className={styles.words}>
              <div className={styles.line}>
                <h3>{nameOf(name)}</h3>
                <span className={styles.short}>{texts.health.short[check.status]}</span>
              </div>
              <p>{inOurWords(check.detail)}</p>
            </div>
          </li>
        ))}
      </ul>
      {checks.storage && <Space detail={checks.storage.detail} condition={checks.storage.status} />}
    </>
  )
}

function nameOf(check: string): string {
  return (texts.health.checks as Record<string, string>)[check] ?? check
}

function Sign({ condition, size: pixels }: { condition: Condition; size: number }) {
  const Icon = ICONS[condition]
  return <Icon aria-hidden size={pixels} className={styles.sign} data-condition={condition} />
}

/** The service tells what is free, not how large the disk is: so a scale by powers of ten, and what would fit. */
function Space({ detail, condition }: { detail: string; condition: Condition }) {
  const free = freeBytes(detail)
  if (free === null) return null
  return (
    <section className={styles.space}>
      <h3>{texts.health.space}</h3>
      <div className={styles.amount}>
        <strong>{size(free)}</strong> <span>{texts.health.room(count(albumsThatFit(free)))}</span>
      </div>
      <div className={styles.gauge} role="img" aria-label={texts.health.scale(size(free))}>
        <div className={styles.fill} data-condition={condition} style={{ width: `${onScale(free)}%` }} />
      </div>
      <div className={styles.marks} aria-hidden>
        {[1e9, 1e10, 1e11, 1e12, 1e13].map((mark) => (
          <span key={mark}>{size(mark)}</span>
        ))}
      </div>
    </section>
  )
}

/** A service that is unwell says so with 503, and tells what is wrong all the same. */
async function fetchHealth(): Promise<Health> {
  let answer: Awaited<ReturnType<typeof get>>
  try {
    answer = await get()
  } catch {
    throw new ApiError(0, texts.errors.offline)
  }
  const told = answer.data ?? answer.error
  if (told && typeof told === 'object' && 'checks' in told) return told as Health
  throw new ApiError(answer.response.status, texts.errors.unexpected(answer.response.status))
}

function get() {
  return client.GET('/health')
}
