/** Colours with enough contrast for everybody, in light and dark (WCAG 2.2, AA). */

import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from '@mantine/core'

const iris: MantineColorsTuple = [
  '#eff0ff',
  '#dcdffb',
  '#babff2',
  '#959de9',
  '#767fe2',
  '#626ddd',
  '#5863d3',
  '#4750c4',
  '#3e47b0',
  '#333c9c',
]
const dark: MantineColorsTuple = [
  '#e4e6f0',
  '#bcc0d0',
  '#a0a5b8',
  '#6f758b',
  '#3f4458',
  '#31364a',
  '#242938',
  '#171a23',
  '#12141b',
  '#0c0e13',
]

export const theme = createTheme({
  primaryColor: 'iris',
  primaryShade: { light: 7, dark: 6 },
  colors: { iris, dark },
  fontFamily:
    'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif',
  defaultRadius: 'md',
  cursorType: 'pointer',
  respectReducedMotion: true,
  focusRing: 'auto',
})

export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-body': '#f6f7fb',
    '--mantine-color-text': '#1b1e2b',
    '--mantine-color-dimmed': '#565c73',
    '--mantine-color-placeholder': '#646a80',
    '--mantine-color-error': '#c4262e',
    '--mantine-color-anchor': '#3e47b0',
    '--mantine-color-red-light-color': '#b3202a',
    '--mantine-color-red-text': '#b3202a',
    '--raised': '#ffffff',
    '--hover': '#eceef7',
    '--line': '#e2e5f0',
    '--line-strong': '#d3d7e6',
  },
  dark: {
    '--mantine-color-iris-light': '#2a2f55',
    '--mantine-color-iris-light-hover': '#323866',
    '--mantine-color-iris-light-color': '#c9cdfb',
    '--mantine-color-red-light': '#43252a',
    '--mantine-color-red-light-hover': '#512b31',
    '--mantine-color-dimmed': '#a0a5b8',
    '--mantine-color-placeholder': '#8d93a8',
    '--mantine-color-error': '#ff8d8f',
    '--mantine-color-anchor': '#aab0f5',
    '--mantine-color-red-light-color': '#ff9c9e',
    '--mantine-color-red-text': '#ff9c9e',
    '--raised': '#1e222e',
    '--hover': '#20242f',
    '--line': '#2a2f3d',
    '--line-strong': '#3a4053',
  },
})
