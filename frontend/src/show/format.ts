/** Sizes, durations and times as people write them, in the reader's language and zone. */

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const
const STEP = 1000

const locale = (): string | undefined => globalThis.navigator?.language

/** 734003 becomes "734 kB", 5300000 "5.3 MB". */
export function size(bytes: number): string {
  let unit = 0
  let value = bytes
  while (value >= STEP - 0.5 && unit < UNITS.length - 1) {
    value /= STEP
    unit += 1
  }
  const maximumFractionDigits = unit >= 2 && value < 100 ? 1 : 0
  return new Intl.NumberFormat(locale(), {
    style: 'unit',
    unit: UNITS[unit] ?? 'byte',
    unitDisplay: 'short',
    maximumFractionDigits,
  }).format(value)
}

/** Bytes a second, such as "1.2 MB/s". */
export function speed(bytes: number): string {
  return `${size(bytes)}/s`
}

/** A track's length: 3:07 or 1:02:30. */
export function length(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60]
  const two = (value: number) => String(value).padStart(2, '0')
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`
}

/** How long something will still take, roughly: "8 sec", "3 min", "2 hr". */
export function wait(seconds: number): string {
  const [value, unit] =
    seconds < 90 ? [seconds, 'second'] : seconds < 5400 ? [seconds / 60, 'minute'] : [seconds / 3600, 'hour']
  return new Intl.NumberFormat(locale(), { style: 'unit', unit: String(unit), unitDisplay: 'short' }).format(
    Math.max(1, Math.ceil(Number(value))),
  )
}

/** A moment to the second, as logs have it. */
export function instant(iso: string): string {
  return new Intl.DateTimeFormat(locale(), { dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(iso))
}

/** A moment in full: "25 Nov 2026, 09:12". */
export function moment(iso: string): string {
  return new Intl.DateTimeFormat(locale(), { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(iso))
}

const SPANS: readonly [limit: number, seconds: number, unit: Intl.RelativeTimeFormatUnit][] = [
  [3600, 60, 'minute'],
  [86_400, 3600, 'hour'],
  [604_800, 86_400, 'day'],
]

/** A moment as one would say it: "3 minutes ago", "yesterday"; beyond a week the day itself. */
export function ago(iso: string, now: number): string {
  const seconds = (now - Date.parse(iso)) / 1000
  const relative = new Intl.RelativeTimeFormat(locale(), { numeric: 'auto' })
  if (seconds < 45) return relative.format(0, 'second')
  for (const [limit, step, unit] of SPANS)
    if (seconds < limit) return relative.format(-Math.max(1, Math.round(seconds / step)), unit)
  return new Intl.DateTimeFormat(locale(), { dateStyle: 'medium' }).format(new Date(iso))
}

export function count(value: number): string {
  return new Intl.NumberFormat(locale()).format(value)
}

/** What a download is called: its title, or as long as that isn't known the end of its address. */
export function nameOf(download: { title: string | null; url: string }): string {
  if (download.title) return download.title
  try {
    const { hostname, pathname } = new URL(download.url)
    const last = decodeURIComponent(pathname.split('/').filter(Boolean).at(-1) ?? '')
    return last ? `${hostname.replace(/^www\./, '')} · ${last}` : hostname
  } catch {
    return download.url
  }
}
