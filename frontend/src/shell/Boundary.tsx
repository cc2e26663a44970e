import { Button } from '@mantine/core'
import { Component, type ReactNode, useEffect, useRef } from 'react'
import { useConnection } from '../live/live'
import { UnloadedError } from '../show/part'
import { texts } from '../texts'
import styles from './Boundary.module.css'

interface State {
  broken: 'faulty' | 'unloaded' | null
}

/** A fault of the page's own leaves a way out, and what is around it; a part that can't be loaded, another try. */
export class Boundary extends Component<{ children?: ReactNode; isPart?: boolean }, State> {
  override state: State = { broken: null }

  static getDerivedStateFromError(error: unknown): State {
    return { broken: error instanceof UnloadedError ? 'unloaded' : 'faulty' }
  }

  override componentDidCatch(error: unknown): void {
    if (error instanceof UnloadedError) error.forget()
  }

  private readonly tryAnew = (): void => this.setState({ broken: null })

  override render(): ReactNode {
    const { broken } = this.state
    if (!broken) return this.props.children
    const { isPart } = this.props
    const Place = isPart ? 'div' : 'main'
    return (
      <Place className={styles.broken} data-part={isPart} role={isPart ? 'alert' : undefined}>
        {broken === 'unloaded' ? (
          <Unloaded onRetry={this.tryAnew} />
        ) : (
          <>
            <p>{texts.errors.broken}</p>
            <Button onClick={() => window.location.reload()}>{texts.errors.reload}</Button>
          </>
        )}
      </Place>
    )
  }
}

/** Tries by itself as soon as the service is there again. */
function Unloaded({ onRetry }: { onRetry: () => void }) {
  const connection = useConnection()
  const before = useRef(connection)
  useEffect(() => {
    if (connection === 'open' && before.current !== 'open') onRetry()
    before.current = connection
  }, [connection, onRetry])
  useEffect(() => {
    window.addEventListener('online', onRetry)
    return () => window.removeEventListener('online', onRetry)
  }, [onRetry])
  return (
    <>
      <p>{texts.errors.offline}</p>
      <Button onClick={onRetry}>{texts.errors.retry}</Button>
    </>
  )
}
