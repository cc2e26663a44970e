import '@mantine/core/styles/Overlay.css'
import '@mantine/core/styles/ModalBase.css'
import '@mantine/core/styles/Modal.css'
import '@mantine/core/styles/InlineInput.css'
import '@mantine/core/styles/Checkbox.css'
import { Button, Checkbox, Group, Modal, Stack, Text } from '@mantine/core'
import { useEffect, useState } from 'react'
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
  onClose: () => void
  onConfirm: (isChosen: boolean) => void | Promise<void>
}

/** Asks before something that can't be taken back. */
export default function Dialog(props: DialogProps) {
  const { title, text, keep, confirm, confirmChosen, choice, onClose, onConfirm } = props
  const [isChosen, setChosen] = useState(false)
  const [isBusy, setBusy] = useState(false)
  const [opener] = useState(() => document.activeElement)
  useEffect(
    () => () => {
      // Once the dialog is gone; whoever had the focus before may be gone as well, and then somebody else sees to it.
      setTimeout(() => {
        if (document.activeElement === document.body && opener instanceof HTMLElement) opener.focus()
      })
    },
    [opener],
  )

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
