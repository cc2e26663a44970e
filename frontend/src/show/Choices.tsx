import '@mantine/core/styles/Popover.css'
import '@mantine/core/styles/Menu.css'
import { Menu } from '@mantine/core'
import { cloneElement, type ReactElement, type ReactNode, type Ref, useEffect, useRef, useState } from 'react'

export interface Choice {
  label: string
  icon: ReactNode
  isGrave?: boolean
  onChoose: () => void
}

/** The menu behind a button, open from the start: it is there because the button was pressed. */
export default function Choices({
  children,
  choices,
}: {
  children: ReactElement
  choices: readonly Choice[]
}) {
  const button = useRef<HTMLButtonElement>(null)
  const [isOpen, setOpen] = useState(false)
  // The button that was pressed has made way for this one; so the focus comes here, and comes back here.
  useEffect(() => {
    button.current?.focus({ preventScroll: true })
    setOpen(true)
  }, [])
  return (
    <Menu opened={isOpen} onChange={setOpen} position="bottom-end" shadow="md" width={220} withinPortal>
      <Menu.Target>
        {cloneElement(children as ReactElement<{ ref: Ref<HTMLButtonElement> }>, { ref: button })}
      </Menu.Target>
      <Menu.Dropdown>
        {choices.map(({ label, icon, isGrave, onChoose }) => (
          <Menu.Item
            key={label}
            leftSection={icon}
            onClick={onChoose}
            {...(isGrave ? { color: 'var(--mantine-color-error)' } : {})}
          >
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  )
}
