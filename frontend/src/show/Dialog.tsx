import '@mantine/core/styles/Overlay.css'
import '@mantine/core/styles/ModalBase.css'
import '@mantine/core/styles/Modal.css'
import '@mantine/core/styles/InlineInput.css'
import '@mantine/core/styles/Checkbox.css'
import { Button, Checkbox, Group, Modal, Stack, Text } from '@mantine/core'
import { useEffect, useEffectEvent, useState } from 'react'
import { texts } from '../texts'

interface DialogProps {
  title: string
  text: string
  keep: string
  /** What the button says; the second one once the choice below is made. */
  confirm: string
  confirmChosen?: string
  /** What may be chosen besides, and what then stands in place of the text above. */
  choice?: { label: string; hint: string; text: string } | undefined
  /** Who gets the focus where the button that opened the dialog has gone with what was confirmed. */
  otherwise?: () => HTMLElement | null
  onClose: () => void
  onConfirm: (isChosen: boolean) => void | Promise<void>
}

/** Asks before something that can't be taken back. */
export default function Dialog(props: DialogProps) {
  const { title, text, keep, confirm, confirmChosen, choice, otherwise, onClose, onConfirm } = props
  const [isChosen, setChosen] = useState(false)
  const [isBusy, setBusy] = useState(false)
  const [opener] = useState(() => document.activeElement)
  const giveBack = useEffectEvent(() => {
    const lost = otherwise
    // Once the dialog is gone; whoever had the focus before may be gone as well.
    setTimeout(() => {
      if (document.activeElement !== document.body) return
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus()
      else lost?.()?.focus()
    })
  })
  useEffect(() => () => giveBack(), [])

  async function go(): Promise<void> {
    setBusy(true)
    await onConfirm(isChosen)
    onClose()
  }

  return (
    <Modal
      opened
      onClose={onClose}
      title={title}
      centered
      closeButtonProps={{ 'aria-label': texts.common.close }}
    >
      <Stack>
        <Text>{isChosen && choice ? choice.text : text}</Text>
        {choice ? (
          <Checkbox
            checked={isChosen}
            onChange={(event) => setChosen(event.currentTarget.checked)}
            label={choice.label}
            description={choice.hint}
          />
        ) : null}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose} data-autofocus>
            {keep}
          </Button>
          <Button color="red.9" loading={isBusy} onClick={() => void go()}>
            {isChosen && confirmChosen ? confirmChosen : confirm}
          </Button>
        </Group>
      </Stack>
    </Modal>
  )
}
