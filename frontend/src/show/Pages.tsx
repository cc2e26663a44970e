import { ActionIcon } from '@mantine/core'
import { texts } from '../texts'
import { around } from './around'
import { atEnd } from './atEnd'
import { count } from './format'
import { IconChevronLeft, IconChevronRight } from './icons'
import styles from './Pages.module.css'

/** Leads through the pages of a list; nothing where there is only one. */
export function Pages({
  page,
  pages,
  onPage,
}: {
  page: number
  pages: number
  onPage: (page: number) => void
}) {
  if (pages <= 1) return null
  function turn(to: number): void {
    if (to < 1 || to > pages) return
    onPage(to)
    window.scrollTo({ top: 0 })
  }
  return (
    <nav className={styles.pages} aria-label={texts.history.pages}>
      <ActionIcon
        variant="default"
        size="lg"
        aria-label={texts.history.previous}
        {...atEnd(page <= 1)}
        onClick={() => turn(page - 1)}
      >
        <IconChevronLeft aria-hidden size={20} />
      </ActionIcon>
      {around(page, pages).map((each, index) =>
        each === null ? (
          // biome-ignore lint/suspicious/noArrayIndexKey: a gap has nothing else
          <span key={`gap ${index}`} aria-hidden>
            …
          </span>
        ) : (
          <button
            key={each}
            type="button"
            className={styles.page}
            aria-label={texts.history.pageOf(each)}
            aria-current={each === page ? 'page' : undefined}
            onClick={() => turn(each)}
          >
            {count(each)}
          </button>
        ),
      )}
      <ActionIcon
        variant="default"
        size="lg"
        aria-label={texts.history.next}
        {...atEnd(page >= pages)}
        onClick={() => turn(page + 1)}
      >
        <IconChevronRight aria-hidden size={20} />
      </ActionIcon>
    </nav>
  )
}
