/** Cover pictures, which need the bearer header: fetched once, kept as blobs, the longest unused given back. */

import { useEffect, useState } from 'react'
import { fetchBlob } from '../api/client'
import { session } from '../session/session'

const MOST = 300
const AFTER = 150 // milliseconds; a row that only flies past asks for nothing

interface Cover {
  /** Null where there is none. */
  url: Promise<string | null>
  wishes: number
  stopping: AbortController
  isOver: boolean
}

const kept = new Map<number, Cover>()

session.subscribe(() => {
  if (session.token()) return
  for (const id of [...kept.keys()]) drop(id)
})

function drop(id: number): void {
  const cover = kept.get(id)
  kept.delete(id)
  // Whoever still shows it has it decoded already.
  void cover?.url.then((url) => url && setTimeout(() => URL.revokeObjectURL(url), 1000))
}

function begun(id: number): Cover {
  const stopping = new AbortController()
  const url = fetchBlob(`/api/downloads/${id}/cover`, { signal: stopping.signal }).then(
    (blob) => {
      cover.isOver = true
      return blob.type.startsWith('image/') ? URL.createObjectURL(blob) : null
    },
    (error: unknown) => {
      cover.isOver = true
      const hasNone = error instanceof Error && 'status' in error && error.status === 404
      if (!hasNone && kept.get(id) === cover) kept.delete(id)
      return null
    },
  )
  const cover: Cover = { url, wishes: 0, stopping, isOver: false }
  return cover
}

/** Has a cover fetched, unless it is there or on its way. */
export function wish(id: number): Cover {
  const cover = kept.get(id) ?? begun(id)
  cover.wishes += 1
  kept.delete(id)
  kept.set(id, cover)
  for (const oldest of kept.keys()) {
    if (kept.size <= MOST) break
    drop(oldest)
  }
  return cover
}

/** Takes a wish back; what nobody wishes for any more and isn't here yet isn't waited for. */
export function unwish(id: number, cover: Cover): void {
  cover.wishes -= 1
  if (cover.wishes > 0 || cover.isOver) return
  if (kept.get(id) === cover) kept.delete(id)
  cover.stopping.abort()
}

/** The address of a download's cover; null where it has none. */
export function coverOf(id: number): Promise<string | null> {
  return wish(id).url
}

export function useCover(id: number, isThere: boolean): string | null {
  const [shown, setShown] = useState<{ id: number; url: string | null } | null>(null)
  useEffect(() => {
    if (!isThere) return
    let isWanted = true
    let cover: Cover | null = null
    let timer: ReturnType<typeof setTimeout> | undefined
    const begin = () => {
      cover = wish(id)
      void cover.url.then((url) => isWanted && setShown({ id, url }))
    }
    if (kept.has(id)) begin()
    else timer = setTimeout(begin, AFTER)
    return () => {
      isWanted = false
      clearTimeout(timer)
      if (cover) unwish(id, cover)
    }
  }, [id, isThere])
  return isThere && shown?.id === id ? shown.url : null
}
