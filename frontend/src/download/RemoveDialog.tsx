import { Suspense } from 'react'
import type { Download } from '../api/client'
import { nameOf } from '../show/format'
import { part } from '../show/part'
import { texts } from '../texts'
import type { Actions } from './actions'

const Dialog = part(() => import('../show/Dialog'))

interface RemoveDialogProps {
  download: Download
  onClose: () => void
  onRemove: Actions['remove']
}

/** Asks before something goes out of the history, and whether its file goes along. */
export function RemoveDialog({ download, onClose, onRemove }: RemoveDialogProps) {
  const { remove } = texts
  const isCollection = download.kind === 'collection'
  const hasFile = isCollection ? (download.items?.completed ?? 0) > 0 : download.status === 'completed'
  const choice = isCollection
    ? { label: remove.collectionFile, hint: remove.collectionFileHint, text: remove.collectionTextChosen }
    : { label: remove.file, hint: remove.fileHint, text: remove.textChosen }
  const text = isCollection ? remove.collectionText : remove.text
  return (
    <Suspense>
      <Dialog
        title={remove.titleOf(nameOf(download))}
        text={hasFile ? text : remove.textWithoutFile}
        keep={remove.keep}
        confirm={remove.confirm}
        confirmChosen={remove.confirmFile}
        choice={hasFile ? choice : undefined}
        onClose={onClose}
        onConfirm={(file) => void onRemove(download, { file })}
      />
    </Suspense>
  )
}
