// @vitest-environment happy-dom
import { QueryClient } from '@tanstack/react-query'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { client } from '../api/client'
import { download } from '../live/example'
import { toast } from '../show/toast'
import { texts } from '../texts'
import { actions, untilFault } from './actions'

let said: string[]

beforeEach(() => {
  said = []
  vi.spyOn(toast, 'done').mockImplementation((message) => void said.push(message))
  vi.spyOn(toast, 'failed').mockImplementation((error) => void said.push(String(error)))
})
afterEach(() => void vi.restoreAllMocks())

const act = () => actions(new QueryClient())

it('what is removed is not said to be gone where another download may use it', async () => {
  const song = download(1, { status: 'completed' })
  const album = download(2, { status: 'completed', kind: 'collection' })
  vi.spyOn(client, 'DELETE').mockResolvedValue({ response: new Response(null, { status: 204 }) } as never)
  await act().remove(song, { file: false })
  await act().remove(song, { file: true })
  await act().remove(album, { file: true })
  const { removed, removedFile, removedFiles } = texts.item
  expect(said).toEqual([removed, removedFile, removedFiles])
  expect(said.slice(1).every((each) => each.includes('unless'))).toBe(true)
})

it('a second press asks for no second try of an album', async () => {
  const album = download(2, { status: 'failed', kind: 'collection' })
  const again = { data: { ...album, status: 'pending' }, response: new Response() }
  const asked = vi.spyOn(client, 'POST').mockResolvedValue(again as never)
  await Promise.all([act().retry(album), act().retry(album)])
  expect(asked).toHaveBeenCalledTimes(1)
  await act().retry(album)
  expect(asked).toHaveBeenCalledTimes(2)
})

it('what goes on already needs no second try, and no complaint', async () => {
  const conflict = { error: { detail: 'No.' }, response: new Response(null, { status: 409 }) }
  vi.spyOn(client, 'POST').mockResolvedValue(conflict as never)
  await act().retry(download(1, { status: 'failed' }))
  expect(said).toEqual([])
})

it('what is done to many ends at the first fault, and tells how many were done', async () => {
  const asked: number[] = []
  const act = async (each: number) => {
    asked.push(each)
    return each === 3 ? 'a fault' : null
  }
  expect(await untilFault([1, 2, 3, 4], act, new AbortController().signal)).toEqual({
    fault: 'a fault',
    done: 2,
  })
  expect(asked).toEqual([1, 2, 3])
})

it('what is done to many ends when it is told to stop', async () => {
  const stopping = new AbortController()
  const act = async (each: number) => {
    if (each === 2) stopping.abort()
    return null
  }
  expect(await untilFault([1, 2, 3], act, stopping.signal)).toEqual({ fault: null, done: 2 })
})
