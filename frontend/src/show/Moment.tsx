import { ago, moment } from './format'
import { useNow } from './now'

/** A moment in words, in the reader's zone; in full where one looks closer. */
export function Moment({ at }: { at: string }) {
  const now = useNow()
  return (
    <time dateTime={at} title={moment(at)}>
      {ago(at, now)}
    </time>
  )
}
