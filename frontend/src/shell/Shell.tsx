import { UnstyledButton } from '@mantine/core'
import { type ComponentType, type ReactNode, Suspense, useEffect } from 'react'
import { Link, useLocation } from 'wouter'
import { focusBox } from '../download/Box'
import { useConnection, useLive, useQueue } from '../live/live'
import { EMPTY, shown } from '../live/queue'
import { currentTrack, usePlayer } from '../player/player'
import { signOut, useMe } from '../session/account'
import { SessionWarning } from '../session/Warning'
import { count } from '../show/format'
import { IconDownload, IconHistory, IconLogout, IconShieldLock, IconUser, IconWifiOff } from '../show/icons'
import { MenuButton } from '../show/MenuButton'
import { part } from '../show/part'
import { texts } from '../texts'
import { Boundary } from './Boundary'
import { Logo } from './Logo'
import styles from './Shell.module.css'

const PlayerBar = part(() => import('../player/PlayerBar'))

/** The frame around every page of somebody who is signed in. */
export function Shell({ children }: { children: ReactNode }) {
  useLive()
  useShortcuts()
  const hasPlayer = currentTrack(usePlayer()) !== undefined
  return (
    <div className={styles.shell} data-shell={hasPlayer ? 'player' : 'quiet'}>
      <a className={styles.skip} href="#content">
        {texts.skip}
      </a>
      <header className={styles.side}>
        <Link href="/" className={styles.brand}>
          <Logo size={34} />
          <span>{texts.brand}</span>
        </Link>
        <Navigation />
        <div className={styles.foot}>
          <ConnectionSign />
          <Me />
        </div>
      </header>
      <main id="content" tabIndex={-1} className={styles.content}>
        <SessionWarning />
        <LostConnection />
        {children}
      </main>
      <div className={styles.bottom}>
        {hasPlayer ? (
          <Boundary isPart>
            <Suspense>
              <PlayerBar />
            </Suspense>
          </Boundary>
        ) : null}
      </div>
    </div>
  )
}

interface Place {
  href: string
  label: string
  short?: string
  icon: ComponentType<{ size?: number; stroke?: number; 'aria-hidden'?: boolean }>
  badge?: number
}

function Navigation() {
  const [location] = useLocation()
  const me = useMe()
  const queue = useQueue()
  const waiting = shown(queue.data ?? EMPTY).active.length
  const places: Place[] = [
    { href: '/', label: texts.nav.download, icon: IconDownload, badge: waiting },
    { href: '/history', label: texts.nav.history, icon: IconHistory },
    { href: '/account', label: texts.nav.account, icon: IconUser },
  ]
  if (me.data?.is_admin)
    places.push({ href: '/admin', label: texts.nav.admin, short: texts.nav.adminShort, icon: IconShieldLock })
  return (
    <nav className={styles.nav} aria-label={texts.nav.label}>
      {places.map(({ href, label, short, icon: Icon, badge }) => {
        const isHere = href === '/' ? location === '/' : location.startsWith(href)
        return (
          <Link
            key={href}
            href={href}
            className={styles.place}
            data-here={isHere || undefined}
            aria-current={isHere ? 'page' : undefined}
          >
            <Icon aria-hidden size={22} stroke={1.7} />
            <span className={styles.long}>{label}</span>
            <span className={styles.short} aria-hidden>
              {short ?? label}
            </span>
            {badge ? (
              <span className={styles.badge} title={texts.nav.waiting(badge)}>
                {count(badge)}
              </span>
            ) : null}
          </Link>
        )
      })}
    </nav>
  )
}

function ConnectionSign() {
  const connection = useConnection()
  const words = {
    open: texts.connection.open,
    connecting: texts.connection.connecting,
    lost: texts.connection.lostShort,
  }
  return (
    <span className={styles.sign} data-state={connection}>
      <span className={styles.dot} aria-hidden />
      {words[connection]}
    </span>
  )
}

function LostConnection() {
  const connection = useConnection()
  return (
    <div role="status" className={styles.status}>
      {connection === 'lost' && (
        <p className={styles.lost}>
          <IconWifiOff aria-hidden size={18} /> {texts.connection.lost}
        </p>
      )}
    </div>
  )
}

function Me() {
  const me = useMe()
  const name = me.data?.username
  if (!name) return null
  const choices = [
    {
      label: texts.nav.signOut,
      icon: <IconLogout aria-hidden size={18} />,
      onChoose: () => void signOut(),
    },
  ]
  const button = (
    <UnstyledButton className={styles.me}>
      <span className={styles.avatar} aria-hidden data-letter={name.charAt(0).toUpperCase()} />
      <span className={styles.unseen}>{texts.nav.menuOf}</span>
      <span className={styles.name}>{name}</span>
    </UnstyledButton>
  )
  return <MenuButton choices={choices}>{button}</MenuButton>
}

/** `/` leads to the box from wherever one is, unless one is writing. */
function useShortcuts(): void {
  const [, go] = useLocation()
  useEffect(() => {
    function onKey(event: KeyboardEvent): void {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return
      const target = event.target as HTMLElement | null
      if (target?.closest('input, textarea, select, [contenteditable], [role=dialog], [role=menu]')) return
      event.preventDefault()
      if (focusBox()) return
      go('/')
      requestAnimationFrame(() => requestAnimationFrame(() => focusBox()))
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [go])
}
