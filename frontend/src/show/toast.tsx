import { useMediaQuery } from '@mantine/hooks'
import { Notifications, notifications } from '@mantine/notifications'
import { reason } from '../api/client'
import { texts } from '../texts'
import { IconCheck, IconX } from './icons'

/** Short words about how something went; screen readers hear them too. */
export const toast = {
  done(message: string): void {
    notifications.show({
      message,
      color: 'teal',
      icon: <IconCheck aria-hidden size={18} />,
      closeButtonProps: { 'aria-label': texts.common.close },
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
      closeButtonProps: { 'aria-label': texts.common.close },
      autoClose: 8000,
      role: 'alert',
    })
  },
}

/** Where those words appear: on phones above, since the rows' buttons are below. */
export function Toasts() {
  const isPhone = useMediaQuery('(max-width: 48em)')
  return <Notifications position={isPhone ? 'top-center' : 'bottom-right'} limit={4} containerWidth={380} />
}
