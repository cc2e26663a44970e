/** Whether a file that is still arriving should begin to play. */

const ENOUGH = 768 * 1024 // bytes; some twenty seconds of most music
const PATIENCE = 1_200 // milliseconds that a person waits gladly
const SOON = 2_000

/**
 * Only where the rest will take long: the change to the whole file may be heard for a moment, so a file that is
 * all but there is waited for.
 */
export function mayBegin(come: { loaded: number; total: number; milliseconds: number }): boolean {
  const { loaded, total, milliseconds } = come
  if (loaded < ENOUGH || milliseconds < PATIENCE) return false
  const rest = total > 0 ? (milliseconds / loaded) * (total - loaded) : Number.POSITIVE_INFINITY
  return rest > SOON
}
