import { Alert, Button, PasswordInput, Stack, TextInput } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import { Link, useSearch } from 'wouter'
import { reason } from '../api/client'
import { registrationIsOpen } from '../api/registration'
import { texts } from '../texts'
import { signIn } from './account'
import { Door } from './Door'
import { session } from './session'

/** The sign-in page; the service's own sentence says why it refuses. */
export function SignInPage() {
  const [name, setName] = useState('')
  const [password, setPassword] = useState('')
  const [refusal, setRefusal] = useState('')
  const [isBusy, setBusy] = useState(false)
  const search = useSearch()
  const { signIn: words } = texts
  const note =
    session.ending() === 'expired' ? words.expired : session.ending() === 'left' ? words.left : null

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    setBusy(true)
    try {
      await signIn(name.trim(), password) // the app leads on to where one was
    } catch (error) {
      setRefusal(reason(error))
      setBusy(false)
    }
  }

  return (
    <Door title={words.page} heading={words.title} lead={words.lead}>
      <form onSubmit={(event) => void submit(event)}>
        <Stack>
          {note && !refusal && (
            <Alert color="iris" variant="light" role="status">
              {note}
            </Alert>
          )}
          {refusal && (
            <Alert color="red" variant="light" role="alert">
              {refusal}
            </Alert>
          )}
          <TextInput
            label={words.name}
            name="username"
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            required
            withAsterisk={false}
            maxLength={254}
            size="md"
            autoFocus
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <PasswordInput
            label={words.password}
            name="password"
            autoComplete="current-password"
            required
            withAsterisk={false}
            maxLength={128}
            size="md"
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            visibilityToggleButtonProps={{ 'aria-label': texts.show.password }}
          />
          <Button type="submit" size="md" loading={isBusy} fullWidth>
            {words.submit}
          </Button>
        </Stack>
      </form>
      {registrationIsOpen && (
        <p>
          {words.noAccount} <Link href={`/register${search ? `?${search}` : ''}`}>{words.toRegister}</Link>
        </p>
      )}
    </Door>
  )
}
