import { cloneElement, lazy, type ReactElement, Suspense, useState } from 'react'
import type { Choice } from './Choices'

const load = () => import('./Choices')
const Choices = lazy(load)

/** A button with a menu. What makes menus is loaded when a pointer comes near, or at the first press. */
export function MenuButton({ children, choices }: { children: ReactElement; choices: readonly Choice[] }) {
  const [isWanted, setWanted] = useState(false)
  const early = cloneElement(
    children as ReactElement<{ onPointerEnter: () => void; onClick: () => void; 'aria-haspopup': 'menu' }>,
    {
      onPointerEnter: () => void load().catch(() => {}),
      onClick: () => setWanted(true),
      'aria-haspopup': 'menu',
    },
  )
  if (!isWanted) return early
  return (
    <Suspense fallback={early}>
      <Choices choices={choices}>{children}</Choices>
    </Suspense>
  )
}
