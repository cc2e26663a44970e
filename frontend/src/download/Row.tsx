import { ActionIcon, Progress, UnstyledButton } from '@mantine/core'
import { Fragment, memo, useState } from 'react'
import type { Download } from '../api/client'
import { isActive } from '../live/queue'
import { player, usePlaying } from '../player/player'
import { atEnd } from '../show/atEnd'
import type { Choice } from '../show/Choices'
import { Cover } from '../show/Cover'
import { nameOf } from '../show/format'
import {
  IconAlertTriangle,
  IconChevronDown,
  IconDeviceFloppy,
  IconDots,
  IconInfoCircle,
  IconPlayerPauseFilled,
  IconPlayerPlayFilled,
  IconRefresh,
  IconTrash,
  IconX,
} from '../show/icons'
import { MenuButton } from '../show/MenuButton'
import { stateOf } from '../show/state'
import { texts } from '../texts'
import type { Actions } from './actions'
import { Details } from './Details'
import styles from './Row.module.css'

interface RowProps {
  download: Download
  actions: Actions | null
  isTrack: boolean
  isUnfolded: boolean
  isDetailed: boolean
  owner?: string | undefined
  onFold: (id: number) => void
  onDetails: (id: number) => void
  onRemove: (download: Download) => void
}

/** One download, as the queue, the history and the unfolded collections show it. */
export const Row = memo(function Row({
  download,
  actions,
  isTrack,
  isUnfolded,
  isDetailed,
  owner,
  onFold,
  onDetails,
  onRemove,
}: RowProps) {
  const name = nameOf(download)
  const whole = download.title ? `${download.title}\n${download.url}` : download.url
  const said = stateOf(download)
  const artist = download.artist ?? download.album_artist
  // An album's artist stands above its tracks already.
  const isKnown = isTrack && artist === download.album_artist
  const whose = [owner, isKnown ? null : artist].filter(Boolean)
  const isCollection = download.kind === 'collection'
  return (
    <div className={styles.row} data-track={isTrack || undefined} data-status={download.status}>
      <div className={styles.line}>
        {isTrack && <span className={styles.number}>{download.track_number ?? ''}</span>}
        <Picture download={download} name={name} actions={actions} />
        <div className={styles.words}>
          {isCollection ? (
            <UnstyledButton
              className={styles.fold}
              aria-expanded={isUnfolded}
              aria-label={(isUnfolded ? texts.item.fold : texts.item.unfold)(name)}
              onClick={() => onFold(download.id)}
            >
              <span className={styles.title} title={whole}>
                {name}
              </span>
              <IconChevronDown
                aria-hidden
                size={18}
                className={styles.chevron}
                data-open={isUnfolded || undefined}
              />
            </UnstyledButton>
          ) : (
            <div className={styles.title} title={whole}>
              {name}
            </div>
          )}
          <div className={styles.said} data-tone={said.tone}>
            {whose.map((each) => (
              <Fragment key={each}>
                <bdi>{each}</bdi>
                {' · '}
              </Fragment>
            ))}
            <span className={styles.state}>
              {said.tone === 'bad' && <IconAlertTriangle aria-hidden size={15} className={styles.warning} />}
              {said.parts.map((each, index) => (
                <Fragment key={each}>
                  {index > 0 && ' · '}
                  <bdi>{each}</bdi>
                </Fragment>
              ))}
              {said.aside && (
                <span className={styles.aside}>
                  {said.parts.length > 0 && ' · '}
                  <bdi>{said.aside}</bdi>
                </span>
              )}
            </span>
          </div>
          {said.percent !== undefined && (
            <Progress.Root size={4} radius="xl" className={styles.progress} transitionDuration={400}>
              {/* How far it is, where somebody knows; otherwise only that it goes on. */}
              <Progress.Section
                role="progressbar"
                withAria={said.percent !== null}
                value={said.percent ?? 100}
                animated={said.percent === null}
                striped={said.percent === null}
                aria-label={texts.item.progress(name)}
              />
            </Progress.Root>
          )}
        </div>
        {actions && (
          <Buttons
            download={download}
            name={name}
            actions={actions}
            isDetailed={isDetailed}
            onDetails={onDetails}
            onRemove={onRemove}
          />
        )}
        {!actions && (
          <ActionIcon
            variant="subtle"
            color="gray"
            size="lg"
            aria-expanded={isDetailed}
            aria-label={texts.item.details(name)}
            onClick={() => onDetails(download.id)}
          >
            <IconInfoCircle aria-hidden size={20} />
          </ActionIcon>
        )}
      </div>
      {download.error_message && (isCollection || download.status !== 'completed') && (
        <div className={styles.why}>
          <div className={styles.error}>{download.error_message}</div>
          {download.status === 'failed' && download.error_code && (
            <div className={styles.advice}>{texts.advice[download.error_code]}</div>
          )}
        </div>
      )}
      {isDetailed && <Details download={download} />}
    </div>
  )
})

function Picture({ download, name, actions }: { download: Download; name: string; actions: Actions | null }) {
  const playing = usePlaying(download.id)
  const isPlayable =
    download.kind === 'collection' ? (download.items?.completed ?? 0) > 0 : download.status === 'completed'
  if (!isPlayable || !actions) return <Cover download={download} isForeign={!actions} />
  const Icon = playing === 'playing' ? IconPlayerPauseFilled : IconPlayerPlayFilled
  return (
    <UnstyledButton
      className={styles.play}
      data-current={playing ? true : undefined}
      aria-label={(playing === 'playing' ? texts.item.pause : texts.item.play)(name)}
      onClick={() => (playing ? player.toggle() : void actions.play(download))}
    >
      <Cover download={download} />
      <span className={styles.playIcon}>
        <Icon aria-hidden size={20} />
      </span>
    </UnstyledButton>
  )
}

type ButtonsProps = Pick<RowProps, 'download' | 'isDetailed' | 'onDetails' | 'onRemove'> & {
  name: string
  actions: Actions
}

function Buttons({ download, name, actions, isDetailed, onDetails, onRemove }: ButtonsProps) {
  const { item } = texts
  const [isRetrying, setRetrying] = useState(false)
  const mayRetry = download.status === 'failed' || download.status === 'cancelled'
  const choices: Choice[] = [
    {
      label: isDetailed ? texts.menu.hideDetails : texts.menu.details,
      icon: <IconInfoCircle aria-hidden size={18} />,
      onChoose: () => onDetails(download.id),
    },
  ]
  if (download.kind === 'track' && download.status === 'completed') {
    const icon = <IconDeviceFloppy aria-hidden size={18} />
    choices.unshift({ label: texts.menu.save, icon, onChoose: () => void actions.save(download) })
  }
  if (!isActive(download)) {
    const icon = <IconTrash aria-hidden size={18} />
    choices.push({ label: texts.menu.remove, icon, isGrave: true, onChoose: () => onRemove(download) })
  }
  async function retry(): Promise<void> {
    setRetrying(true)
    await actions.retry(download)
    setRetrying(false)
  }
  const button = (
    <ActionIcon variant="subtle" color="gray" size="lg" aria-label={item.more(name)}>
      <IconDots aria-hidden size={20} />
    </ActionIcon>
  )
  return (
    <div className={styles.buttons}>
      {isActive(download) && (
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          aria-label={item.cancel(name)}
          onClick={() => void actions.cancel(download)}
        >
          <IconX aria-hidden size={20} />
        </ActionIcon>
      )}
      {mayRetry && (
        <ActionIcon
          variant="light"
          size="lg"
          aria-label={item.retry(name)}
          {...atEnd(isRetrying)}
          onClick={() => void retry()}
        >
          <IconRefresh aria-hidden size={20} />
        </ActionIcon>
      )}
      <MenuButton choices={choices}>{button}</MenuButton>
    </div>
  )
}
