/** Whether people may make accounts by themselves (REGISTRATION); the service writes it into the page. */
export const registrationIsOpen =
  document.querySelector<HTMLMetaElement>('meta[name=registration]')?.content !== 'closed'
