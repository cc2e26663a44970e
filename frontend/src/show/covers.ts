/** Cover pictures, which need the bearer header: fetched once, kept as blobs, the longest unused given back. */

import { useEffect, useState } from 'react'
import { fetchBlob } from '../api/client'
import { session } from '../session/session'

const MOST = 300

const kept = new Map<number, Promise<string | null>>()

session.subscribe(() => {
  if (session.token()) return
  for (const id of [...kept.keys()]) drop(id)
})

function drop(id: number): void {
  const cover = kept.get(id)
  kept.delete(id)
  // Whoever still shows it has it decoded already.
  void cover?.then((url) => url && setTimeout(() => URL.revokeObjectURL(url), 1000))
}

/** The address of a download's cover; null where it has none. */
export function coverOf(id: number): Promise<string | null> {
  let cover = kept.get(id)
  kept.delete(id)
  cover ??= fetchBlob(`/api/downloads/${id}/cover`).then(
    (blob) => (blob.type.startsWith('image/') ? URL.createObjectURL(blob) : null),
    (error: unknown) => {
      if (!(error instanceof Error && 'status' in error && error.status === 404)) kept.delete(id)
      return null
    },
  )
  kept.set(id, cover)
  for (const oldest of kept.keys()) {
    if (kept.size <= MOST) break
    drop(oldest)
  }
  return cover
}

export function useCover(id: number, isThere: boolean): string | null {
  const [cover, setCover] = useState<{ id: number; url: string | null } | null>(null)
  useEffect(() => {
    if (!isThere) return
    let isWanted = true
    void coverOf(id).then((url) => isWanted && setCover({ id, url }))
    return () => {
      isWanted = false
    }
  }, [id, isThere])
  return isThere && cover?.id === id ? cover.url : null
}
