// @vitest-environment happy-dom
import { MantineProvider } from '@mantine/core'
import { act, createElement } from 'react'
import { createRoot } from 'react-dom/client'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import Dialog from './Dialog'

beforeEach(() => void vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true))
afterEach(() => void vi.unstubAllGlobals())

it.each([true, false])(
  'gives the focus back, to somebody else if its opener has gone (%s)',
  async (isGone) => {
    document.body.innerHTML = '<h2 tabindex="-1"></h2><button></button><div></div>'
    const [heading, button, place] = document.body.children as unknown as HTMLElement[]
    button?.focus()
    const root = createRoot(place as HTMLElement)
    const dialog = createElement(Dialog, {
      title: 'Cancel all?',
      text: 'Really?',
      keep: 'Keep them',
      confirm: 'Cancel',
      otherwise: () => heading ?? null,
      onClose: () => {},
      onConfirm: () => {},
    })
    await act(async () => root.render(createElement(MantineProvider, null, dialog)))
    await vi.waitFor(() => expect(document.activeElement).not.toBe(button))
    if (isGone) button?.remove()
    await act(async () => root.render(createElement(MantineProvider)))
    await vi.waitFor(() => expect(document.activeElement).toBe(isGone ? heading : button))
  },
)
