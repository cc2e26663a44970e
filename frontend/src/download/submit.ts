/** Hands links in, a few at a time, and tells what came of each; `onTaken` hears of each that was taken. */

import type { QueryClient } from '@tanstack/react-query'
import { ApiError, askWhole, client, type Format, reason } from '../api/client'
import { tell } from '../live/live'

const AT_ONCE = 4
const NEW = 202
// No session, no service, enough in the queue, no database: the other links would only fare the same.
const FINAL = [401, 0, 429, 503]

export interface Refused {
  url: string
  reason: string
}

export interface Outcome {
  queued: number
  already: number
  refused: Refused[]
}

export async function submitAll(
  queries: QueryClient,
  urls: readonly string[],
  format: Format | undefined,
  onTaken: (url: string) => void,
): Promise<Outcome> {
  const outcome: Outcome = { queued: 0, already: 0, refused: [] }
  const waiting = [...urls]
  async function work(): Promise<void> {
    for (let url = waiting.shift(); url !== undefined; url = waiting.shift()) {
      try {
        const { data, response } = await askWhole(
          client.POST('/api/download', { body: format ? { url, format } : { url } }),
        )
        if (data) tell(queries, [{ kind: 'download', download: data }])
        if (response.status === NEW) outcome.queued += 1
        else outcome.already += 1
        onTaken(url)
      } catch (error) {
        outcome.refused.push({ url, reason: reason(error) })
        if (error instanceof ApiError && FINAL.includes(error.status))
          for (const other of waiting.splice(0)) outcome.refused.push({ url: other, reason: reason(error) })
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return outcome
}
