/**
 * Parts of the page that are loaded when they are wanted, or ahead; one that couldn't be had is tried anew. A browser
 * never asks again for a module that it couldn't have, so the service is asked first whether it is there.
 */

import { type ComponentType, type ReactNode, use } from 'react'
import { base } from '../api/prefix'

const PATIENCE = 10_000 // milliseconds

/** A part couldn't be loaded. Whoever shows this has it forgotten, so that the next try is one. */
export class UnloadedError extends Error {
  constructor(readonly forget: () => void) {
    super()
    this.name = 'UnloadedError'
  }
}

async function isThere(): Promise<boolean> {
  const options = { method: 'HEAD', cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) } as const
  const answer = await fetch(`${base}/`, options).catch(() => null)
  return answer?.ok ?? false
}

interface Part {
  /** Loads it before it is wanted, and tells whether that went well; with `isSure`, the service is there. */
  ahead: (isSure?: boolean) => Promise<boolean>
}

const parts: Part[] = []

/** As React's `lazy`, which keeps a failure for good. */
export function part<P extends object>(load: () => Promise<{ default: ComponentType<P> }>) {
  let loaded: ComponentType<P> | undefined
  let loading: Promise<ComponentType<P>> | undefined

  async function fetchPart(isSure: boolean): Promise<ComponentType<P>> {
    const module = isSure || (await isThere()) ? await load().catch(() => null) : null
    if (!module) throw new UnloadedError(forget)
    loaded = module.default
    return loaded
  }

  function forget(): void {
    loading = undefined
  }

  function start(isSure = false): Promise<ComponentType<P>> {
    loading ??= fetchPart(isSure)
    return loading
  }

  // biome-ignore lint/correctness/noComponentHookFactories: one for each module, and made once
  function Part(props: P): ReactNode {
    const Loaded = loaded ?? use(start())
    return <Loaded {...props} />
  }

  Part.ahead = (isSure?: boolean): Promise<boolean> =>
    start(isSure).then(
      () => true,
      () => {
        forget()
        return false
      },
    )
  parts.push(Part)
  return Part
}

let isAhead = false

/** Whether parts are being loaded that nobody waits for. */
export const isLoadingAhead = (): boolean => isAhead

/** Loads the parts one after the other, until one can't be had. */
export async function loadAhead(): Promise<void> {
  if (!(await isThere())) return
  isAhead = true
  for (const each of parts) if (!(await each.ahead(true))) break
  isAhead = false
}

/** Runs something once the page has nothing else to do; Safari can't tell. */
export function whenIdle(run: () => void): () => void {
  if (!window.requestIdleCallback) {
    const timer = setTimeout(run, 2_000)
    return () => clearTimeout(timer)
  }
  const handle = window.requestIdleCallback(run, { timeout: 10_000 })
  return () => window.cancelIdleCallback(handle)
}
