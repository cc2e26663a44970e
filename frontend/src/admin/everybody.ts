/** The names to choose from in filters. */

import { useQuery } from '@tanstack/react-query'
import { ask, client } from '../api/client'

const MOST = 100

/** The newest accounts, by name; a household has no more. */
export function useNames(): { value: string; label: string }[] {
  const users = useQuery({
    queryKey: ['users', 'names'],
    queryFn: () => ask(client.GET('/api/admin/users', { params: { query: { per_page: MOST } } })),
    staleTime: 60_000,
  })
  return (users.data?.users ?? [])
    .map((user) => ({ value: String(user.id), label: user.username }))
    .sort((one, other) => one.label.localeCompare(other.label))
}
