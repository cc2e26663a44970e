// @vitest-environment happy-dom
import { MantineProvider } from '@mantine/core'
import { act, createElement } from 'react'
import { createRoot, type Root } from 'react-dom/client'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { download } from '../live/example'
import PlayerBar from './PlayerBar'
import { type Player, usePlayer } from './player'

vi.mock('./player', async (original) => ({ ...(await original<object>()), usePlayer: vi.fn() }))

const playing: Player = {
  list: [download(1, { status: 'completed', title: 'Morning Walk' })],
  index: 0,
  isPlaying: true,
  isLoading: false,
  loaded: 100,
  position: 63.4821,
  duration: 187.2,
  volume: 0.35,
  error: null,
}
let root: Root

beforeEach(async () => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true)
  vi.mocked(usePlayer).mockReturnValue(playing)
  const place = document.body.appendChild(document.createElement('div'))
  root = createRoot(place)
  await act(async () => root.render(createElement(MantineProvider, null, createElement(PlayerBar))))
})
afterEach(async () => {
  await act(async () => root.unmount())
  vi.unstubAllGlobals()
})

it('its sliders say where they are as one would', () => {
  const said = [...document.querySelectorAll('[role=slider]')].map((each) =>
    ['aria-label', 'aria-valuenow', 'aria-valuetext'].map((name) => each.getAttribute(name)),
  )
  expect(said).toEqual([
    ['Position', '63', '1:03 of 3:07'],
    ['Volume', '0.35', '35 %'],
  ])
})

it('leaves the focus to the heading when it goes', async () => {
  const heading = document.body.appendChild(document.createElement('h1'))
  heading.tabIndex = -1
  const button = document.querySelector<HTMLElement>('[aria-label="Close the player"]')
  button?.focus()
  await act(async () => button?.click())
  expect(document.activeElement).toBe(heading)
})
