/** What was typed but not sent: it survives a reload, a lost session and the way to the sign-in page. */

const KEY = 'nas-music.draft'

export const draft = {
  read(): string {
    try {
      return sessionStorage.getItem(KEY) ?? ''
    } catch {
      return ''
    }
  },
  write(text: string): void {
    try {
      if (text) sessionStorage.setItem(KEY, text)
      else sessionStorage.removeItem(KEY)
    } catch {
      // Then it lasts as long as the page.
    }
  },
}
