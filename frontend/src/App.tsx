import { Suspense, useEffect } from 'react'
import { Redirect, Route, Switch, useLocation, useSearch } from 'wouter'
import { registrationIsOpen } from './api/registration'
import DownloadPage from './download/DownloadPage'
import { shared } from './download/links'
import { outbox } from './download/outbox'
import { RowsSkeleton } from './download/Rows'
import { RegisterPage } from './session/RegisterPage'
import { SignInPage } from './session/SignInPage'
import { useSession } from './session/session'
import { nextOf } from './session/way'
import { Boundary } from './shell/Boundary'
import { MissingPage } from './shell/MissingPage'
import { Shell } from './shell/Shell'
import { loadAhead, part, whenIdle } from './show/part'

const HistoryPage = part(() => import('./history/HistoryPage'))
const AccountPage = part(() => import('./account/AccountPage'))
const AdminPage = part(() => import('./admin/AdminPage'))

/** Which page is shown at which address; without a session it is the sign-in page, and then the way back. */
export function App() {
  const session = useSession()
  const [location] = useLocation()
  const search = useSearch()
  const isSignedIn = session !== null
  useEffect(() => (isSignedIn ? whenIdle(() => void loadAhead()) : undefined), [isSignedIn])
  const isOutside = location === '/sign-in' || location === '/register'
  if (!session) {
    if (!isOutside) return <ToSignIn location={location} search={search} />
    return (
      <Switch>
        {registrationIsOpen && (
          <Route path="/register">
            <RegisterPage />
          </Route>
        )}
        <Route>
          <SignInPage />
        </Route>
      </Switch>
    )
  }
  if (isOutside) return <Redirect to={nextOf(search)} replace />
  return (
    <Shell key={session.owner}>
      <Boundary key={location.split('/')[1]} isPart>
        <Suspense fallback={<RowsSkeleton />}>
          <Switch>
            <Route path="/">
              <DownloadPage />
            </Route>
            <Route path="/history">
              <HistoryPage />
            </Route>
            <Route path="/account">
              <AccountPage />
            </Route>
            <Route path="/admin/:part?">{(params) => <AdminPage part={params.part ?? 'health'} />}</Route>
            <Route>
              <MissingPage />
            </Route>
          </Switch>
        </Suspense>
      </Boundary>
    </Shell>
  )
}

/** The way to the sign-in page; what was shared is kept for the box, and the rest of the address for the way back. */
function ToSignIn({ location, search }: { location: string; search: string }) {
  const given = shared(search)
  useEffect(() => outbox.add(given), [given])
  const here = given ? location : `${location}${search ? `?${search}` : ''}`
  return <Redirect to={here === '/' ? '/sign-in' : `/sign-in?next=${encodeURIComponent(here)}`} replace />
}
