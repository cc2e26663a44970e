// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { download } from '../live/example'
import { session } from '../session/session'
import { toast } from '../show/toast'
import { currentTrack, player, playing } from './player'

const done = (id: number) => download(id, { status: 'completed', parent_id: 9 })
let gone: readonly number[]
let skipped: ReturnType<typeof vi.spyOn>

/** As much of the browser's own as the player asks for. */
class Silence extends EventTarget {
  src = ''
  paused = true
  ended = false
  currentTime = 0
  async play(): Promise<void> {
    this.paused = false
    this.dispatchEvent(new Event('play'))
  }
  pause(): void {
    this.paused = true
    this.dispatchEvent(new Event('pause'))
  }
  load(): void {}
  removeAttribute(): void {
    this.src = ''
  }
}

beforeEach(() => {
  gone = []
  skipped = vi.spyOn(toast, 'failed').mockImplementation(() => {})
  session.begin('a token', 60)
  vi.stubGlobal('Audio', Silence)
  vi.stubGlobal('fetch', async (address: string) => {
    const isGone = gone.some((id) => address.includes(`/downloads/${id}/`))
    return new Response('{}', { status: isGone ? 404 : 200 })
  })
})
afterEach(() => {
  player.close()
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

const isAt = (id: number) => vi.waitFor(() => expect(currentTrack()?.id).toBe(id))

it('goes on to what an album has got since it began', async () => {
  let tracks = [done(1)]
  player.play(done(1), tracks, async () => tracks)
  tracks = [done(1), done(2)]
  player.next()
  await isAt(2)
})

it('stays where it is when an album can’t be had anew', async () => {
  const again = vi.fn().mockRejectedValue(new Error('no network'))
  player.play(done(1), [done(1)], again)
  player.next()
  await vi.waitFor(() => expect(again).toHaveBeenCalled())
  await isAt(1)
})

it('passes over one track that is gone, and stops at the second', async () => {
  gone = [2, 5, 6]
  const tracks = [1, 2, 4, 5, 6, 7].map(done)
  player.play(done(1), tracks)
  player.next()
  await isAt(4)
  expect(skipped).toHaveBeenCalledTimes(1)
  player.next()
  await isAt(6)
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(currentTrack()?.id).toBe(6)
  expect(skipped).toHaveBeenCalledTimes(2)
})

it('a track that somebody chose is not passed over', async () => {
  gone = [1]
  player.play(done(1), [done(1), done(2)])
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(currentTrack()?.id).toBe(1)
})

it('an album plays while one of its tracks does', async () => {
  player.play(done(1), [done(1), done(2)])
  await vi.waitFor(() => expect([playing(1), playing(9)]).toEqual(['playing', 'playing']))
  player.toggle()
  expect([playing(1), playing(2), playing(9)]).toEqual(['paused', null, 'paused'])
})

it('goes on to the next where a track is dropped, and closes where its album is', async () => {
  player.play(done(1), [done(1), done(2), done(3)])
  await vi.waitFor(() => expect(playing(1)).toBe('playing'))
  player.drop(3)
  expect(currentTrack()?.id).toBe(1)
  player.drop(1)
  await vi.waitFor(() => expect(playing(2)).toBe('playing'))
  player.drop(9)
  expect(currentTrack()).toBeUndefined()
})

it('begins nothing by itself where a track is dropped that had paused', async () => {
  player.play(done(1), [done(1), done(2)])
  await vi.waitFor(() => expect(playing(1)).toBe('playing'))
  player.pause()
  player.drop(1)
  expect(playing(2)).toBe('paused')
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(playing(2)).toBe('paused')
  player.toggle()
  await vi.waitFor(() => expect(playing(2)).toBe('playing'))
})
