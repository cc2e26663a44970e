/** The prefix that the service is served at (ROOT_PATH), '' for none; the service writes it into the page. */
function read(): string {
  const written = document.querySelector<HTMLMetaElement>('meta[name=prefix]')?.content ?? ''
  return written.startsWith('__') ? '' : written.replace(/\/$/, '')
}

export const prefix = read()
export const base = `${prefix}/ui`
