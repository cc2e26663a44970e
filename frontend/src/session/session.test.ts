// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { bookmarklet } from '../account/bookmarklet'
import { draft } from './draft'
import { nextOf } from './way'

beforeEach(() => {
  localStorage.clear()
  sessionStorage.clear()
  vi.resetModules()
})
afterEach(() => vi.useRealTimers())

async function fresh() {
  return (await import('./session')).session
}

describe('a session', () => {
  it('is found again after a reload, until it ends', async () => {
    vi.useFakeTimers({ now: 1_000_000 })
    ;(await fresh()).begin('a token', 60)
    vi.resetModules()
    expect((await fresh()).token()).toBe('a token')
    vi.setSystemTime(1_061_000)
    vi.resetModules()
    expect((await fresh()).token()).toBeNull()
  })

  it('that was left in another tab is over here too', async () => {
    const session = await fresh()
    session.begin('a token', 60)
    localStorage.clear()
    window.dispatchEvent(new StorageEvent('storage', { key: 'nas-music.session' }))
    expect([session.token(), session.ending()]).toEqual([null, 'left'])
  })

  it.each(['left', 'expired'] as const)('that has %s in another tab is so here too', async (ended) => {
    const session = await fresh()
    session.begin('a token', 60)
    localStorage.setItem('nas-music.session', JSON.stringify({ ended }))
    window.dispatchEvent(new StorageEvent('storage', { key: 'nas-music.session' }))
    expect([session.token(), session.ending()]).toEqual([null, ended])
  })

  it('tells other tabs how it ended', async () => {
    const session = await fresh()
    session.begin('a token', 60)
    session.expire()
    expect(localStorage.getItem('nas-music.session')).toBe('{"ended":"expired"}')
    expect((await fresh()).token()).toBeNull()
  })

  it('that another tab has prolonged meanwhile goes on with what that one has', async () => {
    const session = await fresh()
    session.begin('a token', 60)
    const another = { token: 'another', endsAt: Date.now() + 60_000 }
    localStorage.setItem('nas-music.session', JSON.stringify(another)) // and this tab hasn't heard of it yet
    session.expire()
    expect(session.token()).toBe('another')
    localStorage.setItem('nas-music.session', JSON.stringify({ ended: 'left' }))
    session.expire()
    expect([session.token(), session.ending()]).toEqual([null, 'left'])
  })

  it('tells whether it ran out or was left', async () => {
    const session = await fresh()
    session.begin('a token', 60)
    session.expire()
    expect(session.ending()).toBe('expired')
    session.begin('another', 60)
    session.leave()
    expect(session.ending()).toBe('left')
  })

  it('is not over while another one takes its place', async () => {
    const session = await fresh()
    session.begin('a token', 60)
    await session.renew(async () => {
      session.expire()
      session.begin('another', 60)
    })
    expect(session.token()).toBe('another')
    session.expire()
    expect(session.token()).toBeNull()
  })

  it('gives up what was loaded when it is left, or when somebody else’s takes its place', async () => {
    const tokenOf = (sub: string) => `h.${btoa(JSON.stringify({ sub, jti: Math.random() }))}.s`
    const session = await fresh()
    const forgotten: string[] = []
    session.whenOver((how) => forgotten.push(how))
    session.begin(tokenOf('1'), 60)
    session.begin(tokenOf('1'), 60)
    session.expire()
    session.begin(tokenOf('1'), 60)
    expect(forgotten).toEqual([])
    session.expire()
    session.begin(tokenOf('2'), 60)
    expect(forgotten).toEqual(['replaced'])
    session.leave()
    expect(forgotten).toEqual(['replaced', 'left'])
    session.begin('nobody can tell whose', 60)
    session.begin('nobody can tell whose', 60)
    expect(forgotten).toEqual(['replaced', 'left', 'replaced', 'replaced'])
  })

  it('survives nonsense in the storage', async () => {
    localStorage.setItem('nas-music.session', '{"token": 1')
    expect((await fresh()).token()).toBeNull()
  })
})

describe('the way back', () => {
  it('never leads to another place', () => {
    for (const next of [
      '//evil.example',
      '/\\evil.example',
      'https://evil.example',
      'javascript:alert(1)',
      '',
    ]) {
      expect(nextOf(`next=${encodeURIComponent(next)}`)).toBe('/')
    }
    expect(nextOf(`next=${encodeURIComponent('/history?q=x')}`)).toBe('/history?q=x')
  })
})

describe('what was typed', () => {
  it('is kept until it is sent', () => {
    draft.write('https://a.example')
    expect(draft.read()).toBe('https://a.example')
    draft.write('')
    expect(sessionStorage.length).toBe(0)
  })
})

describe('the bookmarklet', () => {
  it('hands the address over in one piece, whatever the app’s own address holds', () => {
    expect(bookmarklet('https://nas.example/m"x/ui/')).toContain(
      'open("https://nas.example/m\\"x/ui/?url="+encodeURIComponent(location.href))',
    )
  })
})
