import { Button, PasswordInput, Stack } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import { ApiError, ask, client, reason } from '../api/client'
import { session } from '../session/session'
import { toast } from '../show/toast'
import { texts } from '../texts'

const { account: words } = texts
const UNFIT = 422

/** What can't be a password can't be this one's either. */
export function refused(error: unknown): string {
  return error instanceof ApiError && error.status === UNFIT ? words.wrongPassword : reason(error)
}

/** Ends every session: to set a password, even to what it is, ends all tokens from before. */
export function EverywhereForm({ username }: { username: string }) {
  const [password, setPassword] = useState('')
  const [refusal, setRefusal] = useState('')
  const [isBusy, setBusy] = useState(false)

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    setBusy(true)
    try {
      await ask(
        client.POST('/auth/password', { body: { current_password: password, new_password: password } }),
      )
      session.leave()
      toast.done(words.everywhereDone)
    } catch (error) {
      setRefusal(refused(error))
      setBusy(false)
    }
  }

  return (
    <form onSubmit={(event) => void submit(event)}>
      <Stack gap="sm">
        <input type="text" name="username" autoComplete="username" value={username} readOnly hidden />
        <PasswordInput
          label={words.confirmPassword}
          autoComplete="current-password"
          required
          withAsterisk={false}
          maxLength={128}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          error={refusal || null}
          visibilityToggleButtonProps={{ 'aria-label': texts.show.password }}
        />
        <Button type="submit" variant="light" color="red" loading={isBusy}>
          {words.everywhereDo}
        </Button>
      </Stack>
    </form>
  )
}
