import { Anchor } from '@mantine/core'
import type { ReactNode } from 'react'
import type { Download } from '../api/client'
import { count, length, moment, size } from '../show/format'
import { texts } from '../texts'
import styles from './Details.module.css'

/** All that is known of a download. */
export function Details({ download }: { download: Download }) {
  const { details } = texts
  const audio = [
    download.codec?.toUpperCase(),
    download.bitrate ? `${count(download.bitrate)} kbit/s` : null,
    download.duration != null ? length(download.duration) : null,
    download.file_size != null ? size(download.file_size) : null,
  ].filter(Boolean)
  const source = /^https?:\/\//i.test(download.url) ? (
    <Anchor key="source" href={download.url} target="_blank" rel="noreferrer noopener" inherit>
      {download.url}
    </Anchor>
  ) : (
    download.url
  )
  const facts: [string, ReactNode][] = [
    [details.source, source],
    [details.file, download.file_path],
    [details.format, audio.join(' · ')],
    [details.added, moment(download.created_at)],
    [details.finished, download.completed_at && moment(download.completed_at)],
    [details.attempts, download.attempts > 1 ? count(download.attempts) : null],
  ]
  return (
    <dl className={styles.details}>
      {facts
        .filter(([, fact]) => fact)
        .map(([name, fact]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{fact}</dd>
          </div>
        ))}
    </dl>
  )
}
