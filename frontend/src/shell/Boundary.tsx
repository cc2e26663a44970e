import { Button } from '@mantine/core'
import { Component, type ReactNode } from 'react'
import { texts } from '../texts'
import styles from './Boundary.module.css'

/** A fault of the page's own, such as a part that can't be loaded after an update, leaves a way out. */
export class Boundary extends Component<{ children: ReactNode }, { isBroken: boolean }> {
  override state = { isBroken: false }

  static getDerivedStateFromError(): { isBroken: boolean } {
    return { isBroken: true }
  }

  override render(): ReactNode {
    if (!this.state.isBroken) return this.props.children
    return (
      <main className={styles.broken}>
        <p>{texts.errors.broken}</p>
        <Button onClick={() => window.location.reload()}>{texts.errors.reload}</Button>
      </main>
    )
  }
}
