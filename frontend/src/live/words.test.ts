import { afterEach, expect, it } from 'vitest'
import { download } from './example'
import { words } from './words'

const later = '2026-11-25T08:00:05Z'

afterEach(() => words.clear())

it('only what was told after a list was asked for is put on top of it', () => {
  words.remember([{ kind: 'download', download: download(1) }])
  const mark = words.mark()
  expect(words.since(mark)).toEqual([])
  words.remember([{ kind: 'deleted', id: 2 }])
  expect(words.since(mark)).toEqual([{ kind: 'deleted', id: 2 }])
})

it('an older word, or one on what is deleted, does not count', () => {
  const done = {
    kind: 'download',
    download: download(1, { status: 'completed', updated_at: later }),
  } as const
  const gone = { kind: 'deleted', id: 2 } as const
  words.remember([done, { kind: 'download', download: download(1) }])
  words.remember([gone, { kind: 'download', download: download(2, { updated_at: later }) }])
  expect(words.since(0)).toEqual([done, gone])
  words.forget(2)
  expect(words.since(0)).toEqual([done])
})

it('words are let go after a while', () => {
  words.remember([{ kind: 'deleted', id: 1 }], 1_000)
  words.remember([{ kind: 'deleted', id: 2 }], 40_000)
  words.remember([{ kind: 'deleted', id: 3 }], 70_000)
  expect(words.since(0).map((each) => each.kind === 'deleted' && each.id)).toEqual([2, 3])
})
