/**
 * The player: one audio element for the whole page, so that it plays on while pages come and go.
 *
 * The file needs the bearer header, which an element can't send, so it is fetched and handed over as a blob: every
 * format seeks exactly, and nothing secret stands in an address. A long file begins to play before it is whole.
 */

import { useSyncExternalStore } from 'react'
import { ApiError, type Download, fetchBlob, reason } from '../api/client'
import { session } from '../session/session'
import { nameOf } from '../show/format'
import { toast } from '../show/toast'
import { texts } from '../texts'
import { mayBegin } from './beginning'
import { nextIn, type Place, placeOf, renewed, without } from './list'
import { describe, describeNothing, offerMediaKeys } from './media'

export interface Player extends Place {
  isPlaying: boolean
  isLoading: boolean
  /** 0 to 100. */
  loaded: number
  position: number
  duration: number
  volume: number
  error: string | null
}

const NOTHING: Player = {
  list: [],
  index: 0,
  isPlaying: false,
  isLoading: false,
  loaded: 0,
  position: 0,
  duration: 0,
  volume: 1,
  error: null,
}
const MOST_KEPT = 3
const UNPLAYABLE = 415
const ITS_OWN = [404, 410, UNPLAYABLE] // what is wrong with this track, and not with all of them
const VOLUME = 'nas-music.volume'
const RESTART_AFTER = 3 // seconds; before, "previous" means the track before

let state: Player = { ...NOTHING, volume: keptVolume() }
const watchers = new Set<() => void>()
const kept = new Map<number, Blob>()
let audio: HTMLAudioElement | null = null
let loading = new AbortController()
let isPartial = false
let address = ''
/** Takes the list anew: an album may still be growing while it plays. */
let anew: (() => Promise<readonly Download[]>) | null = null
/** Whether a track was come to by itself, or by a key: then it may be passed over. */
let isOnTheWay = false

function change(next: Partial<Player>): void {
  state = { ...state, ...next }
  for (const watcher of watchers) watcher()
}

export function usePlayer(): Player {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    () => state,
  )
}

/** The download that is in the player, or the album of what is, and whether it plays; cheap to ask from every row. */
export function usePlaying(id: number): 'playing' | 'paused' | null {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    () => playing(id),
  )
}

function isOf(track: Download, id: number): boolean {
  return track.id === id || track.parent_id === id
}

export function playing(id: number): 'playing' | 'paused' | null {
  const track = currentTrack()
  const isAlbum = track?.parent_id === id
  if (track?.id !== id && !isAlbum) return null
  // An album that has come to its end begins anew.
  if (isAlbum && audio?.ended && !nextIn(state)) return null
  return state.isPlaying ? 'playing' : 'paused'
}

export function currentTrack(player: Player = state): Download | undefined {
  return player.list[player.index]
}

function keptVolume(): number {
  try {
    const kept = Number(localStorage.getItem(VOLUME) ?? 1)
    return kept >= 0 && kept <= 1 ? kept : 1
  } catch {
    return 1
  }
}

function element(): HTMLAudioElement {
  if (audio) return audio
  const made = new Audio()
  made.preload = 'auto'
  made.volume = state.volume
  made.addEventListener('play', () => change({ isPlaying: true, error: null }))
  made.addEventListener('pause', () => change({ isPlaying: false }))
  made.addEventListener('timeupdate', () => change({ position: made.currentTime }))
  made.addEventListener('ended', () => {
    if (!isPartial) player.next()
  })
  made.addEventListener('error', () => {
    if (made.src && !isPartial) fail(new ApiError(UNPLAYABLE, texts.player.cantPlay))
  })
  audio = made
  offerMediaKeys({
    play: player.resume,
    pause: player.pause,
    stop: player.close,
    next: player.next,
    previous: player.previous,
    seek: player.seek,
    position: () => state.position,
  })
  return made
}

function hand(blob: Blob, at: number): void {
  const made = element()
  const before = address
  address = URL.createObjectURL(blob)
  made.src = address
  if (at > 0) made.currentTime = at
  if (before) URL.revokeObjectURL(before)
  made.play().catch((error: unknown) => {
    if (error instanceof DOMException && error.name === 'NotAllowedError')
      change({ error: texts.player.blocked })
  })
}

/** Lets go of what was played, so that no key can bring it back under another title. */
function release(): void {
  if (audio) {
    audio.pause()
    audio.removeAttribute('src')
    audio.load()
  }
  if (address) URL.revokeObjectURL(address)
  address = ''
}

function keep(id: number, blob: Blob): void {
  kept.delete(id)
  kept.set(id, blob)
  for (const oldest of kept.keys()) {
    if (kept.size <= MOST_KEPT) break
    kept.delete(oldest)
  }
}

async function load(track: Download): Promise<void> {
  loading.abort()
  loading = new AbortController()
  const { signal } = loading
  release()
  isPartial = false
  change({ isLoading: true, loaded: 0, position: 0, duration: track.duration ?? 0, error: null })
  show(track)
  const began = performance.now()
  try {
    const blob =
      kept.get(track.id) ??
      (await fetchBlob(`/api/downloads/${track.id}/file`, {
        signal,
        onProgress(loaded, total, soFar) {
          const percent = total ? Math.floor((loaded / total) * 100) : 0
          if (percent !== state.loaded) change({ loaded: percent })
          if (!isPartial && mayBegin({ loaded, total, milliseconds: performance.now() - began })) {
            isPartial = true
            hand(soFar(), 0)
          }
        },
      }))
    if (signal.aborted) return
    keep(track.id, blob)
    const at = isPartial ? element().currentTime : 0
    const isPaused = isPartial && element().paused && !element().ended
    isPartial = false
    hand(blob, at)
    if (isPaused) element().pause()
    change({ isLoading: false, loaded: 100 })
    if (!nextIn(state)) await renew()
    prefetchNext(signal)
  } catch (error) {
    if (signal.aborted) return
    isPartial = false
    fail(error)
  }
}

/** Passes over a track that can't be played, but never over two in a row, nor because the service is away. */
function fail(fault: unknown): void {
  const track = currentTrack()
  const next = nextIn(state)
  const isItsOwn = fault instanceof ApiError && ITS_OWN.includes(fault.status)
  if (isOnTheWay && isItsOwn && track && next) {
    isOnTheWay = false
    toast.failed(fault, texts.player.skipped(nameOf(track)))
    change({ index: state.index + 1 })
    void load(next)
  } else change({ isLoading: false, isPlaying: false, error: reason(fault) })
}

async function renew(): Promise<void> {
  const asked = anew
  const tracks = await asked?.().catch(() => null)
  if (tracks && asked === anew) change(renewed(state, tracks))
}

async function goOn(): Promise<void> {
  const before = currentTrack()
  if (!nextIn(state)) await renew()
  const next = nextIn(state)
  if (!next || currentTrack()?.id !== before?.id) return
  isOnTheWay = true
  change({ index: state.index + 1 })
  void load(next)
}

function show(track: Download): void {
  void describe(track, () => session.token() !== null && currentTrack()?.id === track.id)
}

function prefetchNext(signal: AbortSignal): void {
  const next = nextIn(state)
  if (signal.aborted || !next || kept.has(next.id) || (next.file_size ?? 0) > 50_000_000) return
  fetchBlob(`/api/downloads/${next.id}/file`, { signal }).then(
    (blob) => keep(next.id, blob),
    () => {},
  )
}

export const player = {
  /** Plays a track; next and previous go through `list`, which `again` brings up to date where it would end. */
  play(track: Download, list: readonly Download[] = [track], again: typeof anew = null): void {
    anew = again
    isOnTheWay = false
    change(placeOf(track, list))
    void load(track)
  },
  toggle(): void {
    if (element().paused) player.resume()
    else player.pause()
  },
  pause(): void {
    audio?.pause()
  },
  resume(): void {
    if (!session.token()) return // the keys of a keyboard reach further than the page does
    const made = element()
    const track = currentTrack()
    if (!made.paused || (state.isLoading && !made.src)) return
    if (track && (!made.src || state.error)) void load(track)
    else {
      void made.play().catch(() => {})
      if (track) show(track)
    }
  },
  next(): void {
    void goOn()
  },
  previous(): void {
    const track = state.list[state.index - 1]
    if (!track || element().currentTime > RESTART_AFTER) {
      player.seek(0)
    } else {
      isOnTheWay = false
      change({ index: state.index - 1 })
      void load(track)
    }
  },
  seek(seconds: number): void {
    const made = element()
    made.currentTime = Math.max(0, Math.min(seconds, state.duration || seconds))
    change({ position: made.currentTime })
  },
  volume(volume: number): void {
    element().volume = volume
    change({ volume })
    try {
      localStorage.setItem(VOLUME, String(volume))
    } catch {
      // Then it is as loud as ever next time.
    }
  },
  /** Lets go of a track, or of an album's, whose files are gone. */
  drop(id: number): void {
    const before = currentTrack()
    if (!state.list.some((each) => isOf(each, id))) return
    const place = without(state, (each) => isOf(each, id))
    if (!place) {
      player.close()
      return
    }
    const isOn = state.isPlaying || state.isLoading
    change(place)
    const track = currentTrack()
    if (!track || track.id === before?.id) return
    isOnTheWay = false
    if (isOn) void load(track)
    else {
      loading.abort()
      release() // so that it is loaded once somebody presses play
      change({ position: 0, duration: track.duration ?? 0, error: null })
      show(track)
    }
  },
  close(): void {
    loading.abort()
    release()
    kept.clear()
    anew = null
    change({ ...NOTHING, volume: state.volume })
    describeNothing()
  },
}

// Somebody else may sign in next. After a session that merely ended, what was heard waits for its listener.
session.whenOver(() => player.close())
session.subscribe(() => {
  if (!session.token() && currentTrack()) rest()
})

/** Falls silent, and shows nothing of it outside the page either. */
function rest(): void {
  loading.abort()
  if (state.isLoading) release()
  else audio?.pause()
  change({ isLoading: false, isPlaying: false })
  describeNothing()
}
