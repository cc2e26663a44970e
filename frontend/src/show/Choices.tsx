import '@mantine/core/styles/Popover.css'
import '@mantine/core/styles/Menu.css'
import { Menu } from '@mantine/core'
import type { ReactNode } from 'react'

export interface Choice {
  label: string
  icon: ReactNode
  isGrave?: boolean
  onChoose: () => void
}

interface ChoicesProps {
  children: ReactNode
  choices: readonly Choice[]
  isOpen: boolean
  onOpen: (isOpen: boolean) => void
}

/** A menu behind a button. */
export default function Choices({ children, choices, isOpen, onOpen }: ChoicesProps) {
  return (
    <Menu opened={isOpen} onChange={onOpen} position="bottom-end" shadow="md" width={220} withinPortal>
      <Menu.Target>{children}</Menu.Target>
      <Menu.Dropdown>
        {choices.map(({ label, icon, isGrave, onChoose }) => (
          <Menu.Item key={label} leftSection={icon} onClick={onChoose} {...(isGrave ? { color: 'red' } : {})}>
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}
