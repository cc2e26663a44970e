/** Returns the host of what may be a whole address: people copy that. */
export function hostOf(text: string): string {
  const trimmed = text.trim()
  if (!trimmed.includes('/')) return trimmed
  try {
    return new URL(trimmed).hostname
  } catch {
    return ''
  }
}
