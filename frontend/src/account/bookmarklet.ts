/** The bookmark that hands the page one is on over to this app. */
export function bookmarklet(app: string): string {
  return `javascript:void(window.open(${JSON.stringify(`${app}?url=`)}+encodeURIComponent(location.href)))`
}
