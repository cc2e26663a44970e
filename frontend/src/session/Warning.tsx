import { Button, CloseButton, PasswordInput } from '@mantine/core'
import { type FormEvent, useEffect, useState } from 'react'
import { reason } from '../api/client'
import { wait } from '../show/format'
import { toast } from '../show/toast'
import { texts } from '../texts'
import { signIn, useMe } from './account'
import { session, useSession } from './session'
import styles from './Warning.module.css'

const BEFORE = 3 * 60_000
const LOOK = 5_000

/** Tells shortly before a session ends, and lets one stay: there is no other way to prolong a token. */
export function SessionWarning() {
  const current = useSession()
  const me = useMe()
  const [now, setNow] = useState(Date.now)
  const [dismissed, setDismissed] = useState('')
  const [password, setPassword] = useState('')
  const [refusal, setRefusal] = useState('')
  const [isBusy, setBusy] = useState(false)

  useEffect(() => {
    const timer = setInterval(() => {
      setNow(Date.now())
      if (current && current.endsAt <= Date.now()) session.expire()
    }, LOOK)
    return () => clearInterval(timer)
  }, [current])

  if (!current || !me.data || dismissed === current.token || current.endsAt - now > BEFORE) return null
  const { username } = me.data

  async function stay(event: FormEvent): Promise<void> {
    event.preventDefault()
    setBusy(true)
    try {
      await signIn(username, password)
      setPassword('')
      setRefusal('')
      toast.done(texts.session.kept)
    } catch (error) {
      setRefusal(reason(error))
    } finally {
      setBusy(false)
    }
  }

  return (
    <section className={styles.warning} aria-label={texts.session.stay}>
      <div className={styles.words}>
        {/* What counts down stands outside, or it would be read out every few seconds. */}
        <span role="alert">
          <strong>{texts.session.ending}</strong> {texts.session.hint}
        </span>{' '}
        {texts.session.left(wait(Math.max(1, (current.endsAt - now) / 1000)))}
      </div>
      <form className={styles.form} onSubmit={(event) => void stay(event)}>
        <input type="text" name="username" autoComplete="username" value={username} readOnly hidden />
        <PasswordInput
          aria-label={texts.session.password}
          placeholder={texts.session.password}
          autoComplete="current-password"
          required
          maxLength={128}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          error={refusal || null}
          errorProps={{ role: 'alert' }}
          className={styles.password}
          visibilityToggleButtonProps={{ 'aria-label': texts.show.password }}
        />
        <Button type="submit" loading={isBusy}>
          {texts.session.stay}
        </Button>
        <CloseButton aria-label={texts.session.later} onClick={() => setDismissed(current.token)} />
      </form>
    </section>
  )
}
