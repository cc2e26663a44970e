import { Alert, Button } from '@mantine/core'
import type { ComponentType, ReactNode } from 'react'
import { reason } from '../api/client'
import { texts } from '../texts'
import { IconAlertTriangle } from './icons'
import styles from './states.module.css'

interface EmptyProps {
  icon: ComponentType<{ size?: number; stroke?: number; 'aria-hidden'?: boolean }>
  title: string
  text: string
  children?: ReactNode
}

/** A list without anything in it says what to do next. */
export function Empty({ icon: Icon, title, text, children }: EmptyProps) {
  return (
    <div className={styles.empty}>
      <span className={styles.icon}>
        <Icon aria-hidden size={30} stroke={1.5} />
      </span>
      <h2>{title}</h2>
      <p>{text}</p>
      {children}
    </div>
  )
}

/** What couldn't be loaded, why, and a way to try again. */
export function Failed({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  return (
    <Alert
      color="red"
      variant="light"
      role="alert"
      icon={<IconAlertTriangle aria-hidden />}
      title={texts.errors.title}
      my="lg"
    >
      <p className={styles.reason}>{reason(error)}</p>
      <Button size="xs" variant="white" color="red" onClick={onRetry}>
        {texts.errors.retry}
      </Button>
    </Alert>
  )
}
