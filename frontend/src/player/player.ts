/**
 * The player: one audio element for the whole page, so that it plays on while pages come and go.
 *
 * The file needs the bearer header, which an element can't send, so it is fetched and handed over as a blob: every
 * format seeks exactly, and nothing secret stands in an address. A long file begins to play before it is whole.
 */

import { useSyncExternalStore } from 'react'
import { ApiError, type Download, fetchBlob, reason } from '../api/client'
import { session } from '../session/session'
import { texts } from '../texts'
import { mayBegin } from './beginning'
import { describe, describeNothing, offerMediaKeys } from './media'

export interface Player {
  list: readonly Download[]
  index: number
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
const VOLUME = 'nas-music.volume'
const RESTART_AFTER = 3 // seconds; before, "previous" means the track before

let state: Player = { ...NOTHING, volume: keptVolume() }
const watchers = new Set<() => void>()
const kept = new Map<number, Blob>()
let audio: HTMLAudioElement | null = null
let loading = new AbortController()
let isPartial = false
let address = ''

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

/** The download that is in the player, and whether it plays; cheap to ask from every row. */
export function usePlaying(id: number): 'playing' | 'paused' | null {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher)
      return () => watchers.delete(watcher)
    },
    () => (currentTrack()?.id === id ? (state.isPlaying ? 'playing' : 'paused') : null),
  )
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
    if (made.src && !isPartial) change({ isLoading: false, isPlaying: false, error: texts.player.cantPlay })
  })
  audio = made
  offerMediaKeys({
    toggle: player.toggle,
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
    prefetchNext(signal)
  } catch (error) {
    if (signal.aborted) return
    isPartial = false
    change({
      isLoading: false,
      isPlaying: false,
      error: error instanceof ApiError ? error.message : reason(error),
    })
  }
}

function show(track: Download): void {
  void describe(track, () => session.token() !== null && currentTrack()?.id === track.id)
}

function prefetchNext(signal: AbortSignal): void {
  const next = state.list[state.index + 1]
  if (!next || kept.has(next.id) || (next.file_size ?? 0) > 50_000_000) return
  fetchBlob(`/api/downloads/${next.id}/file`, { signal }).then(
    (blob) => keep(next.id, blob),
    () => {},
  )
}

export const player = {
  /** Plays a track; next and previous go through `list`. */
  play(track: Download, list: readonly Download[] = [track]): void {
    const playable = list.filter((each) => each.status === 'completed' && each.kind === 'track')
    const index = playable.findIndex((each) => each.id === track.id)
    change(index < 0 ? { list: [track], index: 0 } : { list: playable, index })
    void load(track)
  },
  toggle(): void {
    if (!session.token()) return // the keys of a keyboard reach further than the page does
    const made = element()
    const track = currentTrack()
    if (!made.paused) made.pause()
    else if (state.isLoading && !made.src) return
    else if (track && (!made.src || state.error)) void load(track)
    else {
      void made.play().catch(() => {})
      if (track) show(track)
    }
  },
  next(): void {
    const track = state.list[state.index + 1]
    if (!track) return
    change({ index: state.index + 1 })
    void load(track)
  },
  previous(): void {
    const track = state.list[state.index - 1]
    if (!track || element().currentTime > RESTART_AFTER) {
      player.seek(0)
    } else {
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
  close(): void {
    loading.abort()
    release()
    kept.clear()
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
