import { Button, CloseButton, NativeSelect, TextInput } from '@mantine/core'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { type RefObject, useMemo, useRef } from 'react'
import { Link } from 'wouter'
import { ask, client, type Status } from '../api/client'
import { useActions } from '../download/actions'
import { Rows, RowsSkeleton } from '../download/Rows'
import { keys } from '../live/live'
import { patched } from '../live/queue'
import { overtaken } from '../live/words'
import { Heading } from '../shell/Heading'
import { useAddress, useLastPage, useWords } from '../show/address'
import { IconHistory, IconSearch } from '../show/icons'
import { Pages } from '../show/Pages'
import { Empty, Failed } from '../show/states'
import { texts } from '../texts'
import { type Chosen, chosenOf, STATUSES } from './chosen'
import styles from './HistoryPage.module.css'

const PER_PAGE = 25

/** All that was ever submitted, by words, status and page; the address remembers which. */
export default function HistoryPage() {
  const [chosen, choose] = useAddress(chosenOf)
  const actions = useActions()
  const search = useRef<HTMLInputElement>(null)
  const history = useQuery({
    queryKey: [...keys.history, chosen],
    queryFn: ({ signal }) => {
      const { q, status, page } = chosen
      const query = { page, per_page: PER_PAGE, ...(q ? { q } : {}), ...(status ? { status } : {}) }
      return overtaken(
        () => ask(client.GET('/api/downloads', { params: { query }, signal })),
        (listed, changes) => ({ ...listed, downloads: [...patched(listed.downloads, changes)] }),
      )
    },
    placeholderData: keepPreviousData,
  })
  useLastPage(chosen, history.isPlaceholderData ? undefined : history.data?.pages, choose)
  const sections = useMemo(() => [{ key: 'all', downloads: history.data?.downloads ?? [] }], [history.data])
  const isFiltered = Boolean(chosen.q || chosen.status)
  // The last row of a page has gone, and those of the page before are on their way.
  const isElsewhere = !history.isError && !history.data?.downloads.length && (history.data?.total ?? 0) > 0

  function clear(): void {
    choose({ q: '', status: '', page: 1 })
    search.current?.focus()
  }

  return (
    <>
      <Heading title={texts.history.page} />
      <Filters search={search} chosen={chosen} choose={choose} total={history.data?.total} />
      {history.isError && !history.data ? (
        <Failed error={history.error} onRetry={() => void history.refetch()} />
      ) : !history.data || isElsewhere ? (
        <RowsSkeleton count={8} />
      ) : !history.data.downloads.length ? (
        isFiltered ? (
          <Empty icon={IconSearch} title={texts.history.noneTitle} text={texts.history.none}>
            <Button variant="light" onClick={clear}>
              {texts.history.clear}
            </Button>
          </Empty>
        ) : (
          <Empty icon={IconHistory} title={texts.history.emptyTitle} text={texts.history.empty}>
            <Button component={Link} href="/">
              {texts.history.emptyAction}
            </Button>
          </Empty>
        )
      ) : (
        <>
          <Rows
            key={`${chosen.page} ${chosen.status} ${chosen.q}`}
            label={texts.history.page}
            sections={sections}
            actions={actions}
          />
          <Pages
            page={chosen.page}
            pages={history.data.pages}
            onPage={(page) => choose({ ...chosen, page })}
          />
        </>
      )}
    </>
  )
}

function Filters({
  search,
  chosen,
  choose,
  total,
}: {
  search: RefObject<HTMLInputElement | null>
  chosen: Chosen
  choose: (next: Chosen, how?: { replace: boolean }) => void
  total: number | undefined
}) {
  const [words, setWords] = useWords(chosen.q, (q, how) => choose({ ...chosen, q, page: 1 }, how))

  function clear(): void {
    setWords('')
    search.current?.focus()
  }

  return (
    <div className={styles.filters} role="search">
      <TextInput
        ref={search}
        className={styles.search}
        aria-label={texts.history.search}
        placeholder={texts.history.search}
        value={words}
        onChange={(event) => setWords(event.currentTarget.value)}
        leftSection={<IconSearch aria-hidden size={18} />}
        rightSection={
          words ? <CloseButton size="sm" aria-label={texts.history.clearSearch} onClick={clear} /> : null
        }
        maxLength={200}
        type="search"
      />
      <NativeSelect
        aria-label={texts.history.status}
        value={chosen.status}
        onChange={(event) => choose({ ...chosen, status: event.currentTarget.value as Status | '', page: 1 })}
        data={[
          { value: '', label: texts.history.all },
          ...STATUSES.map((value) => ({ value, label: texts.item.status[value] })),
        ]}
      />
      <span className={styles.total} role="status">
        {total === undefined ? '' : texts.history.total(total)}
      </span>
    </div>
  )
}
