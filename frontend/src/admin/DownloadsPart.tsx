import { NativeSelect, TextInput } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useMemo, useState } from 'react'
import { ask, client, type Download, type OwnedDownload, type Status } from '../api/client'
import { Rows, RowsSkeleton } from '../download/Rows'
import { STATUSES } from '../history/chosen'
import { IconSearch } from '../show/icons'
import { Pages } from '../show/Pages'
import { Empty, Failed } from '../show/states'
import { texts } from '../texts'
import { EVERY, everybodysTracks, useNames } from './everybody'
import styles from './table.module.css'

const PER_PAGE = 25

const ownerOf = (download: Download): string =>
  'username' in download ? texts.everybody.by((download as OwnedDownload).username) : ''

/** Everybody's downloads, to look at; each belongs to whoever submitted it. */
export default function DownloadsPart() {
  const names = useNames()
  const [user, setUser] = useState('')
  const [status, setStatus] = useState<Status | ''>('')
  const [words, setWords] = useState('')
  const [page, setPage] = useState(1)
  const [q] = useDebouncedValue(words.trim(), 250)
  const downloads = useQuery({
    queryKey: ['everybody', { user, status, q, page }],
    queryFn: ({ signal }) => {
      const query = {
        page,
        per_page: PER_PAGE,
        ...(user ? { user_id: Number(user) } : {}),
        ...(status ? { status } : {}),
        ...(q ? { q } : {}),
      }
      return ask(client.GET('/api/admin/downloads', { params: { query }, signal }))
    },
    placeholderData: keepPreviousData,
    refetchInterval: EVERY,
  })
  const sections = useMemo(
    () => [{ key: 'all', downloads: downloads.data?.downloads ?? [] }],
    [downloads.data],
  )
  const anew =
    <T,>(set: (value: T) => void) =>
    (value: T) => {
      set(value)
      setPage(1)
    }
  return (
    <>
      <div className={styles.filters} role="search">
        <TextInput
          aria-label={texts.history.search}
          placeholder={texts.history.search}
          type="search"
          leftSection={<IconSearch aria-hidden size={18} />}
          maxLength={200}
          value={words}
          onChange={(event) => anew(setWords)(event.currentTarget.value)}
        />
        <NativeSelect
          aria-label={texts.everybody.user}
          value={user}
          onChange={(event) => anew(setUser)(event.currentTarget.value)}
          data={[{ value: '', label: texts.everybody.allUsers }, ...names]}
        />
        <NativeSelect
          aria-label={texts.history.status}
          value={status}
          onChange={(event) => anew(setStatus)(event.currentTarget.value as Status | '')}
          data={[
            { value: '', label: texts.history.all },
            ...STATUSES.map((value) => ({ value, label: texts.item.status[value] })),
          ]}
        />
      </div>
      {downloads.isError && !downloads.data ? (
        <Failed error={downloads.error} onRetry={() => void downloads.refetch()} />
      ) : !downloads.data ? (
        <RowsSkeleton />
      ) : downloads.data.downloads.length ? (
        <>
          <Rows
            label={texts.admin.downloads}
            sections={sections}
            actions={null}
            ownerOf={ownerOf}
            tracksOf={everybodysTracks}
          />
          <Pages page={page} pages={downloads.data.pages} onPage={setPage} />
        </>
      ) : (
        <Empty icon={IconSearch} title={texts.everybody.noneTitle} text={texts.everybody.none} />
      )}
    </>
  )
}
