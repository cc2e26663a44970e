import type { Download } from '../api/client'
import styles from './Cover.module.css'
import { useCover } from './covers'
import { IconMusic, IconPlaylist } from './icons'

/** A download's picture, or a quiet stand-in; the title beside it says what it is. */
export function Cover({ download, isForeign = false }: { download: Download; isForeign?: boolean }) {
  const isThere =
    download.kind === 'collection' ? (download.items?.completed ?? 0) > 0 : download.status === 'completed'
  // The service gives covers to their owners only.
  const url = useCover(download.id, isThere && !isForeign)
  const Icon = download.kind === 'collection' ? IconPlaylist : IconMusic
  return (
    <span className={styles.cover} data-hue={download.id % 6}>
      {url ? (
        <img src={url} alt="" decoding="async" draggable={false} />
      ) : (
        <Icon aria-hidden size={22} stroke={1.5} />
      )}
    </span>
  )
}
