import { Button, PasswordInput, Stack } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import { ask, client, reason } from '../api/client'
import { session } from '../session/session'
import { texts } from '../texts'

const { account: words } = texts

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
    } catch (error) {
      setRefusal(reason(error))
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
