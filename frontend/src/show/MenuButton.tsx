import { cloneElement, type ReactElement, useState } from 'react'
import { ApiError } from '../api/client'
import { texts } from '../texts'
import type { Choice } from './Choices'
import { part } from './part'
import { toast } from './toast'

const Choices = part(() => import('./Choices'))

/** A button with a menu. What makes menus is loaded when a pointer comes near, or at the first press. */
export function MenuButton({ children, choices }: { children: ReactElement; choices: readonly Choice[] }) {
  const [isWanted, setWanted] = useState(false)
  async function open(): Promise<void> {
    if (await Choices.ahead()) setWanted(true)
    else toast.failed(new ApiError(0, texts.errors.offline))
  }
  if (isWanted) return <Choices choices={choices}>{children}</Choices>
  return cloneElement(
    children as ReactElement<{ onPointerEnter: () => void; onClick: () => void; 'aria-haspopup': 'menu' }>,
    {
      onPointerEnter: () => void Choices.ahead(),
      onClick: () => void open(),
      'aria-haspopup': 'menu',
    },
  )
}
