import { describe, expect, it } from 'vitest'
import { added, linesWithoutLink, linksIn, shared, without } from './links'

describe('links in a text', () => {
  it('are found among words, once each and in order', () => {
    const text = 'Hear this: https://a.example/one, and\nHTTP://b.example/two\nhttps://a.example/one'
    expect(linksIn(text)).toEqual(['https://a.example/one', 'HTTP://b.example/two'])
  })

  it('end before what only ends the sentence', () => {
    expect(linksIn('(see https://a.example/x(1)).')).toEqual(['https://a.example/x(1)'])
    expect(linksIn('<https://a.example/?q=1&r=2>!')).toEqual(['https://a.example/?q=1&r=2'])
  })

  it('that nobody would take cost no time', () => {
    const began = performance.now()
    expect(linksIn(`https://a.example/${')'.repeat(200_000)}`)).toHaveLength(1)
    expect(performance.now() - began).toBeLessThan(1_000)
  })

  it('are never scripts, files or data', () => {
    expect(linksIn('javascript:alert(1) file:///etc/passwd data:text/html,x ftp://a.example')).toEqual([])
  })

  it('may lack their beginning where they stand alone', () => {
    const text = 'www.youtube.com/watch?v=abc\n youtu.be/abc \nwww.a.example\nmüsik.example:8443/1'
    expect(linksIn(text)).toEqual([
      'https://www.youtube.com/watch?v=abc',
      'https://youtu.be/abc',
      'https://www.a.example',
      'https://müsik.example:8443/1',
    ])
    expect(without(text, new Set(['https://youtu.be/abc']))).not.toContain('youtu.be')
  })

  it('are no words, files or versions', () => {
    const text = 'foo.bar\nsee youtu.be/abc\nand/or\n1.2.3/4\nmusic/one.mp3\nwww\nme@a.example/1\nAC/DC.Live'
    expect(linksIn(text)).toEqual([])
    expect(linksIn(`${'a.'.repeat(100_000)}/`)).toEqual([])
  })

  it('leave over the lines that hold none', () => {
    expect(linesWithoutLink('https://a.example\n\n some words \n')).toEqual(['some words'])
  })

  it('that are taken leave with their lines, and nothing else does', () => {
    const text =
      'see https://a.example/1,\nwords\nhttps://a.example/1 https://a.example/2\nhttps://a.example/1'
    const left = 'words\nhttps://a.example/1 https://a.example/2'
    expect(without(text, new Set(['https://a.example/1']))).toBe(left)
  })
})

describe('what is handed over', () => {
  it('is found where phones put it', () => {
    expect(shared('title=A+Song&text=Listen%20https%3A%2F%2Fa.example%2F1')).toBe('https://a.example/1')
    expect(shared('url=https%3A%2F%2Fa.example%2F1&text=https%3A%2F%2Fa.example%2F1')).toBe(
      'https://a.example/1',
    )
    expect(shared('')).toBe('')
  })

  it('is added to what stands in the box, and nothing twice', () => {
    expect(added('https://a.example', 'https://b.example https://a.example')).toBe(
      'https://a.example\nhttps://b.example',
    )
    expect(added('', 'https://b.example')).toBe('https://b.example')
  })
})
