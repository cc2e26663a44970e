/** The one way to the service: typed by the OpenAPI document, with the session's token, errors as sentences. */

import createClient, { type Middleware } from 'openapi-fetch'
import { session } from '../session/session'
import { texts } from '../texts'
import { prefix } from './prefix'
import type { components, paths } from './schema'

export type Download = components['schemas']['DownloadRead']
export type DownloadPage = components['schemas']['DownloadPage']
export type OwnedDownload = components['schemas']['OwnedDownloadRead']
export type Status = components['schemas']['DownloadStatus']
export type ErrorCode = components['schemas']['ErrorCode']
export type Format = components['schemas']['AudioFormat']
export type User = components['schemas']['UserRead']
export type AuditEntry = components['schemas']['AuditRead']
export type Health = components['schemas']['HealthRead']
export type Condition = components['schemas']['Condition']
type Problem = components['schemas']['Problem']
type FieldProblem = components['schemas']['FieldProblem']

type Sentences = Readonly<Record<string, string | undefined>>

/** Faults that the service tells in the words of its tools, with a pattern where a person looks for letters. */
const OF_SHAPE = ['string_too_short', 'string_pattern_mismatch']

/** A refusal in the service's own words; status 0 where it couldn't be asked at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly fields: readonly FieldProblem[] = [],
  ) {
    super(message)
    this.name = 'ApiError'
  }

  /** What is wrong with one field of a form. */
  about(field: string): string | undefined {
    const found = this.fields.find((each) => each.loc.at(-1) === field)
    if (!found) return undefined
    const own = OF_SHAPE.includes(found.type) ? (texts.errors.fields as Sentences)[field] : undefined
    return own ?? sentence(found.msg)
  }
}

function sentence(text: string): string {
  const trimmed = text.trim()
  return `${trimmed.charAt(0).toUpperCase()}${trimmed.slice(1)}${/[.!?]$/.test(trimmed) ? '' : '.'}`
}

const bearer: Middleware = {
  onRequest({ request }) {
    const token = session.token()
    if (token) request.headers.set('Authorization', `Bearer ${token}`)
    return request
  },
}

const PATIENCE = 30_000 // milliseconds; what says nothing for so long won't say anything any more

/** A whole call, answer included; what may last longer is `fetchBlob`'s. */
function fetchInTime(request: Request): Promise<Response> {
  return fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(PATIENCE)]) })
}

export const client = createClient<paths>({ baseUrl: prefix, fetch: fetchInTime })
client.use(bearer)

interface Answer<T> {
  data?: T
  error?: unknown
  response: Response
}

/** Returns what a call answers; ApiError otherwise. A dead session is noticed here. */
export async function ask<T>(call: Promise<Answer<T>>): Promise<T> {
  const { data } = await askWhole(call)
  return data as T
}

/** As `ask`, with the response itself, for who wants to tell 200 from 202. */
export async function askWhole<T>(
  call: Promise<Answer<T>>,
): Promise<{ data: T | undefined; response: Response }> {
  let answer: Answer<T>
  const asked = session.token()
  try {
    answer = await call
  } catch (error) {
    throw unanswered(error)
  }
  const { data, error, response } = answer
  if (response.ok) return { data, response }
  if (response.status === 401 && asked && asked === session.token()) session.expire()
  throw refusal(response.status, error)
}

/** What to throw where there is no answer: whoever gave a call up hears just that. */
function unanswered(error: unknown): unknown {
  return error instanceof DOMException && error.name === 'AbortError'
    ? error
    : new ApiError(0, texts.errors.offline)
}

function refusal(status: number, body: unknown): ApiError {
  const problem = (typeof body === 'object' && body ? body : {}) as Partial<Problem>
  return new ApiError(status, problem.detail ?? texts.errors.unexpected(status), problem.errors ?? [])
}

type Progress = (loaded: number, total: number, soFar: () => Blob) => void

/**
 * Fetches bytes; `onProgress` hears of what has come and of how much there will be, in bytes. It may last as long
 * as it takes, but nothing may stop coming for longer than `PATIENCE`.
 */
export async function fetchBlob(
  path: string,
  options: { signal?: AbortSignal; onProgress?: Progress } = {},
): Promise<Blob> {
  const token = session.token()
  const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {}
  const silence = new AbortController()
  const giveUp = () => silence.abort(new DOMException('', 'TimeoutError'))
  let patience = setTimeout(giveUp, PATIENCE)
  const signal = options.signal ? AbortSignal.any([options.signal, silence.signal]) : silence.signal
  try {
    const response = await fetch(`${prefix}${path}`, { headers, signal })
    if (!response.ok) {
      if (response.status === 401 && token && token === session.token()) session.expire()
      throw refusal(response.status, await response.json().catch(() => null))
    }
    const total = Number(response.headers.get('Content-Length') ?? 0)
    const pieces: BlobPart[] = []
    const soFar = () => new Blob(pieces, { type: response.headers.get('Content-Type') ?? '' })
    if (!response.body) return await response.blob()
    let loaded = 0
    const reader = response.body.getReader()
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      clearTimeout(patience)
      patience = setTimeout(giveUp, PATIENCE)
      pieces.push(read.value)
      loaded += read.value.length
      options.onProgress?.(loaded, total, soFar)
    }
    return soFar()
  } catch (error) {
    throw error instanceof ApiError ? error : unanswered(error)
  } finally {
    clearTimeout(patience)
  }
}

/** The sentence to show for whatever was thrown. */
export function reason(error: unknown): string {
  return error instanceof ApiError ? error.message : texts.errors.unexpected(0)
}
