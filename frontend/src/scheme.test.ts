// @vitest-environment happy-dom
import { readFileSync } from 'node:fs'
import { afterEach, expect, it } from 'vitest'

const script = readFileSync('public/scheme.js', 'utf8')
const shown = () => document.documentElement.getAttribute('data-mantine-color-scheme')

afterEach(() => {
  localStorage.clear()
  document.documentElement.removeAttribute('data-mantine-color-scheme')
})

it.each(['light', 'dark'])('who has chosen %s gets it before anything is shown', (chosen) => {
  localStorage.setItem('mantine-color-scheme-value', chosen)
  new Function(script)()
  expect(shown()).toBe(chosen)
})

it.each(['auto', 'nonsense', null])('what was chosen as %s is left to the system', (chosen) => {
  if (chosen) localStorage.setItem('mantine-color-scheme-value', chosen)
  new Function(script)()
  expect(shown()).toBeNull()
})

it('the page comes without a choice of its own', () => {
  expect(readFileSync('index.html', 'utf8')).not.toContain('data-mantine-color-scheme')
})
