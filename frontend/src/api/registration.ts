/** Whether people may make accounts by themselves (REGISTRATION); the service writes it into the page. */
export const isOpen = document.querySelector<HTMLMetaElement>('meta[name=registration]')?.content !== 'closed'
