import { expect, it } from 'vitest'
import { download } from '../live/example'
import { nextIn, placeOf, renewed, without } from './list'

const done = (id: number) => download(id, { status: 'completed', parent_id: 9 })

it('goes through what is done of an album', () => {
  const place = placeOf(done(2), [done(1), done(2), download(3), done(4)])
  expect(nextIn(place)?.id).toBe(4)
  expect(nextIn(placeOf(done(5), [done(1)]))).toBeUndefined()
})

it('an album that has grown goes on at the same track', () => {
  const place = renewed({ list: [done(2)], index: 0 }, [done(1), done(2), done(3)])
  expect([place.index, nextIn(place)?.id]).toEqual([1, 3])
})

it('a track that is gone from its album leaves the list as it was', () => {
  const place = { list: [done(1), done(2)], index: 0 }
  expect(renewed(place, [done(2), done(3)])).toBe(place)
})

it('what is gone makes way for the next, and leaves the others where they were', () => {
  const place = { list: [1, 2, 3, 4].map(done), index: 1 }
  const at = (gone: readonly number[]) => {
    const left = without(place, (each) => gone.includes(each.id))
    return left && [left.list[left.index]?.id, left.list.length]
  }
  expect([at([1]), at([2]), at([1, 2, 3]), at([2, 3, 4])]).toEqual([[2, 3], [3, 3], [4, 1], null])
})
