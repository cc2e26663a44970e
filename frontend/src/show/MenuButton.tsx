import { cloneElement, lazy, type ReactElement, Suspense, useState } from 'react'
import type { Choice } from './Choices'

const Choices = lazy(() => import('./Choices'))

/** A button with a menu, which is loaded after the page; a press that comes before opens it all the same. */
export function MenuButton({ children, choices }: { children: ReactElement; choices: readonly Choice[] }) {
  const [isOpen, setOpen] = useState(false)
  const early = cloneElement(children as ReactElement<{ onClick: () => void }>, {
    onClick: () => setOpen(true),
  })
  return (
    <Suspense fallback={early}>
      <Choices choices={choices} isOpen={isOpen} onOpen={setOpen}>
        {children}
      </Choices>
    </Suspense>
  )
}
