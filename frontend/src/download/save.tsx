/** Hands a file to the device; while it comes, a toast tells how far it is. */

import { notifications } from '@mantine/notifications'
import type { ReactNode } from 'react'
import { type Download, fetchBlob } from '../api/client'
import { nameOf } from '../show/format'
import { toast } from '../show/toast'
import { texts } from '../texts'

const saving = new Set<number>()

/** Saves it once, however often one asks meanwhile. */
export async function save(download: Download): Promise<void> {
  const { id } = download
  if (saving.has(id)) return
  saving.add(id)
  const told = notifications.show({
    message: message(download, 0),
    loading: true,
    autoClose: false,
    withCloseButton: false,
    role: 'status',
  })
  let percent = 0
  try {
    const blob = await fetchBlob(`/api/downloads/${id}/file`, {
      onProgress(loaded, total) {
        const now = total ? Math.floor((loaded / total) * 100) : 0
        if (now === percent) return
        percent = now
        notifications.update({ id: told, message: message(download, now) })
      },
    })
    hand(blob, download.file_path?.split('/').at(-1) ?? nameOf(download))
  } catch (error) {
    toast.failed(error)
  } finally {
    notifications.hide(told)
    saving.delete(id)
  }
}

function hand(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}

/** A screen reader says it once, without the percentage that goes on changing. */
function message(download: Download, percent: number): ReactNode {
  return (
    <>
      {texts.item.saving(nameOf(download))}
      {percent > 0 && <span aria-hidden> {texts.item.savingPart(percent)}</span>}
    </>
  )
}
