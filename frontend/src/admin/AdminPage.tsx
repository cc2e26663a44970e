import { Link } from 'wouter'
import { RowsSkeleton } from '../download/Rows'
import { useMe } from '../session/account'
import { Heading } from '../shell/Heading'
import { MissingPage } from '../shell/MissingPage'
import { IconDownload, IconHeartbeat, IconListDetails, IconUsers } from '../show/icons'
import { part } from '../show/part'
import { Failed } from '../show/states'
import { texts } from '../texts'
import styles from './AdminPage.module.css'
import { HealthPart } from './HealthPart'

const UsersPart = part(() => import('./UsersPart'))
const DownloadsPart = part(() => import('./DownloadsPart'))
const AuditPart = part(() => import('./AuditPart'))

const PARTS = {
  health: { label: texts.admin.health, icon: IconHeartbeat, part: HealthPart },
  users: { label: texts.admin.users, icon: IconUsers, part: UsersPart },
  downloads: { label: texts.admin.downloads, icon: IconDownload, part: DownloadsPart },
  audit: { label: texts.admin.audit, icon: IconListDetails, part: AuditPart },
}

/** What administrators see. The service itself refuses everybody else. */
export default function AdminPage({ part }: { part: string }) {
  const me = useMe()
  if (me.isPending) return <RowsSkeleton />
  if (!me.data) {
    // Whoever can't be asked who they are may still see how the service is: that needs no token.
    return (
      <>
        <Heading title={texts.admin.page} />
        <Failed error={me.error} onRetry={() => void me.refetch()} />
        {part === 'health' && <HealthPart />}
      </>
    )
  }
  if (!me.data.is_admin) return <Heading title={texts.admin.forbidden} />
  if (!(part in PARTS)) return <MissingPage />
  const Part = PARTS[part as keyof typeof PARTS].part
  return (
    <>
      <Heading title={texts.admin.page} />
      <nav className={styles.tabs} aria-label={texts.admin.tabs}>
        {Object.entries(PARTS).map(([name, { label, icon: Icon }]) => (
          <Link
            key={name}
            href={`/admin/${name}`}
            className={styles.tab}
            aria-current={name === part ? 'page' : undefined}
          >
            <Icon aria-hidden size={18} stroke={1.7} /> {label}
          </Link>
        ))}
      </nav>
      <Part />
    </>
  )
}
