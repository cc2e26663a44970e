/** Signing in and out, and who one is. */

import { useQuery } from '@tanstack/react-query'
import { type ApiError, ask, client, type User } from '../api/client'
import { session, useSession } from './session'

/** Begins a session. What refuses a password says nothing of the session that may still be there: it stays. */
export async function signIn(username: string, password: string): Promise<void> {
  const body = { username, password } as never // the document offers the same as a form
  await session.renew(async () => {
    const token = await ask(client.POST('/auth/login', { body }))
    session.begin(token.access_token, token.expires_in)
  })
}

const CLASH = 409

/** Which field of a new account clashes with another account; the service tells it in its sentence only. */
export function clashing(refusal: ApiError): 'username' | 'email' | undefined {
  if (refusal.status !== CLASH) return undefined
  return (['username', 'email'] as const).find((field) => refusal.message.toLowerCase().includes(field))
}

/** Ends the session here within two seconds; the service is told on the way out, and a token it misses ends by itself. */
export async function signOut(): Promise<void> {
  const farewell = ask(client.POST('/auth/logout')).catch(() => {})
  await Promise.race([farewell, new Promise((resolve) => setTimeout(resolve, 2_000))])
  session.leave()
}

export function useMe() {
  const current = useSession()
  return useQuery<User>({
    queryKey: ['me'],
    queryFn: () => ask(client.GET('/auth/me')),
    enabled: current !== null,
    staleTime: 60_000,
  })
}
