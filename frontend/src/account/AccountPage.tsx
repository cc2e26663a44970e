import '@mantine/core/styles/Badge.css'
import '@mantine/core/styles/FloatingIndicator.css'
import '@mantine/core/styles/SegmentedControl.css'
import { Badge, Button, Group, SegmentedControl, TextInput, useMantineColorScheme } from '@mantine/core'
import { useClipboard } from '@mantine/hooks'
import { type ReactNode, useEffect, useRef } from 'react'
import { base } from '../api/prefix'
import { signOut, useMe } from '../session/account'
import { Heading } from '../shell/Heading'
import { moment } from '../show/format'
import { IconBookmark, IconCopy, IconLogout } from '../show/icons'
import { Failed } from '../show/states'
import { texts } from '../texts'
import styles from './AccountPage.module.css'
import { bookmarklet } from './bookmarklet'
import { CookiesForm } from './CookiesForm'
import { EverywhereForm } from './EverywhereForm'
import { PasswordForm } from './PasswordForm'

const { account: words } = texts

/** One's own account, and the ways to get links here. */
export default function AccountPage() {
  const me = useMe()
  return (
    <>
      <Heading title={words.page} />
      {me.isError && !me.data && <Failed error={me.error} onRetry={() => void me.refetch()} />}
      {me.data && (
        <Group justify="space-between" mb="lg">
          <div>
            <Group gap="xs">
              <strong className={styles.name}>{me.data.username}</strong>
              {me.data.is_admin && (
                <Badge variant="light" tt="none" size="lg">
                  {words.administrator}
                </Badge>
              )}
            </Group>
            <div className={styles.dim}>{me.data.email}</div>
            <div className={styles.dim}>{words.lead(moment(me.data.created_at))}</div>
          </div>
          <Button
            variant="default"
            leftSection={<IconLogout aria-hidden size={18} />}
            onClick={() => void signOut()}
          >
            {words.signOut}
          </Button>
        </Group>
      )}
      <div className={styles.cards}>
        <Card title={words.bookmarklet} text={words.bookmarkletText} className={styles.pointer}>
          <Bookmarklet />
        </Card>
        <Card title={words.phone} text={words.phoneText} />
        <Card title={words.look}>
          <Look />
        </Card>
        <Card title={words.cookies.title} text={words.cookies.text}>
          <CookiesForm />
        </Card>
        <Card title={words.password} text={words.passwordText}>
          {me.data && <PasswordForm username={me.data.username} />}
        </Card>
        <Card title={words.everywhere} text={words.everywhereText}>
          {me.data && <EverywhereForm username={me.data.username} />}
        </Card>
      </div>
    </>
  )
}

interface CardProps {
  title: string
  text?: string
  className?: string | undefined
  children?: ReactNode
}

function Card({ title, text, className, children }: CardProps) {
  return (
    <section className={`${styles.card} ${className ?? ''}`}>
      <h2>{title}</h2>
      {text && <p className={styles.dim}>{text}</p>}
      {children}
    </section>
  )
}

function Look() {
  const { colorScheme, setColorScheme } = useMantineColorScheme()
  return (
    <SegmentedControl
      fullWidth
      aria-label={words.look}
      value={colorScheme}
      onChange={(value) => setColorScheme(value as 'auto' | 'light' | 'dark')}
      data={[
        { value: 'auto', label: words.lookAuto },
        { value: 'light', label: words.lookLight },
        { value: 'dark', label: words.lookDark },
      ]}
    />
  )
}

function Bookmarklet() {
  const address = bookmarklet(`${window.location.origin}${base}/`)
  const link = useRef<HTMLAnchorElement>(null)
  const clipboard = useClipboard({ timeout: 2_000 })
  // It is for the bookmarks bar, never for this page; React itself refuses to write such an address.
  useEffect(() => link.current?.setAttribute('href', address), [address])
  return (
    <Group>
      {/* biome-ignore lint/a11y/useValidAnchor: a bookmark is dragged, not followed */}
      <a ref={link} className={styles.bookmark} draggable>
        <IconBookmark aria-hidden size={18} /> {words.bookmarkletName}
      </a>
      <Button
        variant="default"
        leftSection={<IconCopy aria-hidden size={18} />}
        onClick={() => clipboard.copy(address)}
      >
        {clipboard.copied ? words.copied : words.bookmarkletCopy}
      </Button>
      {/* Browsers lend the clipboard to pages over HTTPS only. */}
      {clipboard.error ? (
        <TextInput
          className={styles.byHand}
          label={words.bookmarkletByHand}
          readOnly
          autoFocus
          value={address}
          onFocus={(event) => event.currentTarget.select()}
        />
      ) : null}
    </Group>
  )
}
