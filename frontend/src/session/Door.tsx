import type { ReactNode } from 'react'
import { Heading } from '../shell/Heading'
import { Logo } from '../shell/Logo'
import styles from './Door.module.css'

/** What stands around the forms of those who aren't signed in. */
export function Door({
  title,
  heading,
  lead,
  children,
}: {
  title: string
  heading: string
  lead: string
  children: ReactNode
}) {
  return (
    <main className={styles.door}>
      <div className={styles.card}>
        <Logo size={52} />
        <Heading title={title} isHidden />
        <div className={styles.heading} aria-hidden>
          {heading}
        </div>
        <p className={styles.lead}>{lead}</p>
        {children}
      </div>
    </main>
  )
}
