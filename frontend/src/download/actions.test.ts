// @vitest-environment happy-dom
import { expect, it } from 'vitest'
import { untilFault } from './actions'

it('what is done to many ends at the first fault, and tells how many were done', async () => {
  const asked: number[] = []
  const act = async (each: number) => {
    asked.push(each)
    return each === 3 ? 'a fault' : null
  }
  expect(await untilFault([1, 2, 3, 4], act, new AbortController().signal)).toEqual({
    fault: 'a fault',
    done: 2,
  })
  expect(asked).toEqual([1, 2, 3])
})

it('what is done to many ends when it is told to stop', async () => {
  const stopping = new AbortController()
  const act = async (each: number) => {
    if (each === 2) stopping.abort()
    return null
  }
  expect(await untilFault([1, 2, 3], act, stopping.signal)).toEqual({ fault: null, done: 2 })
})
