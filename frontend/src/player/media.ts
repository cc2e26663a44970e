/** The keys of keyboards, headphones and lock screens, and what those show (the Media Session standard). */

import type { Download } from '../api/client'
import { coverOf } from '../show/covers'
import { nameOf } from '../show/format'

const STEP = 10 // seconds, where a key doesn't say

interface Keys {
  play: () => void
  pause: () => void
  stop: () => void
  next: () => void
  previous: () => void
  seek: (seconds: number) => void
  position: () => number
}

export function offerMediaKeys({ play, pause, stop, next, previous, seek, position }: Keys): void {
  if (!('mediaSession' in navigator)) return
  const keys: [MediaSessionAction, MediaSessionActionHandler][] = [
    ['play', play],
    ['pause', pause],
    ['stop', stop],
    ['nexttrack', next],
    ['previoustrack', previous],
    ['seekto', ({ seekTime }) => seekTime !== undefined && seekTime !== null && seek(seekTime)],
    ['seekforward', ({ seekOffset }) => seek(position() + (seekOffset ?? STEP))],
    ['seekbackward', ({ seekOffset }) => seek(position() - (seekOffset ?? STEP))],
  ]
  for (const [action, handler] of keys) {
    try {
      navigator.mediaSession.setActionHandler(action, handler)
    } catch {
      // This browser doesn't know that key.
    }
  }
}

/** Shows what plays, its cover too once it has come, if it still `isCurrent` by then. */
export async function describe(track: Download, isCurrent: () => boolean): Promise<void> {
  if (!('mediaSession' in navigator)) return
  const words = { title: nameOf(track), artist: track.artist ?? '', album: track.album ?? '' }
  navigator.mediaSession.metadata = new MediaMetadata(words)
  const cover = await coverOf(track.id)
  if (cover && isCurrent())
    navigator.mediaSession.metadata = new MediaMetadata({ ...words, artwork: [{ src: cover }] })
}

export function describeNothing(): void {
  if ('mediaSession' in navigator) navigator.mediaSession.metadata = null
}
