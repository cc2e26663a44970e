import { NativeSelect, TextInput } from '@mantine/core'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { type AuditEntry, ask, client } from '../api/client'
import { RowsSkeleton } from '../download/Rows'
import { useAddress, useLastPage } from '../show/address'
import { instant, size } from '../show/format'
import { IconListDetails } from '../show/icons'
import { Pages } from '../show/Pages'
import { Empty, Failed } from '../show/states'
import { texts } from '../texts'
import { type ChosenEntries, chosenEntries } from './chosen'
import { useNames } from './everybody'
import styles from './table.module.css'

const PER_PAGE = 50
const LAST_DAY = '9998-12-31' // years of five digits are no RFC 3339
const { audit: words } = texts

/** The audit log, newest first, with filters. */
export default function AuditPart() {
  const [chosen, choose] = useAddress(chosenEntries)
  const entries = useQuery({
    queryKey: ['audit', chosen],
    queryFn: ({ signal }) =>
      ask(
        client.GET('/api/admin/audit-logs', {
          params: { query: { page: chosen.page, per_page: PER_PAGE, ...queryOf(chosen) } },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
  })
  useLastPage(chosen, entries.isPlaceholderData ? undefined : entries.data?.pages, choose)
  return (
    <>
      <Choice filters={chosen} onChange={(next, how) => choose({ ...next, page: 1 }, how)} />
      {entries.isError && !entries.data ? (
        <Failed error={entries.error} onRetry={() => void entries.refetch()} />
      ) : !entries.data ? (
        <RowsSkeleton />
      ) : entries.data.audit_logs.length ? (
        <>
          <Entries entries={entries.data.audit_logs} />
          <Pages
            page={chosen.page}
            pages={entries.data.pages}
            onPage={(page) => choose({ ...chosen, page })}
          />
        </>
      ) : (
        <Empty icon={IconListDetails} title={words.noneTitle} text={words.none} />
      )}
    </>
  )
}

/** Days as they are here, whatever zone that is. */
function queryOf({ user, action, since, until }: ChosenEntries) {
  const end = until ? new Date(`${until}T00:00`) : null
  end?.setDate(end.getDate() + 1)
  return {
    ...(user ? { user_id: Number(user) } : {}),
    ...(action ? { action } : {}),
    ...(since ? { since: new Date(`${since}T00:00`).toISOString() } : {}),
    ...(end ? { until: end.toISOString() } : {}),
  }
}

function Choice({
  filters,
  onChange,
}: {
  filters: ChosenEntries
  onChange: (next: ChosenEntries, how?: { replace: boolean }) => void
}) {
  const names = useNames()
  // A year is typed digit by digit, and each is a day already.
  const typing = { replace: true }
  return (
    <div className={styles.filters} role="search">
      <NativeSelect
        label={words.user}
        value={filters.user}
        onChange={(event) => onChange({ ...filters, user: event.currentTarget.value })}
        data={[{ value: '', label: texts.everybody.allUsers }, ...names]}
      />
      <NativeSelect
        label={words.action}
        value={filters.action}
        onChange={(event) => onChange({ ...filters, action: event.currentTarget.value })}
        data={[
          { value: '', label: texts.history.all },
          ...Object.entries(words.actions).map(([value, label]) => ({ value, label })),
        ]}
      />
      <TextInput
        label={words.since}
        type="date"
        max={LAST_DAY}
        value={filters.since}
        onChange={(event) => onChange({ ...filters, since: event.currentTarget.value }, typing)}
      />
      <TextInput
        label={words.until}
        type="date"
        max={LAST_DAY}
        value={filters.until}
        onChange={(event) => onChange({ ...filters, until: event.currentTarget.value }, typing)}
      />
    </div>
  )
}

function Entries({ entries }: { entries: AuditEntry[] }) {
  return (
    <table className={styles.table}>
      <caption className={styles.caption}>{words.caption}</caption>
      <thead>
        <tr>
          <th scope="col">{words.when}</th>
          <th scope="col">{words.who}</th>
          <th scope="col">{words.what}</th>
          <th scope="col">{words.outcome}</th>
          <th scope="col">{words.where}</th>
        </tr>
      </thead>
      <tbody>
        {entries.map((entry) => (
          <tr key={entry.id}>
            <td data-label={words.when}>
              <time dateTime={entry.created_at}>{instant(entry.created_at)}</time>
            </td>
            <td data-label={words.who}>
              {entry.username ?? (entry.ip_address ? words.nobody : words.service)}
            </td>
            <td>
              <div className={styles.what}>
                {(words.actions as Record<string, string>)[entry.action] ?? entry.action}
              </div>
              <div className={styles.dim}>
                {[entry.resource, ...factsOf(entry)].filter(Boolean).join(' · ')}
              </div>
            </td>
            <td data-label={words.outcome} className={styles.outcome} data-outcome={entry.outcome}>
              {words.outcomes[entry.outcome]}
            </td>
            <td data-label={words.where} title={entry.user_agent ?? undefined}>
              {entry.ip_address ?? ''}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function factsOf(entry: AuditEntry): string[] {
  return Object.entries(entry.details)
    .filter(([name, value]) => name !== 'request_id' && value !== null && value !== '')
    .map(([name, value]) => `${name.replaceAll('_', ' ')}: ${factOf(name, value)}`)
}

function factOf(name: string, value: unknown): string {
  if (name === 'size' && typeof value === 'number') return size(value)
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
