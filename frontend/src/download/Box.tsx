import { Alert, Button, NativeSelect, Textarea } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from 'react'
import { useSearch } from 'wouter'
import type { Format } from '../api/client'
import { draft } from '../session/draft'
import { session } from '../session/session'
import { toast } from '../show/toast'
import { texts } from '../texts'
import styles from './Box.module.css'
import { added, linesWithoutLink, linksIn, shared } from './links'
import { type Refused, submitAll } from './submit'

const FORMAT = 'nas-music.format'
const FORMATS = Object.keys(texts.download.formats) as (Format | '')[]
const BOX = 'links'

/** Puts the cursor into the box; false where there is none on this page. */
export function focusBox(): boolean {
  const box = document.getElementById(BOX)
  box?.focus()
  return box !== null
}

/** The one box: one link or many, typed, pasted, dropped, shared, or handed over by the bookmarklet. */
export function Box() {
  const queries = useQueryClient()
  const search = useSearch()
  const [text, setText] = useState(() => added(draft.read(), shared(search)) || shared(search))
  const [format, setFormat] = useState<Format | ''>(keptFormat)
  const [refused, setRefused] = useState<readonly Refused[]>([])
  const [complaint, setComplaint] = useState('')
  const [isSending, setSending] = useState(false)
  const isDropping = useDrop((more) => change(added(latest.current, more)))
  const latest = useRef(text)
  latest.current = text

  function change(next: string): void {
    setText(next)
    setComplaint('')
  }

  useEffect(() => draft.write(text), [text])
  useEffect(() => {
    // What was handed over stands in the box now; a reload must not bring it a second time.
    if (shared(search)) window.history.replaceState(null, '', window.location.pathname)
  }, [search])

  useEffect(() => {
    const onPaste = (event: ClipboardEvent) => {
      if (isField(event.target)) return
      const pasted = event.clipboardData?.getData('text') ?? ''
      if (!linksIn(pasted).length) return
      event.preventDefault()
      change(added(latest.current, pasted))
      focusBox()
    }
    document.addEventListener('paste', onPaste)
    return () => document.removeEventListener('paste', onPaste)
  })

  async function submit(event?: FormEvent): Promise<void> {
    event?.preventDefault()
    const urls = linksIn(text)
    const others = linesWithoutLink(text)
    if (!urls.length) return setComplaint(text.trim() ? texts.download.notALink : '')
    setSending(true)
    setRefused([])
    const outcome = await submitAll(queries, urls, format || undefined)
    setSending(false)
    // What couldn't be taken stays in the box, and so does what was typed meanwhile.
    const kept = [...outcome.refused.map((each) => each.url), ...others]
    const meanwhile = linksIn(latest.current).filter((url) => !urls.includes(url))
    const rest = [...kept, ...meanwhile].join('\n')
    if (session.ending() !== 'left') draft.write(rest) // the box may be gone, with another page in its place
    change(rest)
    setRefused(outcome.refused)
    if (others.length && !outcome.refused.length) setComplaint(texts.download.notALink)
    if (outcome.queued) toast.done(texts.download.queued(outcome.queued))
    if (outcome.already) toast.done(texts.download.already(outcome.already))
    focusBox()
  }

  function onKeyDown(event: KeyboardEvent<HTMLTextAreaElement>): void {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    void submit()
  }

  const number = linksIn(text).length
  return (
    <form
      className={styles.box}
      onSubmit={(event) => void submit(event)}
      data-dropping={isDropping || undefined}
    >
      <Textarea
        id={BOX}
        label={texts.download.box}
        labelProps={{ className: styles.label }}
        placeholder={texts.download.placeholder}
        value={text}
        onChange={(event) => change(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        error={complaint || null}
        autosize
        minRows={1}
        maxRows={8}
        size="md"
        autoCapitalize="none"
        autoCorrect="off"
        spellCheck={false}
        inputMode="url"
        enterKeyHint="go"
        variant="unstyled"
        classNames={{ input: styles.input ?? '' }}
        data-autofocus
      />
      <div className={styles.foot}>
        <span className={styles.hint}>
          {isDropping
            ? texts.download.drop
            : number > 1
              ? texts.download.several(number)
              : texts.download.hint}
        </span>
        <NativeSelect
          aria-label={texts.download.format}
          value={format}
          onChange={(event) => {
            const next = event.currentTarget.value as Format | ''
            setFormat(next)
            keepFormat(next)
          }}
          data={FORMATS.map((value) => ({ value, label: texts.download.formats[value] }))}
          className={styles.format}
        />
        <Button type="submit" loading={isSending}>
          {texts.download.submit}
        </Button>
      </div>
      {refused.length > 0 && (
        <Alert
          color="red"
          variant="light"
          role="alert"
          title={texts.download.refused(refused.length)}
          withCloseButton
          closeButtonLabel={texts.common.close}
          onClose={() => setRefused([])}
          mt="xs"
        >
          <ul className={styles.refused}>
            {refused.map((each) => (
              <li key={each.url}>
                <span className={styles.url}>{each.url}</span> {each.reason}
              </li>
            ))}
          </ul>
        </Alert>
      )}
    </form>
  )
}

function keptFormat(): Format | '' {
  try {
    const kept = localStorage.getItem(FORMAT) ?? ''
    return FORMATS.find((each) => each === kept) ?? ''
  } catch {
    return ''
  }
}

function keepFormat(format: string): void {
  try {
    localStorage.setItem(FORMAT, format)
  } catch {
    // Then it is chosen again next time.
  }
}

function isField(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  )
}

/** Takes links that are dropped anywhere on the page; tells whether something hovers over it. */
function useDrop(take: (text: string) => void): boolean {
  const [isOver, setOver] = useState(false)
  const taking = useRef(take)
  taking.current = take
  useEffect(() => {
    const holdsText = (event: DragEvent) =>
      event.dataTransfer?.types.some((type) => type === 'text/uri-list' || type === 'text/plain') ?? false
    const onOver = (event: DragEvent) => {
      if (!holdsText(event)) return
      event.preventDefault()
      setOver(true)
    }
    const onLeave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false)
    }
    const onDrop = (event: DragEvent) => {
      setOver(false)
      const dropped =
        event.dataTransfer?.getData('text/uri-list') || event.dataTransfer?.getData('text/plain') || ''
      if (!linksIn(dropped).length) return
      event.preventDefault()
      taking.current(dropped)
      focusBox()
    }
    document.addEventListener('dragover', onOver)
    document.addEventListener('dragleave', onLeave)
    document.addEventListener('drop', onDrop)
    return () => {
      document.removeEventListener('dragover', onOver)
      document.removeEventListener('dragleave', onLeave)
      document.removeEventListener('drop', onDrop)
    }
  }, [])
  return isOver
}
