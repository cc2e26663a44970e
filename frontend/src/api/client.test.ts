// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { texts } from '../texts'
import { ApiError, ask, client, fetchBlob } from './client'

let expire: () => void

beforeEach(() => {
  vi.useFakeTimers()
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((milliseconds) => {
    const controller = new AbortController()
    expire = () => controller.abort(new DOMException(`${milliseconds}`, 'TimeoutError'))
    return controller.signal
  })
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

/** Never answers, and ends as fetch does when it is given up. */
function hang(_: unknown, { signal }: { signal: AbortSignal }): Promise<Response> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
  })
}

const unreached = new ApiError(0, texts.errors.offline)

it('a call that gets no answer ends, and says that the service cannot be reached', async () => {
  vi.stubGlobal('fetch', hang)
  const call = ask(client.GET('/auth/me', { baseUrl: 'http://service.example' }))
  await Promise.resolve()
  expire()
  await expect(call).rejects.toEqual(unreached)
})

it('who gives a call up is not told that the service cannot be reached', async () => {
  vi.stubGlobal('fetch', hang)
  const giving = new AbortController()
  const options = { baseUrl: 'http://service.example', signal: giving.signal }
  const call = ask(client.GET('/auth/me', options))
  await Promise.resolve()
  giving.abort()
  await expect(call).rejects.toMatchObject({ name: 'AbortError' })
})

it('a file may come slowly, but not stop coming', async () => {
  let push: (piece: string) => void = () => {}
  vi.stubGlobal('fetch', async (_: string, { signal }: { signal: AbortSignal }) => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        push = (piece) => controller.enqueue(new TextEncoder().encode(piece))
        signal.addEventListener('abort', () => controller.error(signal.reason))
      },
    })
    return new Response(body)
  })
  const ended = vi.fn()
  const onProgress = vi.fn()
  fetchBlob('/file', { onProgress }).then(ended, ended)
  for (let piece = 0; piece < 5; piece += 1) {
    await vi.advanceTimersByTimeAsync(20_000)
    push('x')
  }
  await vi.advanceTimersByTimeAsync(20_000)
  expect(onProgress).toHaveBeenCalledTimes(5)
  expect(ended).not.toHaveBeenCalled()
  await vi.advanceTimersByTimeAsync(20_000)
  expect(ended).toHaveBeenCalledWith(unreached)
})

it('a file that does not even begin is given up', async () => {
  vi.stubGlobal('fetch', hang)
  const ended = vi.fn()
  fetchBlob('/file').then(ended, ended)
  await vi.advanceTimersByTimeAsync(31_000)
  expect(ended).toHaveBeenCalledWith(unreached)
})

it('what is wrong with the shape of a field is said in words for people', () => {
  const fault = (type: string, msg: string) => [{ loc: ['body', 'username'], type, msg }]
  const about = (type: string, msg: string) => new ApiError(422, '', fault(type, msg)).about('username')
  expect(about('string_pattern_mismatch', "String should match pattern '^[A-Za-z0-9._-]+$'")).toBe(
    texts.errors.fields.username,
  )
  expect(about('value_error', 'this name is kept for the service')).toBe('This name is kept for the service.')
})
