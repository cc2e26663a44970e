/** For a button at the end of its way, or on it: it keeps the focus that has just pressed it, which a disabled one would lose. */
export function atEnd(isThere: boolean): { 'aria-disabled'?: true; 'data-disabled'?: true } {
  return isThere ? { 'aria-disabled': true, 'data-disabled': true } : {}
}
