import { ActionIcon, Button, FileButton, Group, Stack, TextInput } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useRef, useState } from 'react'
import { ask, client, reason } from '../api/client'
import { moment } from '../show/format'
import { IconTrash } from '../show/icons'
import { toast } from '../show/toast'
import { texts } from '../texts'
import styles from './AccountPage.module.css'
import { hostOf } from './site'

const { cookies: words } = texts.account
const KEY = ['cookies']
const MOST_BYTES = 64 * 1024 // what the service takes

/** Cookies for a site: a file is handed over as soon as it is chosen, and never shown again. */
export function CookiesForm() {
  const queries = useQueryClient()
  const kept = useQuery({ queryKey: KEY, queryFn: () => ask(client.GET('/api/cookies')) })
  const [site, setSite] = useState('')
  const [refusal, setRefusal] = useState<string | null>(null)
  const [isBusy, setBusy] = useState(false)
  const field = useRef<HTMLInputElement>(null)
  const forget = useRef<() => void>(null)

  async function upload(file: File | null): Promise<void> {
    if (!file) return
    if (file.size > MOST_BYTES) {
      setRefusal(words.tooLarge)
      forget.current?.()
      return
    }
    setBusy(true)
    setRefusal(null)
    try {
      const stored = await ask(
        client.PUT('/api/cookies/{site}', {
          params: { path: { site: hostOf(site) } },
          body: await file.text(),
          bodySerializer: (body) => body,
          headers: { 'Content-Type': 'text/plain' },
        }),
      )
      setSite('')
      toast.done(words.stored(stored.site, stored.count, stored.expired))
      await queries.invalidateQueries({ queryKey: KEY })
    } catch (error) {
      setRefusal(reason(error))
    } finally {
      forget.current?.() // or the same file, mended, couldn't be chosen again
      setBusy(false)
    }
  }

  async function remove(name: string): Promise<void> {
    try {
      await ask(client.DELETE('/api/cookies/{site}', { params: { path: { site: name } } }))
      toast.done(words.removed(name))
    } catch (error) {
      toast.failed(error)
    }
    await queries.invalidateQueries({ queryKey: KEY })
    field.current?.focus() // the button that had it is gone
  }

  return (
    <Stack gap="sm">
      {kept.data && kept.data.sites.length > 0 && (
        <ul className={styles.sites} aria-label={words.kept}>
          {kept.data.sites.map((each) => (
            <li key={each.site}>
              <div>
                <strong className={styles.site}>{each.site}</strong>
                <div className={styles.dim}>
                  {words.count(each.count)}
                  {each.earliest_expiry && ` · ${words.expires(moment(each.earliest_expiry))}`}
                </div>
              </div>
              <ActionIcon
                variant="default"
                size="lg"
                aria-label={words.remove(each.site)}
                onClick={() => void remove(each.site)}
              >
                <IconTrash aria-hidden size={18} />
              </ActionIcon>
            </li>
          ))}
        </ul>
      )}
      <TextInput
        ref={field}
        label={words.site}
        placeholder="youtube.com"
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        maxLength={2048}
        value={site}
        onChange={(event) => setSite(event.currentTarget.value)}
        error={refusal}
      />
      <Group>
        <FileButton resetRef={forget} onChange={(file) => void upload(file)} accept=".txt,text/plain">
          {(props) => (
            <Button {...props} variant="light" loading={isBusy} disabled={!hostOf(site)}>
              {words.choose}
            </Button>
          )}
        </FileButton>
      </Group>
    </Stack>
  )
}
