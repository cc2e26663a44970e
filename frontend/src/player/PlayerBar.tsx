import '@mantine/core/styles/Slider.css'
import { ActionIcon, Slider } from '@mantine/core'
import { atEnd } from '../show/atEnd'
import { Cover } from '../show/Cover'
import { length, nameOf } from '../show/format'
import {
  IconPlayerPauseFilled,
  IconPlayerPlayFilled,
  IconPlayerTrackNextFilled,
  IconPlayerTrackPrevFilled,
  IconVolume,
  IconX,
} from '../show/icons'
import { texts } from '../texts'
import styles from './PlayerBar.module.css'
import { currentTrack, player, usePlayer } from './player'

const SLIDER = { trackContainer: styles.reach ?? '', thumb: styles.thumb ?? '' }

/** The bar goes with the button that had the focus: so the page's heading gets it. */
function close(): void {
  player.close()
  document.querySelector<HTMLElement>('h1')?.focus({ preventScroll: true })
}

/** What plays, at the foot of every page. */
export default function PlayerBar() {
  const state = usePlayer()
  const track = currentTrack(state)
  if (!track) return null
  const { player: words } = texts
  const artist = track.artist ?? track.album_artist
  const note =
    state.error ?? (state.isLoading ? (state.loaded ? words.loadingPart(state.loaded) : words.loading) : null)
  return (
    <section className={styles.bar} aria-label={words.label}>
      <div className={styles.track}>
        <Cover download={track} />
        <div className={styles.words}>
          <div className={styles.title}>{nameOf(track)}</div>
          <div
            className={styles.artist}
            role={state.error ? 'alert' : undefined}
            data-error={state.error ? true : undefined}
          >
            {note ?? artist ?? texts.item.unknownArtist}
          </div>
        </div>
      </div>
      <div className={styles.keys}>
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          radius="xl"
          className={`${styles.key} ${styles.previous}`}
          aria-label={words.previous}
          onClick={player.previous}
        >
          <IconPlayerTrackPrevFilled aria-hidden size={18} />
        </ActionIcon>
        <ActionIcon
          variant="filled"
          size="xl"
          radius="xl"
          aria-label={state.isPlaying ? words.pause : words.play}
          onClick={player.toggle}
        >
          {state.isPlaying ? (
            <IconPlayerPauseFilled aria-hidden size={20} />
          ) : (
            <IconPlayerPlayFilled aria-hidden size={20} />
          )}
        </ActionIcon>
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          radius="xl"
          className={styles.key ?? ''}
          aria-label={words.next}
          onClick={player.next}
          {...atEnd(state.index + 1 >= state.list.length)}
        >
          <IconPlayerTrackNextFilled aria-hidden size={18} />
        </ActionIcon>
      </div>
      <div className={styles.position}>
        <span>{length(state.position)}</span>
        <Slider
          className={styles.slider}
          classNames={SLIDER}
          size={4}
          thumbSize={14}
          min={0}
          max={Math.max(1, state.duration)}
          step={1}
          value={Math.round(Math.min(state.position, Math.max(1, state.duration)))}
          onChange={player.seek}
          label={null}
          thumbLabel={words.position}
          thumbValueText={words.positionOf(length(state.position), length(state.duration))}
        />
        <span>{length(state.duration)}</span>
      </div>
      <div className={styles.rest}>
        <IconVolume aria-hidden size={18} className={styles.volumeIcon} />
        <Slider
          className={styles.volume}
          classNames={SLIDER}
          size={4}
          thumbSize={12}
          min={0}
          max={1}
          step={0.05}
          value={state.volume}
          onChange={player.volume}
          label={null}
          thumbLabel={words.volume}
          thumbValueText={(volume) => words.volumeOf(Math.round(volume * 100))}
        />
        <ActionIcon
          variant="subtle"
          color="gray"
          radius="xl"
          size="lg"
          className={styles.key ?? ''}
          aria-label={words.close}
          onClick={close}
        >
          <IconX aria-hidden size={18} />
        </ActionIcon>
      </div>
    </section>
  )
}
