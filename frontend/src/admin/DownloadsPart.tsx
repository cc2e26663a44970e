import { NativeSelect, TextInput } from '@mantine/core'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { ask, client, type Download, type OwnedDownload, type Status } from '../api/client'
import { Rows, RowsSkeleton } from '../download/Rows'
import { STATUSES } from '../history/chosen'
import { useAddress, useLastPage, useWords } from '../show/address'
import { IconSearch } from '../show/icons'
import { Pages } from '../show/Pages'
import { Empty, Failed } from '../show/states'
import { texts } from '../texts'
import { chosenOfAll } from './chosen'
import { EVERY, everybodysTracks, useNames } from './everybody'
import styles from './table.module.css'

const PER_PAGE = 25

const ownerOf = (download: Download): string =>
  'username' in download ? texts.everybody.by((download as OwnedDownload).username) : ''

/** Everybody's downloads, to look at; each belongs to whoever submitted it. */
export default function DownloadsPart() {
  const names = useNames()
  const [chosen, choose] = useAddress(chosenOfAll)
  const [words, setWords] = useWords(chosen.q, (q, how) => choose({ ...chosen, q, page: 1 }, how))
  const { user, status, q, page } = chosen
  const downloads = useQuery({
    queryKey: ['everybody', chosen],
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
  useLastPage(chosen, downloads.isPlaceholderData ? undefined : downloads.data?.pages, choose)
  const sections = useMemo(
    () => [{ key: 'all', downloads: downloads.data?.downloads ?? [] }],
    [downloads.data],
  )
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
          onChange={(event) => setWords(event.currentTarget.value)}
        />
        <NativeSelect
          aria-label={texts.everybody.user}
          value={user}
          onChange={(event) => choose({ ...chosen, user: event.currentTarget.value, page: 1 })}
          data={[{ value: '', label: texts.everybody.allUsers }, ...names]}
        />
        <NativeSelect
          aria-label={texts.history.status}
          value={status}
          onChange={(event) =>
            choose({ ...chosen, status: event.currentTarget.value as Status | '', page: 1 })
          }
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
          <Pages page={page} pages={downloads.data.pages} onPage={(page) => choose({ ...chosen, page })} />
        </>
      ) : (
        <Empty icon={IconSearch} title={texts.everybody.noneTitle} text={texts.everybody.none} />
      )}
    </>
  )
}
