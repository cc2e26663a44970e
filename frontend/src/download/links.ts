/** Finds the addresses in whatever is pasted, dropped or shared. */

const ADDRESS = /https?:\/\/[^\s<>"'`]+/gi
const BARE = /^(?:[\p{L}\p{N}-]+\.)+(?:\p{L}{2,24}|xn--[a-z0-9-]+)(?::\d{1,5})?(?:[/?#][^\s<>"'`]*)?$/iu
const LONGEST = 2_048 // what the service takes; beyond it there is nothing to make good
const CLOSING: Record<string, string> = { ')': '(', ']': '[', '}': '{' }

/**
 * Returns each http or https address once, in order; what only ends a sentence is left off. One that stands alone
 * in its line may lack its beginning, as browsers show it.
 */
export function linksIn(text: string): string[] {
  const found = text.split('\n').flatMap((line) => bareLink(line.trim()) ?? line.match(ADDRESS) ?? [])
  return [...new Set(found.map(trimmed).filter((url) => URL.canParse(url)))]
}

/** Reads "www.a.example/1" as what it is short for; a mere "a.example" may as well be a word. */
function bareLink(line: string): string[] | null {
  const isLink = line.length <= LONGEST && BARE.test(line) && (/^www\../i.test(line) || line.includes('/'))
  return isLink ? [`https://${line}`] : null
}

/** Returns the lines that hold something, but no address. */
export function linesWithoutLink(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line && !linksIn(line).length)
}

/** Returns the text without the lines whose every address is `taken`. */
export function without(text: string, taken: ReadonlySet<string>): string {
  return text
    .split('\n')
    .filter((line) => {
      const urls = linksIn(line)
      return !urls.length || !urls.every((url) => taken.has(url))
    })
    .join('\n')
}

/** What the bookmarklet or the phone's share sheet hands over; Android puts the address into `text`. */
export function shared(query: string): string {
  const given = new URLSearchParams(query)
  const links = ['url', 'text', 'title'].flatMap((name) => linksIn(given.get(name) ?? ''))
  return links.length ? [...new Set(links)].join('\n') : (given.get('url') ?? '').trim()
}

/** Adds addresses to what stands in the box already. */
export function added(text: string, more: string): string {
  const before = text.trim()
  const fresh = linksIn(more).filter((url) => !linksIn(before).includes(url))
  return [before, ...fresh].filter(Boolean).join('\n')
}

function trimmed(url: string): string {
  while (url.length <= LONGEST) {
    const last = url.at(-1) ?? ''
    const opening = CLOSING[last]
    const isUnpaired = opening && url.split(opening).length < url.split(last).length
    if (!isUnpaired && !/[.,;:!?]/.test(last)) return url
    url = url.slice(0, -1)
  }
  return url
}
