import { Button, PasswordInput, Stack } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import { ApiError, ask, client, reason } from '../api/client'
import { signIn } from '../session/account'
import { session } from '../session/session'
import { toast } from '../show/toast'
import { texts } from '../texts'

const { account: words } = texts

/** Changes the password. That ends every session, so a new one is begun here at once. */
export function PasswordForm({ username }: { username: string }) {
  const [current, setCurrent] = useState('')
  const [fresh, setFresh] = useState('')
  const [refusal, setRefusal] = useState<unknown>(null)
  const [isBusy, setBusy] = useState(false)

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    setBusy(true)
    setRefusal(null)
    try {
      const body = { current_password: current, new_password: fresh }
      await session.renew(async () => {
        await ask(client.POST('/auth/password', { body }))
        await signIn(username, fresh)
      })
      setCurrent('')
      setFresh('')
      toast.done(words.changed)
    } catch (error) {
      setRefusal(error)
    } finally {
      setBusy(false)
    }
  }

  const aboutFresh = refusal instanceof ApiError ? refusal.about('new_password') : undefined
  return (
    <form onSubmit={(event) => void submit(event)}>
      <Stack gap="sm">
        <input type="text" name="username" autoComplete="username" value={username} readOnly hidden />
        <PasswordInput
          label={words.current}
          autoComplete="current-password"
          required
          withAsterisk={false}
          maxLength={128}
          value={current}
          onChange={(event) => setCurrent(event.currentTarget.value)}
          error={refusal !== null && !aboutFresh ? reason(refusal) : null}
          visibilityToggleButtonProps={{ 'aria-label': texts.show.password }}
        />
        <PasswordInput
          label={words.fresh}
          autoComplete="new-password"
          required
          withAsterisk={false}
          maxLength={128}
          value={fresh}
          onChange={(event) => setFresh(event.currentTarget.value)}
          error={aboutFresh}
          visibilityToggleButtonProps={{ 'aria-label': texts.show.password }}
        />
        <Button type="submit" variant="light" loading={isBusy}>
          {words.change}
        </Button>
      </Stack>
    </form>
  )
}
