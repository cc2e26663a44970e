/** The mark: a note that lands. */
export function Logo({ size }: { size: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 512 512" aria-hidden="true" focusable="false">
      <title>NAS Music Downloader</title>
      <rect width="512" height="512" rx="124" fill="#4f59d0" />
      <g fill="none" stroke="#fff" strokeWidth="34" strokeLinecap="round" strokeLinejoin="round">
        <path d="M218 330V150l150-34v120" />
        <path d="M368 270v104m-46-44 46 46 46-46" />
      </g>
      <circle cx="174" cy="334" r="46" fill="#fff" />
    </svg>
  )
}
