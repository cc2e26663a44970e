// @vitest-environment happy-dom
import { notifications } from '@mantine/notifications'
import { afterEach, expect, it, vi } from 'vitest'
import { download } from '../live/example'
import { toast } from '../show/toast'
import { save } from './save'

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

it('a file is fetched once and said to be coming, however often one asks meanwhile', async () => {
  const shown = vi.spyOn(notifications, 'show').mockReturnValue('a toast')
  const hidden = vi.spyOn(notifications, 'hide').mockReturnValue('a toast')
  const fetched = vi.fn(async () => new Response('sound'))
  vi.stubGlobal('fetch', fetched)
  const song = download(1, { status: 'completed' })
  await Promise.all([save(song), save(song)])
  expect([fetched, shown, hidden].map((each) => each.mock.calls.length)).toEqual([1, 1, 1])
  await save(song)
  expect(fetched).toHaveBeenCalledTimes(2)
})

it('a file that can’t be had may be asked for again', async () => {
  vi.spyOn(notifications, 'show').mockReturnValue('a toast')
  vi.spyOn(notifications, 'hide').mockReturnValue('a toast')
  const failed = vi.spyOn(toast, 'failed').mockImplementation(() => {})
  vi.stubGlobal('fetch', async () => new Response('{}', { status: 404 }))
  await save(download(1, { status: 'completed' }))
  await save(download(1, { status: 'completed' }))
  expect(failed).toHaveBeenCalledTimes(2)
})
