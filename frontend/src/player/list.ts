/** What the player goes through, as plain data. */

import type { Download } from '../api/client'

export interface Place {
  list: readonly Download[]
  index: number
}

/** Begins with a track in the list that it stands in; alone, where it stands in none. */
export function placeOf(track: Download, tracks: readonly Download[]): Place {
  const list = tracks.filter((each) => each.status === 'completed' && each.kind === 'track')
  const index = list.findIndex((each) => each.id === track.id)
  return index < 0 ? { list: [track], index: 0 } : { list, index }
}

/** The list as it is by now, at the same track; what it was, where that track isn't in it any more. */
export function renewed(place: Place, tracks: readonly Download[]): Place {
  const current = place.list[place.index]
  const isThere = current && tracks.some((each) => each.id === current.id)
  return isThere ? placeOf(current, tracks) : place
}

/** The list without what is gone, at the same track or else the next that is left; null if there is none. */
export function without(place: Place, isGone: (track: Download) => boolean): Place | null {
  const index = place.list.findIndex((each, at) => at >= place.index && !isGone(each))
  if (index < 0) return null
  const before = place.list.slice(0, index).filter((each) => !isGone(each))
  return {
    list: [...before, ...place.list.slice(index).filter((each) => !isGone(each))],
    index: before.length,
  }
}

export function nextIn({ list, index }: Place): Download | undefined {
  return list[index + 1]
}
