import { useMediaQuery } from '@mantine/hooks'
import { Notifications, notifications } from '@mantine/notifications'
import { reason } from '../api/client'
import { texts } from '../texts'
import { IconCheck, IconX } from './icons'

/** A message below a title is too faint to read as it comes. */
const LOOK = {
  closeButtonProps: { 'aria-label': texts.common.close },
  styles: { description: { color: 'var(--mantine-color-text)' } },
}

/** Short words about how something went; screen readers hear them too. */
export const toast = {
  done(message: string): void {
    notifications.show({
      message,
      color: 'teal',
      icon: <IconCheck aria-hidden size={18} />,
      ...LOOK,
      autoClose: 4000,
      role: 'status',
    })
  },
  failed(error: unknown, title: string = texts.errors.title): void {
    notifications.show({
      title,
      message: reason(error),
      color: 'red',
      icon: <IconX aria-hidden size={18} />,
      ...LOOK,
      autoClose: 8000,
      role: 'alert',
    })
  },
}

/** Where those words appear: below, above the player and a phone's tabs. On phones no more than leave the rest seen. */
export function Toasts() {
  const isPhone = useMediaQuery('(max-width: 48em)')
  return (
    <Notifications
      position={isPhone ? 'bottom-center' : 'bottom-right'}
      limit={isPhone ? 2 : 4}
      containerWidth={380}
    />
  )
}
