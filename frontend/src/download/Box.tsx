import { Alert, Button, NativeSelect, Textarea } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from 'react'
import { useSearch } from 'wouter'
import type { Format } from '../api/client'
import { texts } from '../texts'
import styles from './Box.module.css'
import { linksIn, shared } from './links'
import { outbox, useOutbox } from './outbox'
import type { Refused } from './submit'

const FORMAT = 'nas-music.format'
const FORMATS = Object.keys(texts.download.formats) as (Format | '')[]
const BOX = 'links'
const MOST_NAMED = 5

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
  const { text, complaint, refused, sending } = useOutbox()
  const [format, setFormat] = useState<Format | ''>(keptFormat)
  const isDropping = useDrop(outbox.add)

  useEffect(() => {
    // What was handed over stands in the box now; a reload must not bring it a second time.
    if (!shared(search)) return
    outbox.add(shared(search))
    window.history.replaceState(null, '', window.location.pathname)
  }, [search])

  useEffect(() => {
    const onPaste = (event: ClipboardEvent) => {
      if (isField(event.target)) return
      const pasted = event.clipboardData?.getData('text') ?? ''
      if (!linksIn(pasted).length) return
      event.preventDefault()
      outbox.add(pasted)
      focusBox()
    }
    document.addEventListener('paste', onPaste)
    return () => document.removeEventListener('paste', onPaste)
  }, [])

  async function submit(event?: FormEvent): Promise<void> {
    event?.preventDefault()
    await outbox.submit(queries, format || undefined)
    // The button can't hold the focus while it is busy. A phone would cover the queue with its keyboard.
    if (document.activeElement === document.body && matchMedia('(hover: hover)').matches) focusBox()
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
        onChange={(event) => outbox.write(event.currentTarget.value)}
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
        <span className={styles.hint} data-counts={number > 1 || undefined}>
          {isDropping
            ? texts.download.drop
            : sending > 1
              ? texts.download.sending(sending)
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
        <Button type="submit" loading={sending > 0}>
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
          onClose={outbox.forgive}
          mt="xs"
        >
          {byReason(refused).map(([reason, urls]) => (
            <div key={reason} className={styles.refused}>
              <span>{reason}</span>
              <ul>
                {urls.slice(0, MOST_NAMED).map((url) => (
                  <li key={url}>{url}</li>
                ))}
                {urls.length > MOST_NAMED && <li>{texts.download.refusedMore(urls.length - MOST_NAMED)}</li>}
              </ul>
            </div>
          ))}
        </Alert>
      )}
    </form>
  )
}

/** What was refused for one reason stands together; most often it is one reason for all. */
function byReason(refused: readonly Refused[]): [reason: string, urls: string[]][] {
  const found = new Map<string, string[]>()
  for (const { url, reason } of refused) found.set(reason, [...(found.get(reason) ?? []), url])
  return [...found]
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
