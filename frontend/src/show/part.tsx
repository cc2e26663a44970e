/** Parts of the page that are loaded when they are wanted, or ahead; one that couldn't be had is tried anew. */

import { type ComponentType, type ReactNode, use } from 'react'

/** A part couldn't be loaded. Whoever shows this has it forgotten, so that the next try is one. */
export class UnloadedError extends Error {
  constructor(readonly forget: () => void) {
    super()
    this.name = 'UnloadedError'
  }
}

const parts: { ahead: () => Promise<boolean> }[] = []

/** As React's `lazy`, which keeps a failure for good. */
export function part<P extends object>(load: () => Promise<{ default: ComponentType<P> }>) {
  let loaded: ComponentType<P> | undefined
  let loading: Promise<ComponentType<P>> | undefined
  let failures = 0

  async function fetchPart(): Promise<ComponentType<P>> {
    try {
      if (failures) await restyle()
      loaded = (await load()).default
      return loaded
    } catch {
      failures += 1
      throw new UnloadedError(forget)
    }
  }

  function forget(): void {
    loading = undefined
  }

  function start(): Promise<ComponentType<P>> {
    loading ??= fetchPart()
    return loading
  }

  // biome-ignore lint/correctness/noComponentHookFactories: one for each module, and made once
  function Part(props: P): ReactNode {
    const Loaded = loaded ?? use(start())
    return <Loaded {...props} />
  }

  /** Whether it is there. */
  Part.ahead = (): Promise<boolean> =>
    start().then(
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
  isAhead = true
  for (const each of parts) if (!(await each.ahead())) break
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

/** Asks anew for style sheets that couldn't be had: what loads a part takes their links for done. */
async function restyle(): Promise<void> {
  const missed = [...document.querySelectorAll<HTMLLinkElement>('link[rel=stylesheet]')].filter(
    (link) => !link.sheet,
  )
  await Promise.all(
    missed.map(
      (link) =>
        new Promise((resolve, reject) => {
          const fresh = link.cloneNode() as HTMLLinkElement
          fresh.addEventListener('load', resolve)
          fresh.addEventListener('error', reject)
          link.replaceWith(fresh)
        }),
    ),
  )
}
