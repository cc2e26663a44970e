/** Free space out of the health check's word about the library, such as "123.4 GiB free". */

import { size } from '../show/format'

const GIB = 1024 ** 3
const SMALLEST = 1e9
const LARGEST = 1e13
const ALBUM = 120e6 // bytes; a dozen tracks at a good bitrate

export function freeBytes(detail: string): number | null {
  const found = /([\d.]+) GiB free/.exec(detail)
  return found ? Number(found[1]) * GIB : null
}

/** The service's word about a part, as a sentence of this page: sizes as everywhere else here. */
export function inOurWords(detail: string): string {
  const told = detail
    .replace(/^ffmpeg version /, '')
    .replaceAll(/([\d.]+) GiB/g, (_, number: string) => size(Number(number) * GIB))
  return /^[a-z]+ /.test(told) ? told.charAt(0).toUpperCase() + told.slice(1) : told
}

/** How full a gauge from 1 GB to 10 TB stands, by powers of ten; 0 to 100. */
export function onScale(bytes: number): number {
  const [low, high] = [Math.log10(SMALLEST), Math.log10(LARGEST)]
  return Math.max(0, Math.min(100, ((Math.log10(Math.max(bytes, 1)) - low) / (high - low)) * 100))
}

export function albumsThatFit(bytes: number): number {
  const albums = bytes / ALBUM
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(albums, 1))) - 1)
  return Math.floor(albums / step) * step
}
