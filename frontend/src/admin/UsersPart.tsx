import '@mantine/core/styles/Badge.css'
import '@mantine/core/styles/InlineInput.css'
import '@mantine/core/styles/Switch.css'
import { Badge, Group, Switch } from '@mantine/core'
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query'
import { Suspense, useState } from 'react'
import { ask, client, type User } from '../api/client'
import { RowsSkeleton } from '../download/Rows'
import { useMe } from '../session/account'
import { moment } from '../show/format'
import { Moment } from '../show/Moment'
import { Pages } from '../show/Pages'
import { part } from '../show/part'
import { Failed } from '../show/states'
import { toast } from '../show/toast'
import { texts } from '../texts'
import styles from './table.module.css'

const Dialog = part(() => import('../show/Dialog'))

const PER_PAGE = 25
const { users: words } = texts

type Wish = { user: User; change: { is_active?: boolean; is_admin?: boolean } }

/** All accounts, and what may be changed about them. */
export default function UsersPart() {
  const queries = useQueryClient()
  const me = useMe()
  const [page, setPage] = useState(1)
  const [asked, setAsked] = useState<Wish | null>(null)
  const users = useQuery({
    queryKey: ['users', page],
    queryFn: () => ask(client.GET('/api/admin/users', { params: { query: { page, per_page: PER_PAGE } } })),
    placeholderData: keepPreviousData,
  })
  if (users.isError && !users.data) return <Failed error={users.error} onRetry={() => void users.refetch()} />
  if (!users.data) return <RowsSkeleton />

  async function change({ user, change: body }: Wish): Promise<void> {
    setAsked(null)
    try {
      await ask(client.PATCH('/api/admin/users/{user_id}', { params: { path: { user_id: user.id } }, body }))
      toast.done(words.changed(user.username))
    } catch (error) {
      toast.failed(error)
    }
    await queries.invalidateQueries({ queryKey: ['users'] })
    if (user.id === me.data?.id) await queries.invalidateQueries({ queryKey: ['me'] })
  }

  function wish(next: Wish): void {
    const isGrave =
      next.change.is_active === false || (next.change.is_admin === false && next.user.id === me.data?.id)
    if (isGrave) setAsked(next)
    else void change(next)
  }

  return (
    <>
      <table className={styles.table} data-kind="users">
        <caption className={styles.caption}>{words.caption}</caption>
        <thead>
          <tr>
            <th scope="col">{words.user}</th>
            <th scope="col">{words.lastLogin}</th>
            <th scope="col">{words.active}</th>
            <th scope="col">{words.admin}</th>
          </tr>
        </thead>
        <tbody>
          {users.data.users.map((user) => (
            <tr key={user.id}>
              <th scope="row">
                <Group gap="xs">
                  <strong>{user.username}</strong>
                  {user.id === me.data?.id && (
                    <Badge variant="light" tt="none">
                      {words.you}
                    </Badge>
                  )}
                </Group>
                <div className={styles.dim}>{user.email}</div>
                <div className={styles.dim}>{words.joined(moment(user.created_at))}</div>
              </th>
              <td data-label={words.lastLogin}>
                {user.last_login ? <Moment at={user.last_login} /> : words.never}
              </td>
              <td data-label={words.active}>
                <Switch
                  aria-label={words.activeOf(user.username)}
                  checked={user.is_active}
                  onChange={(event) => wish({ user, change: { is_active: event.currentTarget.checked } })}
                />
              </td>
              <td data-label={words.admin}>
                <Switch
                  aria-label={words.adminOf(user.username)}
                  checked={user.is_admin}
                  onChange={(event) => wish({ user, change: { is_admin: event.currentTarget.checked } })}
                />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Pages page={page} pages={users.data.pages} onPage={setPage} />
      {asked ? (
        <Sure asked={asked} onClose={() => setAsked(null)} onSure={(next) => void change(next)} />
      ) : null}
    </>
  )
}

function Sure({
  asked,
  onClose,
  onSure,
}: {
  asked: Wish
  onClose: () => void
  onSure: (wish: Wish) => void
}) {
  const isDeactivation = asked.change.is_active === false
  return (
    <Suspense>
      <Dialog
        title={isDeactivation ? words.deactivateTitle(asked.user.username) : words.selfTitle}
        text={isDeactivation ? words.deactivate : words.self}
        keep={words.keep}
        confirm={isDeactivation ? words.deactivateDo : words.selfDo}
        onClose={onClose}
        onConfirm={() => onSure(asked)}
      />
    </Suspense>
  )
}
