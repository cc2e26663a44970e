/** What administrators see of everybody: the names to choose from in filters, and the tracks of collections. */

import { useQuery } from '@tanstack/react-query'
import { ask, client } from '../api/client'
import { allPages, inOrder, PER_PAGE, type TracksQuery } from '../live/live'

const MOST = 100
export const EVERY = 5_000 // milliseconds; there are no events about what others do

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

/** The tracks of anybody's collection. */
export const everybodysTracks = (parentId: number): TracksQuery => ({
  queryKey: ['everybody', 'tracks', parentId],
  queryFn: async () =>
    inOrder(
      await allPages((page) => {
        const query = { parent_id: parentId, page, per_page: PER_PAGE }
        return ask(client.GET('/api/admin/downloads', { params: { query } }))
      }),
    ),
  refetchInterval: EVERY,
})
