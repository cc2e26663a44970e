import { Button } from '@mantine/core'
import { Component, type ReactNode } from 'react'
import { texts } from '../texts'
import styles from './Boundary.module.css'

/** A fault of the page's own, such as a part that can't be loaded, leaves a way out, and what is around it. */
export class Boundary extends Component<{ children: ReactNode; isPart?: boolean }, { isBroken: boolean }> {
  override state = { isBroken: false }

  static getDerivedStateFromError(): { isBroken: boolean } {
    return { isBroken: true }
  }

  override render(): ReactNode {
    if (!this.state.isBroken) return this.props.children
    const { isPart } = this.props
    const Place = isPart ? 'div' : 'main'
    return (
      <Place className={styles.broken} data-part={isPart} role={isPart ? 'alert' : undefined}>
        <p>{texts.errors.broken}</p>
        <Button onClick={() => window.location.reload()}>{texts.errors.reload}</Button>
      </Place>
    )
  }
}
