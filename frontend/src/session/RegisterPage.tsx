import { Alert, Button, PasswordInput, Stack, TextInput } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import { Link, useSearch } from 'wouter'
import { ApiError, ask, client, reason } from '../api/client'
import { toast } from '../show/toast'
import { texts } from '../texts'
import { clashing, signIn } from './account'
import { Door } from './Door'

const FIELDS = ['username', 'email', 'password']

/** Makes an account and signs it in. */
export function RegisterPage() {
  const [given, setGiven] = useState({ username: '', email: '', password: '' })
  const [refusal, setRefusal] = useState<unknown>(null)
  const [isBusy, setBusy] = useState(false)
  const search = useSearch()
  const { register: words } = texts
  function about(field: string): string | undefined {
    if (!(refusal instanceof ApiError)) return undefined
    return clashing(refusal) === field ? refusal.message : refusal.about(field)
  }
  const isAboutFields = FIELDS.some(about)
  const set = (field: keyof typeof given) => (event: { currentTarget: { value: string } }) => {
    const { value } = event.currentTarget
    setGiven((now) => ({ ...now, [field]: value }))
  }

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    setBusy(true)
    setRefusal(null)
    const account = { ...given, username: given.username.trim(), email: given.email.trim() }
    try {
      await ask(client.POST('/auth/register', { body: account }))
      await signIn(account.username, account.password)
      toast.done(texts.signIn.registered)
    } catch (error) {
      setRefusal(error)
      setBusy(false)
    }
  }

  return (
    <Door title={words.page} heading={words.title} lead={words.lead}>
      <form onSubmit={(event) => void submit(event)} noValidate>
        <Stack>
          {refusal !== null && !isAboutFields && (
            <Alert color="red" variant="light" role="alert">
              {reason(refusal)}
            </Alert>
          )}
          <TextInput
            label={words.username}
            description={words.usernameHint}
            name="username"
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            maxLength={50}
            size="md"
            autoFocus
            value={given.username}
            onChange={set('username')}
            error={about('username')}
          />
          <TextInput
            label={words.email}
            name="email"
            type="email"
            autoComplete="email"
            maxLength={254}
            size="md"
            value={given.email}
            onChange={set('email')}
            error={about('email')}
          />
          <PasswordInput
            label={words.password}
            description={words.passwordHint}
            name="password"
            autoComplete="new-password"
            maxLength={128}
            size="md"
            value={given.password}
            onChange={set('password')}
            error={about('password')}
            visibilityToggleButtonProps={{ 'aria-label': texts.show.password }}
          />
          <Button type="submit" size="md" loading={isBusy} fullWidth>
            {words.submit}
          </Button>
        </Stack>
      </form>
      <p>
        {words.hasAccount} <Link href={`/sign-in${search ? `?${search}` : ''}`}>{words.toSignIn}</Link>
      </p>
    </Door>
  )
}
