import { useEffect, useRef } from 'react'
import { texts } from '../texts'
import styles from './Heading.module.css'

/** The page's name: in the tab, as its heading, and where the focus goes when one comes from another page. */
export function Heading({ title, isHidden = false }: { title: string; isHidden?: boolean }) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = texts.title(title)
  }, [title])
  useEffect(() => {
    if (cameFromAnotherPage()) heading.current?.focus({ preventScroll: true })
  }, [])
  return (
    <h1 ref={heading} tabIndex={-1} className={isHidden ? styles.hidden : styles.heading}>
      {title}
    </h1>
  )
}

let pages = 0

function cameFromAnotherPage(): boolean {
  pages += 1
  return pages > 1
}
